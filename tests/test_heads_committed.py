"""The committed rate: kept for whatever features, with nothing lost beyond it and no gradient that dies."""

from __future__ import annotations

import functools

import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor
from torch.distributions import kl_divergence

import pyrovae as pv
from pyrovae.spec import build, describe

RATES = st.floats(1e-3, 300.0)
SIZES = st.integers(1, 6)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def divergence(head: pv.heads.CommittedNormal, t: Tensor) -> Tensor:
    """KL(head(t) || N(0, I)) by dimension, as torch has it."""
    q = head(t).base_dist
    return kl_divergence(q, torch.distributions.Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale)))


def rounding(head: pv.heads.CommittedNormal, t: Tensor) -> Tensor:
    """What the terms of the divergence lose to rounding, in their sum."""
    q = head(t).base_dist
    terms = 1 + q.loc.square() + q.scale.square() + q.scale.log().abs()
    return 8 * torch.finfo(t.dtype).eps * terms


@settings(max_examples=150, deadline=None)
@given(
    rate=RATES,
    dim=SIZES,
    dtype=DTYPES,
    spread=st.sampled_from([1e-3, 0.3, 3.0, 20.0]),
    seed=st.integers(0, 999),
)
def test_the_rate_is_kept_whatever_the_features(rate, dim, dtype, spread, seed):
    t = spread * torch.randn(64, 2 * dim, generator=torch.Generator().manual_seed(seed)).to(dtype)
    t = t.clamp(-80, 80)  # beyond it the variance overflows, in torch's formula too
    t[0], t[1, :dim] = 0.0, -0.0
    head = pv.heads.CommittedNormal(rate)
    kl = divergence(head, t)
    assert (kl >= rate / dim - rounding(head, t)).all()
    assert (kl.sum(-1) >= rate - rounding(head, t).sum(-1)).all()


@settings(max_examples=100, deadline=None)
@given(rate=RATES, loc=st.floats(-30.0, 30.0), log_variance=st.floats(-40.0, 6.0))
def test_every_normal_beyond_the_rate_is_reached(rate, loc, log_variance):
    """Features are solved for, and give the normal back."""
    s = torch.tensor([[log_variance]], dtype=torch.float64)
    kl = 0.5 * (loc**2 + s.exp() - 1 - s).item()
    if kl < 1.0101 * rate:
        loc = (2 * (1.0101 * rate - kl) + loc**2) ** 0.5 * (1 if loc >= 0 else -1)
    head = pv.heads.CommittedNormal(rate)
    least = head(torch.cat([torch.zeros_like(s), s], -1)).base_dist.loc.item()
    assert abs(loc) >= least
    free = loc - least if loc >= 0 else loc + least
    q = head(torch.cat([torch.full_like(s, free), s], -1)).base_dist
    assert q.loc.item() == pytest.approx(loc, abs=1e-12)
    assert q.scale.log().item() == pytest.approx(0.5 * log_variance)


@pytest.mark.parametrize("rate", [1e-2, 1.0, 100.0])
def test_no_gradient_dies_or_grows_without_bound(rate):
    """Over all log variances, those included at which the formula changes, and both signs."""
    s = torch.cat([torch.linspace(-500, 500, 20_001), torch.linspace(-10, 10, 20_001)]).double()
    s.requires_grad_()
    head, width = pv.heads.CommittedNormal(rate), 0.02 * rate
    for free in (-1e-3, 0.0, 1e-3):
        m = torch.full_like(s, free).requires_grad_()
        loc = head(torch.stack([m, s], -1)).base_dist.loc[:, 0]
        by_m, by_s = torch.autograd.grad(loc.sum(), [m, s])
        assert (by_m == 1).all()
        assert (by_s.abs() <= (1 - s.clamp(max=20).exp()).abs() / (2 * width**0.5) + 1e-12).all()
        assert (by_s != 0).any()
    kl = divergence(head, torch.stack([torch.zeros_like(s), s], -1))
    assert kl.min().item() == pytest.approx(rate, rel=1e-9), "it keeps the rate, and not more"


def test_the_rate_is_shared_out_over_all_entries_of_an_event():
    t = torch.zeros(5, 2 * 3, 4, 2)
    q = pv.heads.CommittedNormal(6.0, event_dim=3)(t)
    assert (tuple(q.batch_shape), tuple(q.event_shape)) == ((5,), (3, 4, 2))
    assert divergence(pv.heads.CommittedNormal(6.0, event_dim=3), t) == pytest.approx(
        torch.full((5, 3, 4, 2), 6.0 / 24), abs=1e-6
    )


def test_a_posterior_that_would_collapse_keeps_its_rate():
    """Noise leaves a latent nothing to say: the usual posterior collapses, this one stays at its rate."""
    x = torch.bernoulli(torch.full((2000, 16), 0.5))
    kept = {}
    for name, head in (("normal", pv.heads.normal), ("committed", pv.heads.CommittedNormal(0.5))):
        pyro.set_rng_seed(0)
        model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), head))
        adam = functools.partial(torch.optim.Adam, lr=0.02)
        loss = TraceMeanField_ELBO()
        run = pv.fit(model, guide, x, loss=loss, optim=adam, epochs=10, batch_size=100, compile="capture")
        bound = pv.evaluate.elbo(run, x)
        assert bound.closed_form == {"z": True}
        kept[name] = bound.kl["z"]
    assert kept["normal"].mean() < 0.2
    assert kept["committed"].min() > 0.5 - 1e-5
    assert kept["committed"].mean() < 1.0


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), True])
def test_bad_rates_are_refused(rate):
    with pytest.raises(ValueError, match=r"rate: expected a positive number.*heads\.normal"):
        pv.heads.CommittedNormal(rate)


def test_features_that_cannot_be_split_are_refused():
    with pytest.raises(ValueError, match=r"even size.*\(2, 3\)"):
        pv.heads.CommittedNormal(1.0)(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="even size"):
        pv.heads.CommittedNormal(1.0, event_dim=3)(torch.zeros(6))


def test_it_is_rebuilt_from_what_it_says_of_itself():
    head = pv.heads.CommittedNormal(2.5, event_dim=3)
    again = build(describe(head))
    assert repr(again) == repr(head) == "CommittedNormal(rate=2.5, event_dim=3)"
