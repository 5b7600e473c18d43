"""Heads for richer posteriors: finite at any features, captured like any other, and trained on digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import both
from posterior_heads import assert_finite, auxiliary, extreme, own_pair
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import distributions
from pyrovae.distributions import has_closed_form


@pytest.mark.parametrize(
    ("head", "d"),
    [
        (pv.heads.FullNormal(), 2),
        (pv.heads.LowRankNormal(1), 3),
        (pv.heads.LowRankNormal(2), 3),
        (pv.heads.NormalMixture(3), 2),
        (pv.heads.VonMisesFisher(), 4),
        (pv.heads.Dirichlet(), 5),
        (pv.heads.RelaxedBernoulli(0.1), 5),
        (pv.heads.RelaxedOneHot(0.1), 5),
    ],
)
def test_extreme_features_in_single_precision_stay_finite(head: Any, d: int) -> None:
    t = extreme(head.features(d))
    assert_finite(head(t), t)


@pytest.mark.parametrize(
    "head",
    [auxiliary, pv.heads.Delta, lambda: pv.heads.NormalMixture(3)],
    ids=["Auxiliary", "Delta", "NormalMixture"],
)
def test_a_captured_step_of_the_posterior_is_pyros(head: Callable[[], Any], digits: Tensor) -> None:
    torch.set_default_dtype(torch.float64)

    def script(make: Any) -> Iterator[Any]:
        pyro.set_rng_seed(0)
        model, guide = own_pair(head())
        loss = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = make(model, guide, pyro.optim.Adam({"lr": 0.01}), loss)
        for _ in range(3):
            yield svi.step(digits[:20].double())
        yield [p.detach().clone() for p in (*model.parameters(), *guide.parameters())]

    try:
        both(script, rtol=1e-8)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_point_makes_an_autoencoder(digits: Tensor) -> None:
    model, guide = own_pair(pv.heads.Delta())
    x = digits[:20]
    with torch.no_grad():
        z = guide.sites["z"][0](x)
        joint = model.likelihood(model.decoder(z)).log_prob(x) + model.prior().log_prob(z)
    run = pv.Fit(model, guide)
    elbo = pv.objectives.ELBO().per_datum(model, guide, x)
    assert torch.allclose(elbo, joint)
    assert Trace_ELBO().loss(model, guide, x) == pytest.approx(-joint.sum().item(), rel=1e-5)
    evidence = pv.evaluate.log_evidence(run, x, num_samples=5)
    assert torch.allclose(evidence, joint.to(evidence.dtype), atol=1e-4)
    encoding = pv.predict.encode(run, x)
    assert torch.equal(encoding.mean["z"], z)


class Choices(nn.Module):
    """A relaxed prior for the tests: the head's own, of even odds."""

    def __init__(self, head: Any, d: int) -> None:
        super().__init__()
        self.head, self.d = head, d

    def forward(self) -> Any:
        return self.head(torch.zeros(self.d))


FITS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "FullNormal": (pv.heads.FullNormal, lambda _: pv.priors.StandardNormal(4)),
    "LowRankNormal": (lambda: pv.heads.LowRankNormal(2), lambda _: pv.priors.DiagonalNormal(4)),
    "NormalMixture": (lambda: pv.heads.NormalMixture(3), lambda _: pv.priors.StandardNormal(4)),
    "VonMisesFisher": (pv.heads.VonMisesFisher, lambda _: lambda: distributions.SphericalUniform(4)),
    "LogisticNormal": (
        pv.heads.LogisticNormal,
        lambda _: lambda: distributions.LogisticNormal(torch.zeros(3), torch.ones(3)),
    ),
    "Dirichlet": (pv.heads.Dirichlet, lambda _: lambda: dist.Dirichlet(torch.ones(4))),
    "OneHot": (pv.heads.OneHot, lambda _: lambda: dist.OneHotCategorical(logits=torch.zeros(4))),
    "RelaxedBernoulli": (pv.heads.RelaxedBernoulli, lambda head: Choices(head, 4)),
    "RelaxedOneHot": (
        lambda: pv.heads.RelaxedOneHot(learn=True),
        lambda head: Choices(pv.heads.RelaxedOneHot(), 4),
    ),
    "Auxiliary": (
        lambda: pv.heads.Auxiliary(4, 3, pv.nets.MLP(3 + 4, 16, 8), pv.nets.MLP(4 + 4, 16, 6), context=4),
        lambda _: pv.priors.StandardNormal(4),
    ),
}
EXACT = {"FullNormal", "LowRankNormal", "VonMisesFisher", "LogisticNormal", "Dirichlet", "OneHot"}


@pytest.mark.parametrize("name", FITS)
def test_every_posterior_trains_on_digits_and_estimates_their_evidence(name: str, digits: Tensor) -> None:
    make_head, make_prior = FITS[name]
    head = make_head()
    model, guide = own_pair(head, make_prior(head), d=4)
    q = guide.posterior("z", digits[:3])
    assert has_closed_form(q, model.prior().expand((3,))) == (name in EXACT)
    x = digits[:200]
    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), pv.objectives.ELBO(), compile=False)
    losses = [svi.step(x) / len(x) for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]
    run = pv.Fit(model, guide)
    evidence = pv.evaluate.log_evidence(run, x[:50], num_samples=40)
    assert torch.isfinite(evidence).all()
    bound = pv.objectives.ELBO(20).per_datum(model, guide, x[:50]) if name != "OneHot" else None
    if bound is not None:
        assert evidence.mean() > bound.mean() - 0.1
    assert pv.predict.encode(run, x[:5]).mean["z"].shape == (5, 4)


def test_a_semi_amortized_posterior_may_start_from_any_of_them(digits: Tensor) -> None:
    # A mixture's draws can be differentiated once: its steps count as constants.
    for head, second_order in (
        (pv.heads.FullNormal(), True),
        (pv.heads.NormalMixture(2), False),
        (auxiliary(), True),
    ):
        pyro.clear_param_store()
        model, base = own_pair(head)
        guide = pv.guides.SemiAmortized(base, model, steps=2, second_order=second_order)
        assert guide(digits[:5])["z"].shape == (5, 2)
