"""Priors: against SciPy and scikit-learn, where they start, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
from scipy import stats
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.distributions import has_closed_form

priors, heads, nets = pv.priors, pv.heads, pv.nets


def close(ours: Tensor, theirs: Any, atol: float = 1e-5) -> bool:
    return bool(np.allclose(ours.detach().numpy(), theirs, atol=atol))


@pytest.fixture
def z() -> Tensor:
    """Correlated draws, ``(500, 3)``."""
    mix = torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, -1.0], [0.0, 0.0, 0.3]])
    return torch.randn(500, 3) @ mix + torch.tensor([1.0, -2.0, 5.0])


# SciPy


def test_a_full_normal_is_that_of_scipy(z: Tensor) -> None:
    prior = priors.FullNormal(3).start_from(z)
    reference = stats.multivariate_normal(z.mean(0), np.cov(z.T, bias=True))
    assert close(prior().log_prob(z), reference.logpdf(z), atol=1e-3)


def test_a_laplace_a_dirichlet_and_a_sphere_are_those_of_scipy() -> None:
    points = torch.tensor([[-3.0, 0.0], [0.5, 20.0]])
    assert close(priors.Laplace(2, scale=0.3)().log_prob(points), stats.laplace.logpdf(points, 0, 0.3).sum(1))
    shares = torch.tensor([0.2, 0.3, 0.5])
    for concentration in (0.1, 1.0, 7.0):
        ours = priors.Dirichlet(3, concentration=concentration)().log_prob(shares)
        assert close(
            ours, stats.dirichlet.logpdf(shares.double() / shares.double().sum(), [concentration] * 3)
        )
    globe = priors.Sphere(3)().log_prob(torch.tensor([0.6, 0.0, 0.8]))
    assert globe.item() == pytest.approx(-math.log(4 * math.pi))


def test_mixture_weights_scales_and_places_are_those_of_expectation_maximisation() -> None:
    z = torch.cat([torch.randn(300, 2) * 0.1 - 3, torch.randn(100, 2) * torch.tensor([1.0, 50.0]) + 3])
    prior = priors.NormalMixture(2, 2).start_from(z)
    order = prior.loc[:, 0].argsort()
    assert close(prior.logits.softmax(0)[order], [0.75, 0.25], atol=0.01)
    assert close(prior.log_scale.exp()[order][0], [0.1, 0.1], atol=0.02)
    reference = GaussianMixture(2, covariance_type="diag", random_state=0).fit(z / z.std(0))
    by_sklearn = reference.score_samples((z / z.std(0)).numpy()) - z.std(0).log().sum().item()
    assert close(prior().log_prob(z), by_sklearn, atol=0.05)


# The mixture that all data share


@pytest.mark.parametrize("narrow", [1.0, 1e-1, 1e-2, 1e-3])
def test_the_product_form_keeps_its_digits(narrow: float) -> None:
    """In single precision, near components and between them, it is within 1e-4 nats of double and direct."""
    loc, scale = 2 * torch.randn(40, 20) + 1, narrow * torch.rand(40, 20).add(0.5)
    ours = pv.distributions.SharedMixture(loc, scale.log(), torch.randn(40))
    near = loc + scale * torch.randn_like(loc)
    theirs = dist.MixtureSameFamily(
        dist.Categorical(logits=ours.logits.double()),
        dist.Normal(loc.double(), ours.log_scale.double().exp()).to_event(1),
    )
    assert torch.allclose(ours.log_prob(near).double(), theirs.log_prob(near.double()), rtol=0, atol=1e-4)
    between = torch.randn(40, 20)
    assert torch.allclose(ours.log_prob(between).double(), theirs.log_prob(between.double()), rtol=1e-6)


def test_moments_and_expansion_of_the_shared_mixture() -> None:
    ours = pv.distributions.SharedMixture(torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 1), torch.zeros(2))
    wide = ours.expand((4, 3))
    assert wide.mean.shape == wide.variance.shape == (4, 3, 1)
    assert close(wide.variance, 2.0)
    assert wide.log_prob(torch.zeros(1)).shape == (4, 3)
    with pytest.raises(ValueError, match="NormalMixture"):
        pv.distributions.SharedMixture(torch.zeros(5, 2, 1), torch.zeros(5, 2, 1), torch.zeros(5, 2))


# VampPrior


class Counting(nn.Module):
    """An encoder that counts how often it is called."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.rows = net, []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        y: Tensor = self.net(x)
        return y


