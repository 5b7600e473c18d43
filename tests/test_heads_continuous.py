"""Likelihoods of continuous data: beside SciPy, at extremes, and on digits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.distributions import LogConcentrationBeta, LogScaleStudentT

heads = pv.heads


def pieces(count: int, parameters: int) -> list[Tensor]:
    return list(1.3 * torch.randn(parameters, count, dtype=torch.float64))


@pytest.mark.parametrize(
    ("head", "parameters", "scipy"),
    [
        (heads.Normal(), 2, lambda m, s: stats.norm(m, (0.5 * s).exp())),
        (heads.Laplace(), 2, lambda m, s: stats.laplace(m, s.exp())),
        (heads.StudentT(df=0.7), 2, lambda m, s: stats.t(0.7, m, s.exp())),
        (heads.StudentT(df=30.0), 2, lambda m, s: stats.t(30.0, m, s.exp())),
        (heads.Beta(), 2, lambda a, b: stats.beta((2 * a).exp(), (2 * b).exp())),
        (heads.IsotropicNormal(0.3), 1, lambda m: stats.norm(m, 0.3)),
    ],
    ids=lambda part: repr(part) if not isinstance(part, int) and "lambda" not in repr(part) else "",
)
def test_densities_and_moments_are_those_of_scipy(head: Any, parameters: int, scipy: Any) -> None:
    given = pieces(200, parameters)
    if isinstance(head, nn.Module):
        head = head.double()
    with torch.no_grad():
        d = head(torch.cat([(2 if isinstance(head, heads.Beta) else 1) * x for x in given]))
        x = d.sample()
        x = x.clamp(1e-6, 1 - 1e-6) if isinstance(head, heads.Beta) else x
        theirs = scipy(*given)
        assert d.log_prob(x).item() == pytest.approx(theirs.logpdf(x).sum(), rel=1e-6)
        assert d.base_dist.log_prob(x).numpy() == pytest.approx(theirs.logpdf(x), rel=2e-6, abs=2e-6)
        if not isinstance(head, heads.StudentT):
            assert d.mean.numpy() == pytest.approx(theirs.mean(), rel=1e-6)
        if isinstance(head, heads.StudentT) and head.df > 2:
            assert d.variance.numpy() == pytest.approx(theirs.var(), rel=1e-6)


EDGES = {
    "Normal": (heads.Normal(), [-1.0, 0.0, 1.0]),
    "IsotropicNormal": (heads.IsotropicNormal(), [-1.0, 0.0, 1.0]),
    "OptimalNormal": (heads.OptimalNormal(), [-1.0, 0.0, 1.0]),
    "CommittedNormal": (heads.CommittedNormal(1.0), [-1.0, 0.0, 1.0]),
    "Laplace": (heads.Laplace(), [-1.0, 0.0, 1.0]),
    "StudentT": (heads.StudentT(), [-1.0, 0.0, 1.0]),
    "StudentT learned": (heads.StudentT(df=1e-3, learn=True), [-1.0, 0.0, 1.0]),
    "Beta": (heads.Beta(), [1e-12, 1e-7, 0.3, 1 - 2**-24]),
    "ContinuousBernoulli": (heads.ContinuousBernoulli(), [0.0, 1e-7, 0.5, 1.0]),
    "Bernoulli": (heads.Bernoulli(), [0.0, 1.0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_extremes_are_finite_and_so_are_their_gradients(name: str) -> None:
    """In float32, for all combinations of network outputs of 0 and +-50 and data at the support's edges."""
    head, edges = EDGES[name]
    outputs = torch.tensor([*itertools.product([-50.0, 0.0, 50.0], repeat=head.features(1))])
    t = outputs.repeat_interleave(len(edges), 0).requires_grad_()
    x = torch.tensor(edges).repeat(len(outputs)).unsqueeze(-1).requires_grad_()
    log_prob = head(t).log_prob(x)
    assert torch.isfinite(log_prob).all()
    leaves = [t, *(head.parameters() if isinstance(head, nn.Module) else ())]
    for gradient in torch.autograd.grad(log_prob.sum(), [*leaves, *([x] if name != "Bernoulli" else [])]):
        assert torch.isfinite(gradient).all()
    for one, entry in zip(t, x, strict=True):  # and each by itself: infinities may cancel in no sum
        (gradient,) = torch.autograd.grad(head(one).log_prob(entry), one)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", EDGES)
def test_draws_at_extremes_are_in_the_support(name: str) -> None:
    head, _ = EDGES[name]
    outputs = torch.tensor([*itertools.product([-20.0, 0.0, 20.0], repeat=head.features(1))])
    with torch.no_grad():
        d = head(outputs)
        x = d.sample((200,))
        assert d.support.check(x).all()
        if name != "OptimalNormal":
            assert torch.isfinite(d.log_prob(x)).all()


