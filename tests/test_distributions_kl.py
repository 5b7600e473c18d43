"""Closed forms of divergences beside samples and beside torch's own; what is around them; what has none."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import pyro.distributions as dist
import pyro.distributions.transforms as T
import pytest
import torch
from torch import Tensor
from torch.distributions import Wishart, kl_divergence
from torch.distributions import kl as torch_kl
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import normalize

from pyrovae.distributions import (
    GaussianSeries,
    SphericalUniform,
    VonMisesFisher,
    _formulas,
    divergence,
    has_closed_form,
    per_dimension,
)

DOUBLE = torch.float64


def _t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def _matrix(dim: int = 3, rank: int | None = None) -> Tensor:
    return torch.randn(dim, rank or dim, dtype=DOUBLE)


def _full(dim: int = 3) -> Any:
    root = _matrix(dim)
    return dist.MultivariateNormal(torch.randn(dim, dtype=DOUBLE), root @ root.mT + torch.eye(dim))


def _low_rank(dim: int = 3) -> Any:
    loc, factor = torch.randn(dim, dtype=DOUBLE), _matrix(dim, 2)
    return dist.LowRankMultivariateNormal(loc, factor, torch.rand(dim, dtype=DOUBLE) + 0.5)


def _diagonal(dim: int = 3) -> Any:
    scale = torch.rand(dim, dtype=DOUBLE) + 0.5
    return dist.Normal(torch.randn(dim, dtype=DOUBLE), scale).to_event(1)


def _fisher(concentration: float) -> VonMisesFisher:
    loc = normalize(torch.randn(4, dtype=DOUBLE), dim=-1)
    return VonMisesFisher(loc, concentration)


def _series(*sizes: int) -> Any:
    scale = torch.rand(*sizes, dtype=DOUBLE) + 0.5
    return dist.Normal(torch.randn(*sizes, dtype=DOUBLE), scale).to_event(2)


def _process(length: int, dim: int) -> GaussianSeries:
    tril = 0.3 * torch.randn(dim, length, length, dtype=DOUBLE).tril(-1) + torch.eye(length)
    return GaussianSeries(torch.randn(length, dim, dtype=DOUBLE), tril)


PAIRS = {
    "elements to series": lambda: (_series(4, 2), _process(4, 2)),
    "full to diagonal": lambda: (_full(), _diagonal()),
    "diagonal to full": lambda: (_diagonal(), _full()),
    "low rank to diagonal": lambda: (_low_rank(), _diagonal()),
    "diagonal to low rank": lambda: (_diagonal(), _low_rank()),
    "fisher to uniform": lambda: (_fisher(5.0), SphericalUniform(4)),
    "uniform to fisher": lambda: (SphericalUniform(4, dtype=DOUBLE), _fisher(5.0)),
    "fisher to fisher": lambda: (_fisher(5.0), _fisher(1.5)),
    "angles": lambda: (dist.VonMises(_t(0.3), _t(2.0)), dist.VonMises(_t(-1.0), _t(0.7))),
    "weibull": lambda: (dist.Weibull(_t(1.3), _t(1.7)), dist.Weibull(_t(0.8), _t(1.2))),
    "weibull to gamma": lambda: (dist.Weibull(_t(1.3), _t(1.7)), dist.Gamma(_t(2.0), _t(1.5))),
    "weibull to exponential": lambda: (dist.Weibull(_t(1.3), _t(1.7)), dist.Exponential(_t(1.5))),
    "log-normal": lambda: (dist.LogNormal(_t(0.1), _t(0.5)), dist.LogNormal(_t(0.5), _t(0.8))),
    "log-normal to gamma": lambda: (dist.LogNormal(_t(0.1), _t(0.5)), dist.Gamma(_t(2.0), _t(1.5))),
    "log-normal to exponential": lambda: (dist.LogNormal(_t(0.1), _t(0.5)), dist.Exponential(_t(1.5))),
    "gamma to log-normal": lambda: (dist.Gamma(_t(2.0), _t(1.5)), dist.LogNormal(_t(0.1), _t(0.5))),
    "inverse gamma": lambda: (dist.InverseGamma(_t(3.0), _t(1.5)), dist.InverseGamma(_t(4.0), _t(2.0))),
    "half-cauchy": lambda: (dist.HalfCauchy(_t(1.0)), dist.HalfCauchy(_t(2.0))),
    "bernoulli": lambda: (dist.Bernoulli(_t(0.3)), dist.Bernoulli(_t(0.6))),
    "categorical": lambda: (dist.Categorical(_t(0.2, 0.3, 0.5)), dist.Categorical(_t(0.4, 0.4, 0.2))),
    "one-hot": lambda: (
        dist.OneHotCategorical(_t(0.2, 0.3, 0.5)),
        dist.OneHotCategorical(_t(0.4, 0.4, 0.2)),
    ),
    "interval": lambda: (dist.Uniform(_t(0.1), _t(0.6)), dist.Uniform(_t(0.0), _t(1.0))),
    "laplace to normal": lambda: (dist.Laplace(_t(0.1), _t(0.5)), dist.Normal(_t(0.0), _t(1.0))),
    "normal to laplace": lambda: (dist.Normal(_t(0.1), _t(0.5)), dist.Laplace(_t(0.0), _t(1.0))),
    "dirichlet": lambda: (dist.Dirichlet(_t(1.0, 2.0, 3.0)), dist.Dirichlet(_t(1.0, 1.0, 1.0))),
    "beta": lambda: (dist.Beta(_t(2.0), _t(3.0)), dist.Beta(_t(1.5), _t(1.0))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_closed_form_is_the_mean_over_samples(name: str) -> None:
    q, p = PAIRS[name]()
    n = 100_000
    z = q.sample((n,))
    difference = q.log_prob(z) - p.log_prob(z)
    kl = divergence(q, p)
    assert has_closed_form(q, p)
    assert kl.shape == q.batch_shape
    assert kl.item() > 0
    error = (kl - difference.mean(0)).abs()
    assert (error < 4 * difference.std(0) / n**0.5 + 1e-9).all()
    torch.testing.assert_close(kl_divergence(q, p), kl)  # the registry says the same


@pytest.mark.parametrize("name", [name for name in PAIRS if "uniform to" not in name])
def test_divergence_from_itself_is_zero(name: str) -> None:
    q, _ = PAIRS[name]()
    torch.testing.assert_close(divergence(q, q), torch.zeros(q.batch_shape, dtype=DOUBLE), atol=1e-9, rtol=0)


@pytest.mark.parametrize("to_diagonal", [True, False])
@pytest.mark.parametrize("make", [_full, _low_rank])
def test_normals_agree_with_full_ones(make: Any, to_diagonal: bool) -> None:
    """Value and gradients, beside torch's formula for two full covariances."""
    other, diagonal = make(), _diagonal()
    factor = other.scale_tril if make is _full else other.cov_factor
    leaves = [
        x.detach().clone().requires_grad_()
        for x in (other.loc, factor, diagonal.base_dist.loc, diagonal.base_dist.scale)
    ]
    loc, factor, d_loc, d_scale = leaves
    slim = dist.Normal(d_loc, d_scale).to_event(1)
    whole = dist.MultivariateNormal(d_loc, covariance_matrix=torch.diag_embed(d_scale**2))
    if make is _full:
        rich: Any = dist.MultivariateNormal(loc, scale_tril=factor)
        rich_whole: Any = rich
    else:
        rich = dist.LowRankMultivariateNormal(loc, factor, other.cov_diag)
        rich_whole = dist.MultivariateNormal(loc, factor @ factor.mT + torch.diag(other.cov_diag))
    ours = divergence(rich, slim) if to_diagonal else divergence(slim, rich)
    theirs = kl_divergence(rich_whole, whole) if to_diagonal else kl_divergence(whole, rich_whole)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for one, two in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True):
        lower = one.tril() if one.ndim == 2 and make is _full else one
        torch.testing.assert_close(lower, two.tril() if lower is not one else two, rtol=1e-8, atol=1e-9)