@pytest.mark.parametrize("head", [heads.normal, heads.FullNormal()])
def test_three_pseudo_inputs_are_the_mixture_of_three_posteriors(head: Any) -> None:
    prior = priors.VampPrior(
        nets.MLP(4, 5 if head is not heads.normal else 4), head, 3, (4,), learn_weights=True
    )
    with torch.no_grad():
        prior.log_weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
    z = torch.randn(7, 2)
    weights = prior.log_weights.softmax(0)
    by_hand = sum(
        w * head(prior.encoder(u)).log_prob(z).exp()
        for w, u in zip(weights, prior.pseudo_inputs, strict=True)
    )
    assert torch.allclose(prior().log_prob(z), by_hand.log(), atol=1e-5)


def test_it_draws_from_the_posteriors_and_not_from_a_standard_normal() -> None:
    prior = priors.VampPrior(nets.MLP(3, 2), heads.normal, 4, (3,)).start_from(30 * torch.randn(9, 3))
    components = heads.normal(prior.encoder(prior.pseudo_inputs)).base_dist
    draws = prior().sample((4000,)).flatten()

    def cdf(v: Any) -> Any:
        return np.mean(
            [stats.norm.cdf(v, *place) for place in zip(*map(_flat, components_of), strict=True)], 0
        )

    components_of = (components.loc, components.scale)
    assert stats.kstest(draws.numpy(), cdf).pvalue > 1e-4
    assert stats.kstest(draws.numpy(), stats.norm.cdf).pvalue < 1e-9


def _flat(t: Tensor) -> Any:
    return t.detach().flatten().numpy()


def test_one_pass_of_the_encoder_a_step_over_all_pseudo_inputs() -> None:
    encoder = Counting(nets.MLP(6, 4))
    prior = priors.VampPrior(encoder, heads.normal, 50, (6,))
    model = pv.models.VAE(prior, nets.MLP(2, 6), heads.bernoulli)
    guide = pv.guides.Amortized(z=(encoder, heads.normal))
    encoder.rows.clear()
    Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1).differentiable_loss(
        model, guide, torch.zeros(8, 6)
    )
    assert encoder.rows == [8, 50]


def test_gradients_reach_pseudo_inputs_outside_the_bounds_too() -> None:
    prior = priors.VampPrior(nets.MLP(5, 4), heads.normal, 6, (5,), bounds=(-1.0, 1.0))
    with torch.no_grad():
        prior.raw.copy_(7 * torch.randn(6, 5))
        prior.raw[0] = torch.tensor([-1.0, 0.0, 1.0, -3.0, 3.0])
    assert prior.pseudo_inputs.abs().max() <= 1
    assert close(prior.pseudo_inputs[0], [-1, 0, 1, 1, -1])
    prior().log_prob(torch.randn(20, 2)).sum().backward()
    assert (prior.raw.grad != 0).all()
    assert all(p.grad.abs().sum() > 0 for p in prior.encoder.parameters())


def test_pseudo_inputs_start_at_data() -> None:
    x = torch.rand(30, 2, 3)
    net = nn.Sequential(nn.Flatten(), nets.MLP(6, 4))
    prior = priors.VampPrior(net, heads.normal, 30, (2, 3), bounds=(0, 1)).start_from(x, noise=0.0)
    assert torch.allclose(prior.pseudo_inputs.flatten(1).sum(1).sort().values, x.sum((1, 2)).sort().values)
    again = [prior.start_from(x, seed=1).raw.detach().clone() for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(prior.start_from(x, seed=2).raw, again[0])
    few = priors.VampPrior(net, heads.normal, 30, (2, 3)).start_from(x[:4], noise=1e-3)
    assert len(few.raw.unique(dim=0)) == 30
    assert torch.cdist(few.raw.flatten(1), x[:4].flatten(1)).min(1).values.max() < 0.02


def _vamp_pair(x: Tensor, make: Callable[..., Any] = heads.Normal) -> tuple[Any, Any]:
    torch.manual_seed(0)
    encoder, head = nets.MLP(64, 32, make().features(4)), make()
    prior = priors.VampPrior(encoder, head, 20, (64,), bounds=(0, 1), learn_weights=True).start_from(x)
    model = pv.models.VAE(prior, nets.MLP(4, 32, 64), heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, head))