@pytest.mark.parametrize("df", [1e-2, 1.0, 15.9, 16.1, 1e3, 1e6])
def test_student_s_t_in_single_precision_is_that_of_double(df: float) -> None:
    """Value and gradient by the degrees of freedom, of which torch's formula loses half at a million."""
    found = []
    for dtype in (torch.float32, torch.float64):
        nu = torch.tensor(df, dtype=dtype, requires_grad=True)
        x = torch.linspace(-4, 4, 41, dtype=dtype)
        log_prob = LogScaleStudentT(nu, x.new_zeros(()), x.new_full((), 0.3)).log_prob(x)
        (gradient,) = torch.autograd.grad(log_prob.sum(), nu)
        found.append((log_prob.detach().double(), gradient.double()))
    (single, slope), (double, true_slope) = found
    assert torch.allclose(single, double, rtol=2e-6, atol=2e-6)
    if df < 1e3:  # beyond, the gradients of the terms cancel to nearly nothing
        assert slope.item() == pytest.approx(true_slope.item(), rel=1e-3)
    scipy = stats.t(df, 0.0, math.exp(0.3)).logpdf(torch.linspace(-4, 4, 41, dtype=torch.float64).numpy())
    assert double.numpy() == pytest.approx(scipy, rel=1e-6)


@pytest.mark.parametrize("log_a", [-12.0, 0.0, 3.0, 7.0, 10.0])
@pytest.mark.parametrize("log_b", [-12.0, 0.0, 7.0, 10.0])
def test_the_beta_in_single_precision_is_that_of_scipy(log_a: float, log_b: float) -> None:
    a, b = (torch.tensor(v, dtype=torch.float32) for v in (log_a, log_b))
    exact = stats.beta(*(math.exp(v) for v in (a.item(), b.item())))
    x = torch.tensor([1e-4, 0.03, 0.5, 0.97, exact.mean()], dtype=torch.float32).clamp(1e-6, 1 - 1e-6)
    theirs = exact.logpdf(x.double().numpy())
    ours = LogConcentrationBeta(a, b).log_prob(x).numpy()
    assert ours == pytest.approx(theirs, rel=2e-6, abs=4e-3 if max(log_a, log_b) > 9 else 4e-4)


def gray_digits() -> Tensor:
    """The 1,797 digits of 17 gray levels, spread over (0, 1), ``(1797, 64)``."""
    spread = pv.data.Chain([pv.data.Flatten(), pv.data.Dequantize(levels=17)])
    splits = pv.data.load("digits", transform=spread)
    return torch.cat([part.transformed() for part in splits])


def fitted(head: Any, x: Tensor, **options: Any) -> Any:
    """A VAE of a head after some forty steps on data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = pv.nets.MLP(4, 64, head.features(x.shape[1]))
        model = pv.models.VAE(pv.priors.StandardNormal(4), net, head)
        guide = pv.guides.Amortized(z=(pv.nets.MLP(x.shape[1], 64, 8), heads.normal))
    settings = {"epochs": 8, "batch_size": 100, "optim": pyro.optim.Adam({"lr": 5e-3}), **options}
    return pv.fit(model, guide, x[:500], progress=False, compile=False, **settings)


@pytest.mark.parametrize(
    "head",
    [
        heads.Normal(),
        heads.IsotropicNormal(0.3, learn=False),
        heads.IsotropicNormal(),
        heads.OptimalNormal(),
        heads.Laplace(),
        heads.StudentT(),
        heads.StudentT(df=10.0, learn=True),
        heads.Beta(),
        heads.ContinuousBernoulli(),
    ],
    ids=repr,
)
def test_each_fits_digits(head: Any) -> None:
    """On data that it has not seen too, in evaluation mode; what fits less well is a model of no pixel."""
    x = gray_digits()
    run = fitted(head, x, validation=x[500:800])
    first, last = run.history[0], run.history[-1]
    assert last.train_loss < first.train_loss - 1
    assert last.validation_loss < first.validation_loss - 1
    z = run.model.prior().expand((16,)).sample()
    samples = run.model.likelihood(run.model.decoder(z)).sample()
    assert run.model.likelihood(run.model.decoder(z)).support.check(samples).all()


def test_of_one_scale_the_optimal_one_is_learned_at_once() -> None:
    """After the same steps: better than fixed or learned from 1, and near the residuals' own."""
    x = gray_digits()
    losses = {
        str(head): fitted(head, x, validation=x[500:800]).history[-1].validation_loss
        for head in (
            heads.IsotropicNormal(1.0, learn=False),
            heads.IsotropicNormal(1.0),
            heads.OptimalNormal(),
        )
    }
    fixed, learned, optimal = losses.values()
    assert fixed > learned > optimal


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: heads.StudentT(df=0.0), "df: expected a positive number.*got 0.0"),
        (lambda: heads.StudentT(df=math.inf), r"heads\.Normal"),
        (lambda: heads.OptimalNormal(momentum=0.0), r"momentum: expected a weight in \(0, 1\]"),
        (lambda: heads.OptimalNormal(least=-1.0), "least: expected a positive scale"),
        (lambda: heads.IsotropicNormal(-1.0), "scale: expected a positive number"),
        (lambda: heads.Normal(event_dim=0), "event_dim: expected how many dimensions"),
        (lambda: heads.Laplace(event_dim=True), "event_dim: expected how many dimensions"),
        (lambda: heads.Laplace()(torch.zeros(5, 3)), r"even size.*\(5, 3\).*2 \* d outputs"),
        (lambda: heads.Beta(event_dim=3)(torch.zeros(5, 3, 2, 2)), r"dimension -3.*log concentrations"),
        (lambda: heads.StudentT(event_dim=3)(torch.zeros(4, 4)), r"even size.*\(4, 4\)"),
        (lambda: heads.ContinuousBernoulli(event_dim=3)(torch.zeros(4, 4)), r"dimension -3.*\(4, 4\)"),
        (lambda: heads.Bernoulli()(torch.zeros(())), r"dimension -1.*\(\)"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()
