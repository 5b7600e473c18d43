"""Several views of one latent, any of them missing: the model, and guides that multiply or mix experts."""

from __future__ import annotations

import functools
import itertools
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


class Linear:
    """Three views, linear in z, with columns at right angles: every posterior is a diagonal normal."""

    noise = (0.5, 0.8, 1.5)
    sizes = (4, 3, 5)

    def __init__(self, experts: type = pv.guides.ProductOfExperts) -> None:
        self.weights = [
            torch.linalg.qr(torch.randn(d, 2).double())[0] * torch.tensor([1.0, 2.0]) for d in self.sizes
        ]
        self.shifts = [torch.randn(d).double() for d in self.sizes]
        prior = pv.priors.DiagonalNormal(2)
        names = ("a", "b", "c")
        decoders = [pv.nets.MLP(2, d) for d in self.sizes]
        encoders = [pv.nets.MLP(d, 4) for d in self.sizes]
        heads = [pv.heads.IsotropicNormal(scale, learn=False) for scale in self.noise]
        pairs = zip(decoders, heads, strict=True)
        self.model = pv.models.Views(prior, **dict(zip(names, pairs, strict=True))).double()
        self.guide = experts(
            prior, **{n: (net, pv.heads.normal) for n, net in zip(names, encoders, strict=True)}
        ).double()
        with torch.no_grad():
            prior.loc.copy_(torch.tensor([0.5, -1.0]))
            prior.log_scale.copy_(torch.tensor([0.3, -0.2]))
            for w, b, scale, decoder, encoder in zip(
                self.weights, self.shifts, self.noise, decoders, encoders, strict=True
            ):
                decoder.layers[0].weight.copy_(w)
                decoder.layers[0].bias.copy_(b)
                # What a view says of z by itself: N(z; (W'W)^-1 W'(x - b), noise^2 (W'W)^-1).
                gain = torch.linalg.inv(w.T @ w) @ w.T
                encoder.layers[0].weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
                encoder.layers[0].bias.copy_(torch.cat([-gain @ b, (scale**2 / (w.T @ w).diagonal()).log()]))
        self.prior = prior

    def evidence(self, views: tuple[Tensor, ...], there: tuple[bool, ...]) -> Tensor:
        """log p of the views that are there."""
        kept = [i for i, seen in enumerate(there) if seen]
        if not kept:
            return torch.zeros(len(views[0])).double()
        w = torch.cat([self.weights[i] for i in kept])
        loc, scale = self.prior.loc.detach(), self.prior.log_scale.detach().exp()
        noise = torch.cat([torch.full((self.sizes[i],), self.noise[i] ** 2) for i in kept]).double()
        exact = torch.distributions.MultivariateNormal(
            w @ loc + torch.cat([self.shifts[i] for i in kept]), w @ (scale**2).diag() @ w.T + noise.diag()
        )
        return exact.log_prob(torch.cat([views[i] for i in kept], -1))


def test_the_product_is_the_exact_posterior_of_every_subset_of_views():
    linear = Linear()
    views = tuple(view.detach() for view in linear.model(size=6))
    subsets = list(itertools.product([True, False], repeat=3))
    data, expected = [[], [], []], []
    for there in subsets:
        expected.append(linear.evidence(views, there))
        for kept, view, seen in zip(data, views, there, strict=True):
            kept.append(view if seen else torch.full_like(view, NAN))
    # All subsets side by side in one batch.
    batch = tuple(torch.cat(kept) for kept in data)
    run = pv.Fit(linear.model, linear.guide)
    weights = pv.evaluate.log_weights(run, batch, num_samples=5)
    assert torch.allclose(weights, torch.cat(expected).expand(5, 48), atol=1e-9)
    posterior = linear.guide.posterior("z", *(torch.full_like(view, NAN) for view in views))
    assert torch.allclose(posterior.base_dist.loc, linear.prior.loc.expand(6, 2))
    assert torch.allclose(posterior.base_dist.scale, linear.prior.log_scale.exp().expand(6, 2))


def test_a_mixture_of_exact_experts_is_the_exact_posterior_of_single_views():
    """Of more than one it is not; but its weights stay unbiased."""
    linear = Linear(pv.guides.MixtureOfExperts)
    # An expert that is alone must know of the prior: here it is made flat.
    with torch.no_grad():
        linear.prior.log_scale.fill_(8.0)
    views = tuple(view.detach() for view in linear.model(size=4))
    one = (torch.full_like(views[0], NAN), views[1], torch.full_like(views[2], NAN))
    run = pv.Fit(linear.model, linear.guide)
    weights = pv.evaluate.log_weights(run, one, num_samples=5)
    assert torch.allclose(weights, linear.evidence(views, (False, True, False)).expand(5, 4), atol=2e-3)
    found = pv.evaluate.evidence(run, views, num_samples=4000)
    gap = found.log_evidence - linear.evidence(views, (True, True, True))
    assert (gap.abs() < 5 * found.standard_error + 1e-3).all()


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