def test_low_rank_forms_no_square_matrix() -> None:
    dim = 100_000  # a square one would take 80 GB
    q = dist.LowRankMultivariateNormal(torch.zeros(dim), torch.ones(dim, 1) * 1e-3, torch.ones(dim))
    p = dist.Normal(torch.zeros(dim), 1.0).to_event(1)
    exact = 0.5 * (0.1 - math.log(1.1))
    assert divergence(q, p).item() == pytest.approx(exact, abs=0.02)
    assert divergence(p, q).item() == pytest.approx(0.5 * (1 / 1.1 - 1 + math.log(1.1)), abs=0.02)


def test_fisher_of_no_concentration_is_uniform() -> None:
    q = _fisher(1e-7)
    assert divergence(q, SphericalUniform(4)).item() == pytest.approx(0, abs=1e-10)
    k = torch.tensor(3.0, dtype=DOUBLE, requires_grad=True)
    # d KL / d k = k Var(w), of which the mean over the sphere is the derivative of E[w].
    (gradient,) = torch.autograd.grad(divergence(VonMisesFisher(q.loc, k), SphericalUniform(4)), k)
    mean = (VonMisesFisher(q.loc, k).mean * q.loc).sum()
    assert gradient.item() == pytest.approx(3 * torch.autograd.grad(mean, k)[0].item(), rel=1e-8)


