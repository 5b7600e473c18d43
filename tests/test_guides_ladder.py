"""The ladder: a prior of any depth, its model, and the guide that shares the prior with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.infer
import pytest
import torch
from alongside import both
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import pyrovae as pv
from pyrovae.distributions import divergence
from pyrovae.spec import build, describe

adam = functools.partial(torch.optim.Adam, lr=5e-3)
Pair = tuple[pv.models.Ladder, pv.guides.Ladder]


def digit_pair() -> Pair:
    """Three levels, with one prior for both sides."""
    nets = pv.nets
    prior = pv.priors.Ladder((8, 4, 2), (nets.MLP(4, 16, 16), nets.MLP(2, 8, 8)))
    model = pv.models.Ladder(prior, nets.MLP(8, 32, 64), pv.heads.bernoulli)
    guide = pv.guides.Ladder(
        prior,
        z1=(nets.MLP(64, 32), nets.MLP(32, 16)),
        z2=(nets.MLP(32, 16, 16), nets.MLP(16, 8)),
        z3=(nets.MLP(16, 8, 8), nets.MLP(8, 4)),
    )
    return model, guide


def set_linear(net: pv.nets.MLP, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        net.layers[0].weight.copy_(weight)
        net.layers[0].bias.copy_(bias)


def test_the_density_of_a_linear_ladder_is_that_of_a_normal():
    """z3 ~ N(0, I), each level below linear in the one above: all levels together are normal."""
    prior = pv.priors.Ladder((3, 2, 2), (pv.nets.MLP(2, 6), pv.nets.MLP(2, 4))).double()
    loc, covariance = torch.zeros(2).double(), torch.eye(2).double()
    for net, size in zip(reversed(prior.nets), (2, 3), strict=True):
        weight, bias = torch.randn(size, 2).double(), torch.randn(size).double()
        log_variance = torch.linspace(-1, 1, size).double()
        set_linear(net, torch.cat([weight, torch.zeros(size, 2)]), torch.cat([bias, log_variance]))
        # Of (below, ..., above): the new level stands in front.
        above = covariance[:2]
        loc = torch.cat([weight @ loc[:2] + bias, loc])
        own = weight @ covariance[:2, :2] @ weight.T + log_variance.exp().diag()
        cross = weight @ above
        covariance = torch.cat([torch.cat([own, cross], 1), torch.cat([cross.T, covariance], 1)])
    exact = MultivariateNormal(loc, covariance)
    z = exact.sample((50,))
    assert torch.allclose(prior().log_prob(z), exact.log_prob(z))
    draws = prior().expand([40_000]).sample()
    assert torch.allclose(draws.mean(0), loc, atol=0.1)
    assert torch.allclose(draws.T.cov(), covariance, rtol=0.1, atol=0.15)


def exact_pair() -> tuple[Pair, Callable[[Tensor], Tensor]]:
    """Two levels, normal and linear, dimension by dimension: the guide can be the posterior."""
    slope, shift = torch.tensor([0.8, -1.5]).double(), torch.tensor([0.3, -0.2]).double()
    variance, noise = torch.tensor([0.5, 2.0]).double(), 0.7
    prior = pv.priors.Ladder((2, 2), (pv.nets.MLP(2, 4),))
    model = pv.models.Ladder(prior, pv.nets.MLP(2, 2), pv.heads.IsotropicNormal(noise, learn=False)).double()
    guide = pv.guides.Ladder(
        prior, z1=(pv.nets.MLP(2, 2), pv.nets.MLP(2, 4)), z2=(pv.nets.MLP(2, 2), pv.nets.MLP(2, 4))
    ).double()
    eye, zero = torch.eye(2).double(), torch.zeros(2, 2).double()
    set_linear(prior.nets[0], torch.cat([slope.diag(), zero]), torch.cat([shift, variance.log()]))
    set_linear(model.decoder, eye, zero[0])
    for net, _ in guide.rungs.values():
        set_linear(net, eye, zero[0])
    set_linear(
        guide.rungs["z1"][1],
        torch.cat([eye, zero]),
        torch.full((4,), noise).log() * 2 * (torch.arange(4) > 1),
    )
    # Of z2 the data know x = slope z2 + shift + noise of both kinds.
    precision = 1 + slope**2 / (variance + noise**2)
    gain = slope / (variance + noise**2) / precision
    set_linear(
        guide.rungs["z2"][1], torch.cat([gain.diag(), zero]), torch.cat([-gain * shift, -precision.log()])
    )
    marginal = torch.distributions.Normal(shift, (slope**2 + variance + noise**2).sqrt())
    return (model, guide), lambda x: marginal.log_prob(x).sum(-1)


def test_the_exact_posterior_of_a_linear_ladder_is_in_the_family():
    (model, guide), log_evidence = exact_pair()
    x = 2 * torch.randn(20, 2, dtype=torch.float64)
    weights = pv.evaluate.log_weights(pv.Fit(model, guide), x, num_samples=10)
    assert torch.allclose(weights, log_evidence(x).expand(10, 20)), (
        "the weights of an exact posterior don't vary"
    )


def test_each_levels_kl_is_a_formula_given_the_draw_above(digits):
    model, guide = digit_pair()
    table = pv.objectives.ELBO().explain(model, guide, digits[:5])
    assert [(row.site, row.term) for row in table.rows] == [(f"z{i}", "closed form") for i in (3, 2, 1)]
    # Its mean is that of the samples' log-ratio.
    bound = pv.evaluate.elbo(pv.Fit(model, guide), digits[:5], num_samples=4000)
    assert bound.closed_form == dict.fromkeys(("z1", "z2", "z3"), True)
    sampled = pv.evaluate.log_weights(pv.Fit(model, guide), digits[:5], num_samples=4000).mean(0)
    assert torch.allclose(bound.elbo, sampled, atol=0.15)


def test_what_the_data_say_and_what_is_expected_are_weighed_by_precision():
    _, guide = digit_pair()
    x, above = torch.randn(6, 64), torch.randn(3, 6, 4)
    expected = guide.prior.conditional(1, above).base_dist
    said = pv.heads.normal(guide.rungs["z1"][1](guide.rungs["z1"][0](x))).base_dist
    q = guide.posterior("z1", x, above).base_dist
    precision = said.scale**-2 + expected.scale**-2
    assert q.batch_shape == (3, 6, 8)
    assert torch.allclose(q.variance, 1 / precision, rtol=1e-5)
    loc = (said.loc * said.scale**-2 + expected.loc * expected.scale**-2) / precision
    assert torch.allclose(q.loc, loc, atol=1e-5)


@pytest.mark.parametrize("log_variance", [-80.0, 80.0])
def test_sure_and_clueless_data_leave_finite_gradients(log_variance):
    _, guide = digit_pair()
    read = guide.rungs["z1"][1]
    with torch.no_grad():
        read.layers[0].weight[8:] = 0
        read.layers[0].bias[8:] = log_variance
    x, above = torch.randn(6, 64), torch.randn(6, 4)
    q, expected = guide.posterior("z1", x, above), guide.prior.conditional(1, above)
    if log_variance > 0:
        assert torch.allclose(q.base_dist.loc, expected.base_dist.loc)
        assert torch.allclose(q.base_dist.scale, expected.base_dist.scale)
    else:
        assert torch.allclose(q.base_dist.scale.log(), torch.tensor(0.5 * log_variance))
    divergence(q, expected).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in guide.parameters() if p.grad is not None)


def test_the_shared_prior_is_trained_once_and_right(digits):
    """The steps are those of one Adam over each parameter once, by hand."""
    x = digits[:40]
    loss = TraceMeanField_ELBO(max_plate_nesting=1)

    def fresh() -> Pair:
        pyro.set_rng_seed(3)
        return digit_pair()

    def by_hand() -> Pair:
        model, guide = fresh()
        parameters = list({id(p): p for p in (*model.parameters(), *guide.parameters())}.values())
        optimiser = torch.optim.Adam(parameters, lr=1e-2)
        pyro.set_rng_seed(7)
        for _ in range(3):
            optimiser.zero_grad()
            loss.differentiable_loss(model, guide, x).backward()
            optimiser.step()
        return model, guide

    def by_svi(make: Any) -> Callable[[], Pair]:
        def run() -> Pair:
            model, guide = fresh()
            svi = make(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
            pyro.set_rng_seed(7)
            for _ in range(3):
                svi.step(x)
            return model, guide

        return run

    captured = functools.partial(pv.SVI, compile="capture")
    pairs = []
    for run in (by_hand, by_svi(pyro.infer.SVI), by_svi(captured)):
        pyro.clear_param_store()
        pairs.append(run())
    for model, guide in pairs:
        assert model.prior is guide.prior
    for pair in pairs[1:]:
        for one, other in zip(pairs[0], pair, strict=True):
            for mine, its in zip(one.parameters(), other.parameters(), strict=True):
                assert torch.allclose(mine, its, atol=1e-6)


def test_fit_gives_each_parameter_to_the_optimiser_once(digits):
    model, guide = digit_pair()
    given: list[Tensor] = []

    def optim(parameters: Any) -> torch.optim.Optimizer:
        given.extend(parameters)
        return adam(given)

    pv.fit(model, guide, digits[:50], optim=optim, epochs=1)
    assert len({id(p) for p in given}) == len(given)
    assert {id(p) for p in given} == {id(p) for p in (*model.parameters(), *guide.parameters())}


def test_a_captured_step_of_a_ladder_is_that_of_pyro():
    def script(make: Any) -> Iterator[Any]:
        model, guide = (program.double() for program in digit_pair())
        loss = TraceMeanField_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = make(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
        x = torch.bernoulli(torch.full((7, 64), 0.5, dtype=torch.float64))
        for _ in range(3):
            yield svi.step(x)
        yield model, guide

    def named(make: Any) -> Iterator[Any]:
        for shown in script(make):
            if isinstance(shown, tuple):
                yield from shown
            else:
                yield shown

    both(named, rtol=1e-8)


def test_a_ladder_of_digits_is_fitted_evaluated_and_encoded(digits):
    model, guide = digit_pair()
    before = [p.detach().clone() for p in model.prior.parameters()]
    run = pv.fit(model, guide, digits[:600], validation=digits[600:700], optim=adam, epochs=8, batch_size=50)
    assert run.history[-1].train_loss < run.history[0].train_loss - 5
    assert all(not torch.equal(p, b) for p, b in zip(model.prior.parameters(), before, strict=True))
    x = digits[700:710]
    encoding = pv.predict.encode(run, x)
    assert {name: tuple(mean.shape) for name, mean in encoding.mean.items()} == {
        "z1": (10, 8),
        "z2": (10, 4),
        "z3": (10, 2),
    }
    bound = pv.evaluate.elbo(run, x, num_samples=50)
    evidence = pv.evaluate.log_evidence(run, x, num_samples=500)
    assert (evidence - bound.elbo).mean() > 0
    assert pv.predict.decode(run, encoding.mean).shape == (10, 64)
    assert pv.predict.sample(run, 3).shape == (3, 64)


def test_a_saved_ladder_shares_its_prior_again(digits, tmp_path):
    model, guide = digit_pair()
    run = pv.fit(model, guide, digits[:100], epochs=1, batch_size=50)
    run.save(tmp_path)
    loaded = pv.load(tmp_path)
    assert loaded.model.prior is loaded.guide.prior
    before, after = (pv.evaluate.elbo(r, digits[:5], num_samples=3).elbo for r in (run, loaded))
    assert torch.equal(before, after)


def test_as_the_prior_of_one_vector_it_goes_with_any_guide(digits):
    """All levels in one site, decoded together."""
    prior = pv.priors.Ladder((4, 2), (pv.nets.MLP(2, 8, 8),))
    model = pv.models.VAE(prior, pv.nets.MLP(prior.dim, 32, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 32, 2 * prior.dim), pv.heads.normal))
    run = pv.fit(model, guide, digits[:500], optim=adam, epochs=5, batch_size=50)
    assert run.history[-1].train_loss < run.history[0].train_loss - 5
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in prior.parameters())
    assert torch.isfinite(pv.evaluate.log_evidence(run, digits[:10], num_samples=20)).all()


def test_a_ladder_of_one_level_is_a_vae():
    prior = pv.priors.Ladder((3,), ())
    z = torch.randn(5, 3)
    assert torch.equal(prior().log_prob(z), pv.priors.StandardNormal(3)().log_prob(z))
    model = pv.models.Ladder(prior, pv.nets.MLP(3, 6), pv.heads.bernoulli)
    guide = pv.guides.Ladder(prior, z1=(pv.nets.MLP(6, 4), pv.nets.MLP(4, 6)))
    assert (model.factorisation, guide.factorisation) == ("p(x | z1) p(z1)", "q(z1 | x)")
    assert guide(torch.zeros(2, 6))["z1"].shape == (len(model(size=2)), 3)


def test_a_ladder_says_what_it_is():
    model, guide = digit_pair()
    assert model.factorisation == "p(x | z1) p(z1 | z2) p(z2 | z3) p(z3)"
    assert guide.factorisation == "q(z1 | z2, x) q(z2 | z3, x) q(z3 | x)"
    assert describe(build(describe(model.prior))) == describe(model.prior)
    assert model(size=3).shape == model(torch.zeros(3, 64), torch.arange(3)).shape


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: pv.priors.Ladder((), ()), ValueError, "positive size for each level"),
        (lambda: pv.priors.Ladder((4, 0), (nn.Identity(),)), ValueError, "positive size"),
        (lambda: pv.priors.Ladder((4, 2), ()), ValueError, "1 networks.*got 0"),
        (lambda: pv.priors.Ladder((4, 2), (3,)), TypeError, "networks"),
        (lambda: pv.priors.Ladder((4, 2), (pv.nets.MLP(2, 6),))().sample(), ValueError, "level 1.*8 outputs"),
        (lambda: digit_pair()[0].prior.conditional(0), ValueError, "from 1, at the bottom, to 3"),
        (lambda: digit_pair()[0].prior.conditional(2), ValueError, r"level 2.*above it, \(\.\.\., 2\)"),
        (lambda: pv.models.Ladder(pv.priors.StandardNormal(2), nn.Identity(), None), TypeError, "ladder"),
        (lambda: pv.guides.Ladder(pv.priors.StandardNormal(2)), TypeError, "ladder"),
        (lambda: pv.guides.Ladder(pv.priors.Ladder((2,), ())), ValueError, "1 sites.*got 0"),
        (lambda: pv.guides.Ladder(pv.priors.Ladder((2,), ()), z=nn.Identity()), TypeError, "'z'.*pair"),
        (lambda: digit_pair()[0](), ValueError, r"model\(size=16\)"),
        (lambda: digit_pair()[1](), ValueError, "data x"),
    ],
)
def test_bad_ladders_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_rung_of_another_size_than_its_level_is_refused_by_site():
    prior = pv.priors.Ladder((4, 2), (pv.nets.MLP(2, 8),))
    guide = pv.guides.Ladder(
        prior, z1=(nn.Identity(), pv.nets.MLP(6, 8)), z2=(nn.Identity(), pv.nets.MLP(6, 8))
    )
    with pytest.raises(ValueError, match=r"site 'z2'.*4 outputs.*got 8"):
        guide(torch.zeros(3, 6))


def test_a_guide_with_a_prior_of_its_own_is_refused(digits):
    """Another prior than the model's would be in use, and never be trained."""
    (model, _), (_, guide) = digit_pair(), digit_pair()
    with pytest.raises(ValueError, match=r"guide\.prior.*never be trained"):
        pv.fit(model, guide, digits[:50], epochs=1)
