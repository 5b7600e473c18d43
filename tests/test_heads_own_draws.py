"""Posteriors that score their own draws only: their weights, the bounds that take them, those that cannot."""

from __future__ import annotations

import copy
import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from posterior_heads import auxiliary, own_pair
from pyro.infer import Trace_ELBO
from torch import Tensor

import pyrovae as pv
from pyrovae.distributions import Augmented


def chained(shape: torch.Size) -> tuple[Tensor, Tensor]:
    """z of a of a standard normal, with the exact way back."""
    a = torch.randn(*shape, 3, dtype=torch.float64)
    z = a + torch.randn(*shape, 3, dtype=torch.float64)
    q_a, q_z = dist.Normal(torch.zeros_like(a), 1.0), dist.Normal(a, 1.0)
    r = dist.Normal(z / 2, math.sqrt(0.5))
    return z, (q_a.log_prob(a) + q_z.log_prob(z) - r.log_prob(a)).sum(-1)


def augmented(*batch: int) -> Augmented:
    return Augmented(chained, torch.Size(batch), torch.Size((3,)))


def test_with_the_exact_way_back_the_weight_is_the_marginal() -> None:
    q = augmented(4)
    z = q.rsample((5,))
    marginal = dist.Normal(torch.zeros(3, dtype=torch.float64), math.sqrt(2)).to_event(1)
    assert torch.allclose(q.log_prob(z), marginal.log_prob(z))


def test_any_draw_but_the_last_has_no_density() -> None:
    q = augmented(4)
    with pytest.raises(NotImplementedError, match="before any draw"):
        q.log_prob(torch.zeros(4, 3))
    first = q.sample()
    second = q.sample()
    assert q.log_prob(second).shape == (4,)
    for other in (first, second.clone(), second[:]):
        with pytest.raises(NotImplementedError, match="drawn last"):
            q.log_prob(other)
    for alike in (copy.deepcopy(q), copy.copy(q), q.expand((4,))):
        with pytest.raises(NotImplementedError, match="before any draw"):
            alike.log_prob(second)
        assert alike.log_prob(alike.sample()).shape == (4,)


def test_draws_of_a_graph_can_be_copied_and_samples_have_none() -> None:
    head = auxiliary()
    q = head(torch.randn(4, head.features(2)))
    assert q.rsample().requires_grad
    assert not copy.deepcopy(q).sample().requires_grad
    z = q.sample()
    assert not z.requires_grad
    assert not q.log_prob(z).requires_grad


def test_an_augmented_draw_of_a_wrong_shape_is_refused() -> None:
    wide = Augmented(
        lambda shape: (torch.zeros(*shape, 2), torch.zeros(shape)), torch.Size(()), torch.Size((3,))
    )
    with pytest.raises(ValueError, match="shape"):
        wide.rsample()
    with pytest.raises(TypeError, match="draw"):
        Augmented(None, torch.Size(()), torch.Size((3,)))  # type: ignore[arg-type]


def test_an_auxiliary_posterior_weighs_by_a_density_of_total_mass_one() -> None:
    r"""For any net and any way back: :math:`\mathbb E[p(z) / \tilde q] = \int p = 1`."""
    head = auxiliary().double()
    with torch.no_grad():
        q = head(torch.randn(head.features(2), dtype=torch.float64)).expand((200_000,))
        z = q.sample()
        p = dist.Normal(torch.zeros(2, dtype=torch.float64), 0.5).to_event(1)
        weight = (p.log_prob(z) - q.log_prob(z)).exp()
    assert weight.mean().item() == pytest.approx(1.0, abs=5 * (weight.std() / math.sqrt(200_000)).item())


def test_auxiliary_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="built"):
        auxiliary().features(3)
    head = auxiliary(reverse_head=pv.heads.FullNormal())
    with pytest.raises(ValueError, match="FullNormal"):
        head(torch.zeros(10)).rsample()
    head = pv.heads.Auxiliary(2, 3, pv.nets.MLP(3, 8), pv.nets.MLP(2, 6))
    with pytest.raises(ValueError, match="head: expected events"):
        head(torch.zeros(6)).rsample()


@pytest.mark.parametrize(
    "objective",
    [
        pv.objectives.ELBO(3),
        pv.objectives.ELBO(3, vectorize_particles=False),
        pv.objectives.IWAE(3),
        pv.objectives.CIWAE(num_particles=3),
        pv.objectives.MIWAE(2, 2),
        pv.objectives.Renyi(num_particles=3),
        pv.objectives.GECO(30.0),
        pv.objectives.WAE(),
        Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_bounds_take_draws_that_score_themselves(objective: Any, digits: Tensor) -> None:
    model, guide = own_pair(auxiliary())
    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective, compile=False)
    losses = [svi.step(digits[:100]) for _ in range(30)]
    assert all(map(math.isfinite, losses))
    if not isinstance(objective, pv.objectives.GECO):
        assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "objective",
    [
        pv.objectives.ELBO(2, estimators=pv.objectives.StickingTheLanding()),
        pv.objectives.ELBO(2, estimators=pv.objectives.ScoreFunction()),
        pv.objectives.IWAE(2, estimators=pv.objectives.DoublyReparameterized()),
        pv.objectives.PIWAE(2, 2),
        pv.objectives.ReweightedWakeSleep(2),
    ],
    ids=repr,
)
def test_estimators_that_score_other_values_name_the_site(objective: Any, digits: Tensor) -> None:
    model, guide = own_pair(auxiliary())
    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective, compile=False)
    with pytest.raises(ValueError, match=r"site 'z'.*its own draws only"):
        svi.step(digits[:10])
