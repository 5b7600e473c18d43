"""Halves of digits as views of one latent, any of them missing: experts fitted, captured, rebuilt."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.distributions import EqualMixture
from pyrovae.spec import build, describe

adam = functools.partial(torch.optim.Adam, lr=5e-3)
EXPERTS = [pv.guides.ProductOfExperts, pv.guides.MixtureOfExperts]
NAN = torch.nan


def digit_pair(experts: type = pv.guides.ProductOfExperts) -> tuple[pv.models.Views, Any]:
    prior = pv.priors.StandardNormal(4)
    model = pv.models.Views(
        prior,
        top=(pv.nets.MLP(4, 32, 32), pv.heads.bernoulli),
        bottom=(pv.nets.MLP(4, 32, 32), pv.heads.bernoulli),
    )
    guide = experts(
        prior,
        top=(pv.nets.MLP(32, 32, 8), pv.heads.normal),
        bottom=(pv.nets.MLP(32, 32, 8), pv.heads.normal),
    )
    return model, guide


def halves(digits: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The upper and lower halves of digits; every third lacks the one, every third the other."""
    top, bottom = digits[:size, :32].clone(), digits[:size, 32:].clone()
    top[0::3], bottom[1::3] = NAN, NAN
    return top, bottom


@pytest.mark.parametrize("experts", EXPERTS)
def test_what_a_missing_view_might_be_makes_no_difference(experts, digits):
    """Neither to a posterior nor to a bound nor to a gradient, which has no part in it: to the bit."""
    model, guide = digit_pair(experts)
    top, bottom = halves(digits, 30)
    seen = ~top.isnan().any(-1)
    for x in (top, top[seen]):
        model.zero_grad()
        guide.zero_grad()
        pyro.set_rng_seed(0)
        y = torch.full((len(x), 32), NAN) if x is not top else bottom
        loss = Trace_ELBO(max_plate_nesting=1).differentiable_loss(model, guide, x, y)
        loss.backward()
        assert torch.isfinite(loss)
        for parameter in (*model.parameters(), *guide.parameters()):
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()
        if x is not top:
            of_bottom = [*model.decoders["bottom"].parameters(), *guide.nets["bottom"].parameters()]
            assert all(p.grad is None or (p.grad == 0).all() for p in of_bottom)
    alone = guide.posterior("z", top[seen])
    left_out = guide.posterior("z", top[seen], torch.full((int(seen.sum()), 32), NAN))
    z = torch.randn(5, int(seen.sum()), 4)
    assert torch.allclose(alone.log_prob(z), left_out.log_prob(z), atol=1e-5)


@pytest.mark.parametrize("experts", EXPERTS)
def test_views_of_digits_are_fitted_evaluated_and_encoded(experts, digits):
    model, guide = digit_pair(experts)
    run = pv.fit(model, guide, halves(digits, 600), optim=adam, epochs=8, batch_size=50)
    assert run.history[-1].train_loss < run.history[0].train_loss - 4
    top, bottom = (view[:12] for view in halves(digits, 12))
    encoding = pv.predict.encode(run, (top, bottom))
    assert encoding.mean["z"].shape == (12, 4)
    assert torch.isfinite(encoding.mean["z"]).all()
    bound = pv.evaluate.elbo(run, (top, bottom), num_samples=100)
    assert bound.closed_form["z"] == (experts is pv.guides.ProductOfExperts)
    evidence = pv.evaluate.log_evidence(run, (top, bottom), num_samples=500)
    assert (evidence - bound.elbo).mean() > 0
    # What one half tells of the other.
    other = pv.predict.reconstruct(run, (digits[:5, :32], torch.full((5, 32), NAN)), site="bottom")
    assert other.shape == (5, 32)
    assert torch.isfinite(other).all()
    assert pv.predict.sample(run, 3, site="top").shape == (3, 32)