def _q(*shape: int) -> Any:
    return dist.Normal(torch.randn(*shape, dtype=DOUBLE), 0.7)


def test_nested_events_agree() -> None:
    q, p = _q(5, 4, 3, 2), _q(4, 3, 2)
    elements = kl_divergence(q, p)
    for dims in range(4):
        kl = divergence(q.to_event(dims), p.to_event(min(dims, 3)))
        torch.testing.assert_close(kl, elements.flatten(4 - dims).sum(-1) if dims else elements)
        parts = per_dimension(q.to_event(dims), p.to_event(dims))
        assert parts is not None
        torch.testing.assert_close(parts, elements)
    nested = torch.distributions.Independent(torch.distributions.Independent(q, 1), 2)
    torch.testing.assert_close(divergence(nested, p.to_event(3)), elements.sum((1, 2, 3)))


def test_events_of_vectors_within_events() -> None:
    q = dist.MultivariateNormal(torch.randn(6, 4, 3, dtype=DOUBLE), torch.eye(3, dtype=DOUBLE)).to_event(1)
    p = _q(4, 3).to_event(2)
    kl = divergence(q, p)
    assert kl.shape == (6,)
    each = divergence(q.base_dist, _q(3).to_event(1))
    assert each.shape == (6, 4)
    whole = kl_divergence(
        q.base_dist,
        dist.MultivariateNormal(p.base_dist.loc, 0.49 * torch.eye(3, dtype=DOUBLE)),
    )
    torch.testing.assert_close(kl, whole.sum(-1))
    assert per_dimension(q, p) is None


@pytest.mark.parametrize("kind", [lambda t: dist.Bernoulli(logits=t), lambda t: dist.Poisson(t.exp())])
def test_priors_of_a_smaller_batch_broadcast(kind: Any) -> None:
    t = torch.randn(5, 3)
    q, p = kind(t), kind(torch.zeros(3))
    torch.testing.assert_close(divergence(q, p), kl_divergence(q, p.expand([5, 3])))
    assert divergence(q.to_event(1), p.to_event(1)).shape == (5,)
    assert divergence(q.to_event(1), p.expand([5, 3]).to_event(1)).shape == (5,)


