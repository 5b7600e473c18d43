"""Guides that multiply or mix experts: exact for every subset of views, finite where any are missing."""

from __future__ import annotations

import itertools

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrovae as pv
from pyrovae.distributions import EqualMixture

NAN = torch.nan


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