@pytest.mark.parametrize("experts", EXPERTS)
def test_a_captured_step_with_missing_views_is_that_of_pyro(experts):
    def script(make: Any) -> Iterator[Any]:
        model, guide = (program.double() for program in digit_pair(experts))
        loss = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = make(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
        batch = halves(torch.bernoulli(torch.full((9, 64), 0.5, dtype=torch.float64)), 9)
        for _ in range(3):
            yield svi.step(*batch)
        yield model
        yield guide

    both(script, rtol=1e-8)


@pytest.mark.parametrize("experts", EXPERTS)
def test_experts_say_what_they_are_and_are_rebuilt(experts, digits, tmp_path):
    model, guide = digit_pair(experts)
    assert model.factorisation == "p(top | z) p(bottom | z) p(z)"
    assert guide.factorisation in repr(guide)
    again = build(describe(guide))
    again.load_state_dict(guide.state_dict())
    data = halves(digits, 6)
    z = torch.randn(6, 4)
    assert torch.equal(again.posterior("z", *data).log_prob(z), guide.posterior("z", *data).log_prob(z))
    pv.Fit(model, guide).save(tmp_path)
    loaded = pv.load(tmp_path)
    assert loaded.model.prior is loaded.guide.prior
    assert torch.equal(
        loaded.guide.posterior("z", *data).log_prob(z), guide.posterior("z", *data).log_prob(z)
    )


def test_views_that_are_none_are_generated_and_left_out_of_the_posterior(digits):
    model, guide = digit_pair()
    top = digits[:5, :32]
    seen, drawn = model(top, None)
    assert torch.equal(seen, top)
    assert drawn.shape == (5, 32)
    z = torch.randn(5, 4)
    expected = guide.posterior("z", top, torch.full((5, 32), NAN)).log_prob(z)
    assert torch.allclose(guide.posterior("z", top, None).log_prob(z), expected)
    assert guide(None, drawn)["z"].shape == (5, 4)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: pv.models.Views(pv.priors.StandardNormal(2)), TypeError, "at least one view"),
        (lambda: pv.models.Views(pv.priors.StandardNormal(2), x=nn.Identity()), TypeError, "'x'.*pair"),
        (
            lambda: pv.models.Views(pv.priors.StandardNormal(2), z=(nn.Identity(), pv.heads.bernoulli)),
            ValueError,
            "other names than z",
        ),
        (lambda: digit_pair()[0](), ValueError, r"data x.*model\(size=16\)"),
        (lambda: digit_pair()[1](), ValueError, "data x"),
        (lambda: digit_pair()[1](None, None), ValueError, "data x"),
        (lambda: pv.guides.ProductOfExperts(pv.priors.StandardNormal(2)), TypeError, "at least one view"),
        (lambda: pv.guides.MixtureOfExperts(None), TypeError, "prior of the model"),
        (lambda: pv.guides.MixtureOfExperts(pv.priors.StandardNormal(2), x=3), TypeError, "'x'.*pair"),
        (
            lambda: pv.guides.ProductOfExperts(
                pv.priors.StandardNormal(2), x=(nn.Identity(), pv.heads.bernoulli)
            )(torch.zeros(3, 2)),
            TypeError,
            "view 'x'.*diagonal normal, got Bernoulli",
        ),
        (
            lambda: pv.guides.MixtureOfExperts(
                pv.priors.StandardNormal(2), x=(nn.Identity(), pv.heads.normal)
            )(torch.zeros(3, 6)),
            ValueError,
            "one event shape",
        ),
        (
            lambda: EqualMixture([dist.Normal(torch.zeros(2), 1.0)], torch.ones(2, 2).bool()),
            ValueError,
            r"booleans of shape \(2, 1\)",
        ),
    ],
)
def test_bad_experts_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_gaps_inside_a_view_are_its_networks_and_likelihoods_matter(digits):
    """Beside views that are missing: some entries of those that are there."""
    prior = pv.priors.StandardNormal(4)
    model, _ = digit_pair()
    model = pv.models.Views(
        prior, **{n: (net, pv.heads.Masked(head)) for n, (net, head) in model.views.items()}
    )
    guide = pv.guides.ProductOfExperts(
        prior,
        top=(pv.nets.Filled(pv.nets.MLP(64, 16, 8)), pv.heads.normal),
        bottom=(pv.nets.Filled(pv.nets.MLP(64, 16, 8)), pv.heads.normal),
    )
    top, bottom = halves(digits, 200)
    top[2::3, :5] = NAN
    run = pv.fit(model, guide, (top, bottom), optim=adam, epochs=3, batch_size=20)
    assert run.history[-1].train_loss < run.history[0].train_loss