def test_masks_must_be_the_same() -> None:
    q, p = _q(5, 3).to_event(1), _q(3).to_event(1).expand([5])
    mask = torch.tensor([True, False, True, True, False])
    kl = divergence(q.mask(mask), p.mask(mask))
    torch.testing.assert_close(kl, torch.where(mask, divergence(q, p), 0.0))
    parts = per_dimension(q.mask(mask), p.mask(mask))
    assert parts is not None
    torch.testing.assert_close(parts.sum(-1), kl)
    assert has_closed_form(q.mask(mask).expand([2, 5]), p.mask(mask).expand([2, 5]))
    assert not divergence(q.mask(False), p.mask(False)).any()
    torch.testing.assert_close(divergence(q.mask(True), p), divergence(q, p))
    for others in ((q.mask(mask), p), (q, p.mask(mask)), (q.mask(mask), p.mask(~mask))):
        assert not has_closed_form(*others)
        assert per_dimension(*others) is None
    inner = torch.rand(5, 3) < 0.5
    elements = (q.base_dist.mask(inner).to_event(1), p.base_dist.mask(inner).to_event(1))
    parts = per_dimension(*elements)
    assert parts is not None
    torch.testing.assert_close(parts.sum(-1), divergence(*elements))


def test_expanded_distributions() -> None:
    q, p = _q(3).to_event(1), _q(3).to_event(1)
    wide = [dist.ExpandedDistribution(x, torch.Size([4])) for x in (q, p)]
    exact = divergence(q, p)
    for pair in (wide, [wide[0], p], [q, wide[1]]):
        kl = divergence(*pair)
        assert kl.shape == (4,)
        torch.testing.assert_close(kl, exact.expand(4))
    torch.testing.assert_close(kl_divergence(*wide), exact.expand(4))


def test_delta_counts_with_its_density() -> None:
    v = torch.rand(5, 3, dtype=DOUBLE)
    p = _q(3).to_event(1)
    torch.testing.assert_close(divergence(dist.Delta(v).to_event(1), p), -p.log_prob(v))
    torch.testing.assert_close(divergence(dist.Delta(v, event_dim=1), p), -p.log_prob(v))
    weighted = dist.Delta(v, torch.ones(5, dtype=DOUBLE), event_dim=1)
    torch.testing.assert_close(divergence(weighted, p), 1 - p.log_prob(v))
    for prior in (_full(), _low_rank(), dist.Dirichlet(_t(1.0, 2.0, 3.0))):
        point = v / v.sum(-1, keepdim=True)
        kl = divergence(dist.Delta(point).to_event(1), prior)
        torch.testing.assert_close(kl, -prior.log_prob(point))
    parts = per_dimension(dist.Delta(v).to_event(1), p)
    assert parts is not None
    torch.testing.assert_close(parts, -p.base_dist.log_prob(v))


def test_transforms_must_be_the_same_and_invertible() -> None:
    def through(*transforms: Any) -> Any:
        return dist.TransformedDistribution(_q(3).to_event(1), list(transforms))

    flow, scale = T.planar(3), _t(1.0, 2.0, 3.0)
    same: list[Any] = [
        lambda: T.SigmoidTransform(),
        lambda: T.AffineTransform(0.0, 2.0),
        lambda: T.AffineTransform(0.0, scale),
        lambda: T.ComposeTransform([T.ExpTransform(), T.AffineTransform(0.0, scale)]),
        lambda: T.ExpTransform().inv,
        lambda: flow,
    ]
    for make in same:
        q, p = through(make()), through(make())
        torch.testing.assert_close(divergence(q, p), divergence(q.base_dist, p.base_dist))
    for one, other in (
        (T.SigmoidTransform(), T.ExpTransform()),
        (T.SigmoidTransform().inv, T.ExpTransform().inv),
        (T.AffineTransform(0.0, 2.0), T.AffineTransform(0.0, 3.0)),
        (T.AffineTransform(0.0, scale), T.AffineTransform(0.0, scale.clone())),
        (T.planar(3), T.planar(3)),
        (T.AbsTransform(), T.AbsTransform()),
    ):
        assert not has_closed_form(through(one), through(other))
    left, right = (dist.FoldedDistribution(dist.Normal(x, 1.0)) for x in (-1.0, 1.0))
    assert not has_closed_form(left, right)  # torch says 2, and they are the same


