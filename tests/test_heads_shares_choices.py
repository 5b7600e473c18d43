"""Posteriors of directions, shares and choices: beside SciPy and torch, and at edges where torch has none."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from posterior_heads import assert_finite, extreme
from scipy import stats

import pyrovae as pv
from pyrovae import distributions
from pyrovae.distributions import divergence, has_closed_form


def test_shares_of_a_saturated_stick_have_densities_and_gradients() -> None:
    t = torch.cat((extreme(11), 5.0 * extreme(11).sign()), -1).detach().requires_grad_()
    q = pv.heads.LogisticNormal()(t)
    assert_finite(q, t)
    y = q.sample()
    torchs = dist.TransformedDistribution(q.base_dist, q.transforms)
    assert torchs.log_prob(torchs.sample()).isnan().any(), "then ours is not needed any more"
    assert (y > 0).all()


def test_directions_of_any_length_are_of_unit_length() -> None:
    head = pv.heads.VonMisesFisher()
    t = torch.randn(4, 6) * torch.tensor([1e-20, 1e-6, 1.0, 1e6]).unsqueeze(-1)
    assert torch.allclose(head(t).loc.norm(dim=-1), torch.ones(4))
    q = head(torch.zeros(6))
    assert q.concentration.item() == pytest.approx(4 * math.log(2))
    p = distributions.SphericalUniform(5)
    assert has_closed_form(q, p)
    z = q.sample((20_000,))
    by_draws = (q.log_prob(z) - p.log_prob(z)).mean()
    assert divergence(q, p).item() == pytest.approx(by_draws.item(), abs=0.02)


def test_a_logistic_normal_is_torchs_where_torchs_is_right() -> None:
    loc, scale = torch.randn(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64) + 0.3
    ours, torchs = distributions.LogisticNormal(loc, scale), torch.distributions.LogisticNormal(loc, scale)
    y = torchs.sample((100,))
    assert torch.allclose(ours.log_prob(y), torchs.log_prob(y))
    torch.manual_seed(3)
    one = ours.rsample((10,))
    torch.manual_seed(3)
    assert torch.allclose(one, torchs.rsample((10,)))


def test_divergences_between_logistic_normals_are_those_of_normals() -> None:
    head = pv.heads.LogisticNormal()
    q, p = head(torch.randn(4, 8)), head(torch.zeros(8))
    assert has_closed_form(q, p)
    exact = divergence(
        pv.heads.normal(torch.cat((q.loc, 2 * q.scale.log()), -1)), pv.priors.StandardNormal(4)()
    )
    assert torch.allclose(divergence(q, p), exact, rtol=1e-5)
    y = q.sample((20_000,))
    assert torch.allclose((q.log_prob(y) - p.log_prob(y)).mean(0), exact, rtol=0.05)


def test_dirichlets_and_choices_have_divergences_and_densities() -> None:
    head = pv.heads.Dirichlet()
    q, p = head(torch.randn(4, 5)), head(torch.zeros(5))
    assert has_closed_form(q, p)
    y = q.sample()
    expected = stats.dirichlet(q.concentration[0].double().numpy()).logpdf(
        y[0].double().numpy() / y[0].double().numpy().sum()
    )
    assert q.log_prob(y)[0].item() == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="least"):
        pv.heads.Dirichlet(least=0.0)
    choice = pv.heads.OneHot()
    t = torch.randn(4, 5)
    assert has_closed_form(choice(t), choice(torch.zeros(5)))
    entropy = -(t.softmax(-1) * t.log_softmax(-1)).sum(-1)
    assert torch.allclose(divergence(choice(t), choice(torch.zeros(5))), math.log(5) - entropy, atol=1e-5)


def test_relaxed_choices_are_torchs_where_torchs_are_right() -> None:
    temperature, t = torch.tensor(0.7), torch.randn(5)
    pairs: list[tuple[Any, Any]] = [
        (distributions.RelaxedOneHot, torch.distributions.RelaxedOneHotCategorical),
        (distributions.RelaxedBernoulli, torch.distributions.RelaxedBernoulli),
    ]
    for ours, torchs in pairs:
        q, p = ours(temperature, t), torchs(temperature, logits=t)
        torch.manual_seed(0)
        y = q.rsample((100,))
        torch.manual_seed(0)
        assert torch.allclose(y, p.rsample((100,)))
        assert torch.allclose(q.log_prob(y), p.log_prob(y), rtol=1e-4, atol=1e-4)


def test_relaxed_choices_at_the_edge_have_densities_where_torchs_have_none() -> None:
    t = torch.randn(2000, 5)
    torchs = torch.distributions.RelaxedOneHotCategorical(torch.tensor(0.02), logits=t, validate_args=False)
    assert torchs.log_prob(torchs.sample()).isnan().any(), "then ours is not needed any more"
    ours = pv.heads.RelaxedOneHot(0.02)(t.requires_grad_())
    assert_finite(ours, t)
    sure = pv.heads.RelaxedBernoulli()(torch.full((3,), -40.0))
    assert sure.sample((100,)).max() < 1e-12


@pytest.mark.parametrize("kind", [pv.heads.RelaxedBernoulli, pv.heads.RelaxedOneHot])
def test_temperatures_are_checked_and_learned(kind: Any) -> None:
    with pytest.raises(ValueError, match="temperature"):
        kind(0.0)
    assert not list(kind(0.3).parameters())
    head = kind(0.3, learn=True)
    q = head(torch.randn(4, 3))
    z = q.rsample()
    q.log_prob(z).sum().backward()
    assert head.log_temperature.grad.abs() > 0
