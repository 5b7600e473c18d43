"""Priors: against SciPy and scikit-learn, where they start, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from closeness import close
from scipy import stats
from sklearn.mixture import GaussianMixture
from torch import Tensor

import pyrovae as pv
from pyrovae.distributions import has_closed_form

priors, heads, nets = pv.priors, pv.heads, pv.nets


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