def test_what_has_no_closed_form() -> None:
    p = _q(3).to_event(1)
    with pytest.raises(NotImplementedError, match=r"KL\(StudentT \|\| Normal\).*Estimate it from samples"):
        divergence(dist.StudentT(5.0, torch.zeros(3)).to_event(1), p)
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        divergence(_q(2).to_event(1), p)
    assert not has_closed_form(_q(2).to_event(1), p)
    assert per_dimension(_q(2).to_event(1), p) is None
    assert per_dimension(_full(), p) is None
    assert per_dimension(dist.StudentT(5.0, torch.zeros(3)).to_event(1), p) is None
    assert not has_closed_form(_full(), dist.Laplace(torch.zeros(3), 1.0).to_event(1))
    assert not has_closed_form(dist.Laplace(torch.zeros(3), 1.0).to_event(1), _full())
    assert not has_closed_form(dist.Laplace(torch.zeros(3), 1.0).to_event(1), _low_rank())
    assert not has_closed_form(dist.Bernoulli(0.5), dist.Normal(0.0, 1.0))
    wishart = Wishart(torch.tensor(4.0), torch.eye(3))
    assert not has_closed_form(wishart, wishart)  # type: ignore[arg-type]


def test_discrete_supports() -> None:
    q = dist.Categorical(_t(0.5, 0.5, 0.0))
    assert divergence(q, dist.Categorical(_t(0.25, 0.25, 0.5))).item() == pytest.approx(math.log(2))
    assert divergence(q, dist.Categorical(_t(1.0, 0.0, 0.0))).item() == math.inf
    assert divergence(dist.Bernoulli(_t(1.0)), dist.Bernoulli(_t(0.5))).item() == pytest.approx(math.log(2))
    assert divergence(dist.Bernoulli(_t(0.5)), dist.Bernoulli(_t(1.0))).item() == math.inf
    assert divergence(dist.Uniform(_t(0.0), _t(2.0)), dist.Uniform(_t(0.0), _t(1.0))).item() == math.inf


@pytest.mark.parametrize(
    "kind",
    [
        lambda t: dist.Bernoulli(logits=t).to_event(1),
        lambda t: dist.Categorical(logits=t),
        lambda t: dist.OneHotCategorical(logits=t),
        lambda t: dist.InverseGamma(t.exp(), t.exp()).to_event(1),
        lambda t: dist.Weibull(t.exp(), t.exp()).to_event(1),
        lambda t: dist.LogNormal(t, t.exp()).to_event(1),
        lambda t: dist.LowRankMultivariateNormal(t, t.unsqueeze(-1), t.exp()),
    ],
)
def test_captured_on_tensors_without_values(kind: Any) -> None:
    def program(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        kl = divergence(kind(a), kind(b))
        return kl, *torch.autograd.grad(kl.sum(), (a, b))

    a, b = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    with dist.validation_enabled(False):
        graph = make_fx(program, tracing_mode="fake")(a, b)
        for one, two in zip(graph(a, b), program(a, b), strict=True):
            torch.testing.assert_close(one, two)


def test_registry_is_unambiguous_and_nothing_of_others_is_replaced() -> None:
    kinds = {
        x
        for _, x in inspect.getmembers(dist, inspect.isclass)
        if issubclass(x, torch.distributions.Distribution)
    } | {VonMisesFisher, SphericalUniform}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for q in kinds:
            for p in kinds:
                torch_kl._dispatch_kl(q, p)
    ours = {
        pair for pair, formula in torch_kl._KL_REGISTRY.items() if formula.__module__ == _formulas.__name__
    }
    assert len(ours) == 18
    before = dict(torch_kl._KL_REGISTRY)
    _formulas._closed_form(torch.distributions.Normal, torch.distributions.Normal)(lambda q, p: q.loc)
    assert before == torch_kl._KL_REGISTRY