def _parameters(model: nn.Module, guide: nn.Module) -> list[Tensor]:
    return list(dict.fromkeys([*model.parameters(), *guide.parameters()]))


@pytest.mark.parametrize("make", [pyro.infer.SVI, pv.SVI])
def test_the_shared_encoder_is_stepped_once(make: Any, digits: Tensor) -> None:
    """Pyro's store names it twice, in the model and in the guide; Adam by hand knows each tensor once."""
    elbo = Trace_ELBO(max_plate_nesting=1)
    model, guide = _vamp_pair(digits)
    by_hand = torch.optim.Adam(_parameters(model, guide), lr=0.01)
    pyro.set_rng_seed(1)
    for _ in range(4):
        by_hand.zero_grad()
        elbo.differentiable_loss(model, guide, digits[:32]).backward()
        by_hand.step()
    expected = _parameters(model, guide)
    pyro.clear_param_store()
    model, guide = _vamp_pair(digits)
    options = {"compile": "capture"} if make is pv.SVI else {}
    svi = make(model, guide, pyro.optim.Adam({"lr": 0.01}), elbo, **options)
    pyro.set_rng_seed(1)
    for _ in range(4):
        svi.step(digits[:32])
    for ours, theirs in zip(_parameters(model, guide), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_run_with_a_shared_encoder_learns_and_is_loaded_sharing_it(digits: Tensor, tmp_path: Any) -> None:
    run = pv.fit(*_vamp_pair(digits), digits[:1000], epochs=6, progress=False)
    assert run.history[-1].train_loss < 0.9 * run.history[0].train_loss
    again = pv.load(run.save(tmp_path))
    assert again.model.prior.encoder is again.guide.nets["z"]
    scores = [pv.evaluate.log_evidence(r, digits[1000:1020], 50) for r in (run, again)]
    assert torch.equal(*scores)


def test_a_run_with_a_shared_encoder_resumes_exactly(digits: Tensor, tmp_path: Any) -> None:
    whole = pv.fit(*_vamp_pair(digits), digits[:300], epochs=4, progress=False)
    for epochs in (2, 4):
        resumed = pv.fit(
            *_vamp_pair(digits),
            digits[:300],
            epochs=epochs,
            run_dir=tmp_path,
            resume=epochs == 4,
            progress=False,
        )
    assert all(
        torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    )


# Where they start


def test_moments_are_exact(z: Tensor) -> None:
    diagonal = priors.DiagonalNormal(3).start_from(z)
    assert close(diagonal().mean, z.mean(0))
    assert close(diagonal().stddev, np.std(z.numpy(), 0))
    full = priors.FullNormal(3).start_from(z)
    assert close(full().covariance_matrix, np.cov(z.T, bias=True), atol=1e-4)
    laplace = priors.Laplace(3, learn=True).start_from(z)
    assert close(laplace().mean, [np.median(column) for column in z.T], atol=0.02)


@pytest.mark.parametrize(
    "make", [priors.DiagonalNormal, priors.FullNormal, lambda d: priors.Laplace(d, learn=True)]
)
def test_where_it_starts_no_step_makes_draws_likelier(make: Any, z: Tensor) -> None:
    prior = make(3).start_from(z)
    assert prior.starts_at_best
    best = prior().log_prob(z).mean()
    for parameter in prior.parameters():
        for change in (-0.02, 0.02):
            with torch.no_grad():
                parameter += change
                assert prior().log_prob(z).mean() < best + 1e-4
                parameter -= change


def test_a_mixture_begins_where_a_standard_normal_is() -> None:
    prior = priors.NormalMixture(20, 200)()
    assert prior.mean.abs().max() < 0.3
    assert (prior.variance - 1).abs().max() < 0.3
    assert close(priors.NormalMixture(3, 1)().log_prob(torch.zeros(3)), stats.norm.logpdf(0) * 3)


# Closed forms, and side by side


@pytest.mark.parametrize(
    ("head", "prior"),
    [
        (heads.Normal(), priors.DiagonalNormal(3)),
        (heads.Normal(), priors.FullNormal(3)),
        (heads.FullNormal(), priors.FullNormal(3)),
        (heads.FullNormal(), priors.StandardNormal(3)),
        (heads.LowRankNormal(1), priors.FullNormal(3)),
        (heads.Laplace(), priors.Laplace(3)),
        (heads.VonMisesFisher(), priors.Sphere(3)),
        (heads.LogisticNormal(), priors.LogisticNormal(3)),
        (heads.Dirichlet(), priors.Dirichlet(3)),
        (heads.OneHot(), priors.OneHot(3)),
        (heads.Bernoulli(), priors.Bernoulli(3)),
        (heads.Normal(), priors.Joint(a=priors.StandardNormal(1), b=priors.DiagonalNormal(2))),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_posterior_of_the_prior_s_kind_has_its_divergence_in_closed_form(head: Any, prior: Any) -> None:
    q, p = head(torch.randn(4, head.features(3))), prior().expand((4,))
    assert has_closed_form(q, p)
    draws = q.sample((20_000,))
    by_draws = (q.log_prob(draws) - p.log_prob(draws)).mean(0)
    assert torch.allclose(pv.distributions.divergence(q, p), by_draws, rtol=0.1, atol=0.05)


def test_a_joint_is_the_product_of_its_blocks() -> None:
    prior = priors.Joint(tilt=priors.Laplace(1), style=priors.FullNormal(2), bits=priors.Bernoulli(2))
    z = torch.cat([torch.randn(6, 3), torch.tensor([[0.0, 1.0]]).expand(6, 2)], 1)
    cut = prior.cut(z)
    assert {name: part.shape[-1] for name, part in cut.items()} == {"tilt": 1, "style": 2, "bits": 2}
    alone = sum(prior.blocks[name]().log_prob(part) for name, part in cut.items())
    assert torch.allclose(prior().log_prob(z), alone)
    assert prior.dim == 5


def test_a_joint_of_covariates_knows_the_rest(digits: Tensor) -> None:
    def tilt(y: Tensor) -> Any:
        return dist.Normal(y, 0.05).to_event(1)

    prior = priors.Joint(tilt=tilt, style=priors.StandardNormal(3))
    assert (prior.dim, prior.covariates) == (None, 1)
    y = torch.linspace(-1, 1, 200)[:, None]
    p = prior(y)
    assert type(p.base_dist).__name__ == "Normal"
    assert torch.equal(prior.cut(p.mean)["tilt"], y)
    model = pv.models.VAE(prior, nets.MLP(4, 32, 64), heads.bernoulli)
    guide = pv.guides.Amortized(z=(nets.MLP(64, 32, 8), heads.normal))
    run = pv.fit(model, guide, (digits[:200], y), epochs=30, batch_size=50, progress=False)
    assert run.history[-1].train_loss < 0.9 * run.history[0].train_loss
    assert model(None, y).shape == (200, 64)


def test_a_prior_of_labels_learns_where_each_class_lies() -> None:
    """The classes are two patterns: the prior's means come apart."""
    y = torch.arange(400) % 2
    x = torch.bernoulli(torch.where(y[:, None] == torch.arange(8) % 2, 0.9, 0.1))
    prior = priors.Conditional(nets.MLP(2, 4), heads.normal, classes=2)
    model = pv.models.VAE(prior, nets.MLP(2, 8), heads.bernoulli)
    guide = pv.guides.Amortized(z=(nets.MLP(8, 16, 4), heads.normal))
    pv.fit(
        model, guide, (x, y), epochs=30, batch_size=50, optim=pyro.optim.Adam({"lr": 0.03}), progress=False
    )
    apart = prior(torch.arange(2))
    assert ((apart.mean[0] - apart.mean[1]) / apart.stddev.mean()).norm() > 2
    drawn = model(None, torch.tensor([0] * 200 + [1] * 200)).reshape(2, 200, 8).mean(1)
    assert (drawn[0, ::2] > 0.6).all()
    assert (drawn[1, ::2] < 0.4).all()


# Refusals


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: priors.FullNormal(0), ValueError, "FullNormal, dim: expected a whole number, 1 or more"),
        (lambda: priors.DiagonalNormal(2.0), ValueError, "DiagonalNormal, dim"),
        (lambda: priors.Sphere(1), ValueError, "Sphere, dim: expected a whole number, 2 or more"),
        (lambda: priors.Laplace(2, scale=0.0), ValueError, "Laplace, scale"),
        (lambda: priors.Dirichlet(2, concentration=math.inf), ValueError, "concentration.*got inf"),
        (
            lambda: priors.Bernoulli(2, probs=1.0),
            ValueError,
            "probs: expected a positive number, less than 1",
        ),
        (lambda: priors.RelaxedOneHot(1), ValueError, "RelaxedOneHot, dim"),
        (lambda: priors.RelaxedBernoulli(2, temperature=-1.0), ValueError, "temperature.*lower"),
        (lambda: priors.NormalMixture(2, 0), ValueError, "components"),
        (lambda: priors.Conditional(nets.MLP(2, 2), heads.normal, classes=1), ValueError, "classes"),
        (
            lambda: priors.Conditional(nets.MLP(2, 2), heads.normal, classes=2)(torch.zeros(3)),
            ValueError,
            r"integer labels.*float32.*y\.long\(\)",
        ),
        (lambda: priors.Joint(), TypeError, "at least one block"),
        (lambda: priors.Joint(a=3), TypeError, "block 'a'"),
        (lambda: priors.Joint(a=lambda: dist.Normal(0.0, 1.0))(), ValueError, r"block 'a'.*to_event\(1\)"),
        (lambda: priors.Joint(a=lambda y: y)(), ValueError, "block 'a'.*covariates"),
        (lambda: priors.Joint(a=priors.Laplace(2)).cut(torch.zeros(3)), ValueError, r"'a': 2.*\(3,\)"),
        (lambda: priors.DiagonalNormal(2).start_from(torch.zeros(5, 3)), ValueError, r"\(n, 2\).*\(5, 3\)"),
        (
            lambda: priors.DiagonalNormal(2).start_from(torch.tensor([[1.0, 3.0], [2.0, 3.0]])),
            ValueError,
            "dimension 1",
        ),
        (
            lambda: priors.DiagonalNormal(1).start_from(torch.tensor([[0.0], [math.nan]])),
            ValueError,
            "finite",
        ),
        (lambda: priors.FullNormal(3).start_from(torch.eye(3)[:2]), ValueError, "singular"),
        (lambda: priors.NormalMixture(1, 9).start_from(torch.randn(4, 1)), ValueError, "9 or more"),
        (lambda: priors.Laplace(1).start_from(torch.randn(4, 1)), ValueError, "learn=True"),
        (lambda: _vamp(bounds=(1.0, 0.0)), ValueError, r"bounds.*\(1\.0, 0\.0\)"),
        (lambda: _vamp(components=0), ValueError, "components"),
        (lambda: _vamp(shape=(4, 3)), ValueError, "one posterior of one pseudo-input"),
        (lambda: _vamp().start_from(torch.zeros(5, 4)), ValueError, r"\(n, 3\).*\(5, 4\)"),
        (lambda: _vamp().start_from(torch.full((5, 3), math.nan)), ValueError, "finite"),
    ],
)
def test_bad_parameters_are_refused(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def _vamp(components: int = 2, shape: tuple[int, ...] = (3,), **options: Any) -> priors.VampPrior:
    return priors.VampPrior(nets.MLP(3, 4), heads.normal, components, shape, **options)