@pytest.mark.parametrize("log_variance", [-80.0, 80.0])
def test_sure_and_clueless_experts_leave_finite_gradients(log_variance):
    prior = pv.priors.DiagonalNormal(2)
    a, b = (pv.nets.MLP(3, 4) for _ in range(2))
    guide = pv.guides.ProductOfExperts(prior, a=(a, pv.heads.normal), b=(b, pv.heads.normal))
    with torch.no_grad():
        a.layers[0].weight[2:] = 0
        a.layers[0].bias[2:] = log_variance
    x = torch.randn(4, 3)
    q = guide.posterior("z", x, x.masked_fill(torch.tensor([[1], [0], [0], [1]]).bool(), NAN))
    assert torch.isfinite(q.base_dist.scale).all()
    (q.rsample().square().sum(-1) + q.base_dist.scale.log().sum(-1)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in guide.parameters())
    if log_variance > 0:
        assert torch.allclose(q.base_dist.loc[0], prior.loc)
    else:
        assert torch.allclose(q.base_dist.loc, a(x)[:, :2], atol=1e-4)


def test_draws_of_a_mixture_come_from_those_that_are_present():
    present = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])
    locs = [torch.tensor(m).expand(3, 1) for m in (-10.0, 0.0, 10.0)]
    q = EqualMixture([dist.Normal(loc, 1.0).to_event(1) for loc in locs], present)
    draws = q.sample((9000,)).squeeze(-1)
    shares = torch.stack([(draws < -5), (draws.abs() < 5), (draws > 5)]).float().mean(1).T
    assert torch.allclose(shares, present / present.sum(-1, keepdim=True), atol=0.02)
    assert torch.equal(q.mean.squeeze(-1), torch.tensor([0.0, 0.0, 10.0]))
    z = torch.linspace(-20, 20, 20_001).reshape(-1, 1, 1)
    mass = q.log_prob(z).exp().sum(0) * (40 / 20_000)
    assert torch.allclose(mass, torch.ones(3), atol=1e-3)
    wide = q.expand((2, 3))
    assert wide.log_prob(wide.sample()).shape == (2, 3)
    assert q.has_rsample
    assert not EqualMixture([dist.Bernoulli(torch.tensor([0.5]))], torch.tensor([[True]])).has_rsample


def test_the_path_of_a_mixture_has_the_gradient_of_its_mean():
    loc = torch.tensor([[-1.0], [2.0]], requires_grad=True)
    parts = [dist.Normal(loc[i].expand(20_000, 1), 0.5).to_event(1) for i in range(2)]
    q = EqualMixture(parts, torch.ones(20_000, 2, dtype=torch.bool))
    q.rsample().square().mean().backward()
    # E z^2 = mean of (loc^2 + scale^2), the gradient is loc.
    assert torch.allclose(loc.grad, loc.detach(), atol=0.05)


@pytest.mark.parametrize(
    ("likelihood", "inputs", "x"),
    [
        (lambda t: dist.Gamma(t.exp(), 1.0).to_event(1), 2, torch.tensor([[1.0, 2.0]])),
        (lambda t: dist.LogNormal(t, 1.0).to_event(1), 2, torch.tensor([[1.0, 2.0]])),
        (lambda t: dist.Poisson(t.exp()).to_event(1), 2, torch.tensor([[1.0, 2.0]])),
        (lambda t: dist.Beta(t.exp(), 1.0).to_event(1), 2, torch.tensor([[0.1, 0.2]])),
        (lambda t: dist.Dirichlet(t.exp()), 2, torch.tensor([[0.3, 0.7]])),
        (lambda t: dist.OneHotCategorical(logits=t), 2, torch.tensor([[0.0, 1.0]])),
        (lambda t: dist.Multinomial(5, logits=t), 2, torch.tensor([[2.0, 3.0]])),
        (lambda t: dist.Categorical(logits=t), 3, torch.tensor([2.0])),
        (pv.heads.Masked(pv.heads.Bernoulli()), 2, torch.tensor([[NAN, 1.0]])),
    ],
)
def test_missing_views_of_any_support_are_left_out_with_finite_gradients(likelihood, inputs, x):
    decoder = pv.nets.MLP(2, inputs)
    model = pv.models.Views(pv.priors.StandardNormal(2), x=(decoder, likelihood))
    z = torch.randn(2, 2)
    fixed = pyro.poutine.condition(model, data={"z": z})
    trace = pyro.poutine.trace(fixed).get_trace(torch.cat([x, torch.full_like(x, NAN)]))
    trace.compute_log_prob()
    log_prob = trace.nodes["x"]["log_prob"]
    alone = likelihood(decoder(z[:1])).log_prob(x)
    assert torch.allclose(log_prob, torch.cat([alone, torch.zeros(1)]))
    log_prob.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in decoder.parameters())


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
