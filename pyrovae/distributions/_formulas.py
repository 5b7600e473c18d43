r"""The closed forms of :math:`\mathrm{KL}(q \,\|\, p)` that torch and Pyro lack, added to torch's registry.

Nothing that is registered already is replaced. For a reader of torch's registry: its ``(p, q)`` is our
``(q, p)``, the first being the one under the integral.

References:
    Bauckhage, 2014, Computing the Kullback-Leibler Divergence between two Weibull Distributions,
        https://arxiv.org/abs/1310.3713
    Zhang, Chen, Guo and Zhou, 2018, WHAI, https://arxiv.org/abs/1803.01328 (Weibull to gamma)
    Davidson et al., 2018, Hyperspherical VAEs, https://arxiv.org/abs/1804.00891 (von Mises-Fisher to uniform)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions.torch_distribution import ExpandedDistribution
from torch import Tensor
from torch.distributions import (
    Cauchy,
    Exponential,
    Gamma,
    HalfCauchy,
    Independent,
    InverseGamma,
    LogNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    VonMises,
    Weibull,
    kl_divergence,
)
from torch.distributions import kl as torch_kl
from torch.nn.functional import softplus

from pyrovae.distributions import _radial
from pyrovae.distributions.gaussian_series import GaussianSeries
from pyrovae.distributions.sphere import SphericalUniform
from pyrovae.distributions.von_mises_fisher import VonMisesFisher

Formula = Callable[[Any, Any], Tensor]

EULER = 0.57721566490153286061
"""Minus the mean of the logarithm of a standard exponential."""


def _closed_form(q_type: type, p_type: type) -> Callable[[Formula], Formula]:
    def register(formula: Formula) -> Formula:
        if (q_type, p_type) not in torch_kl._KL_REGISTRY:
            torch_kl.register_kl(q_type, p_type)(formula)
        return formula

    return register


def is_diagonal_normal(fn: Any) -> bool:
    """Whether it is ``Normal(...).to_event(1)``."""
    return (
        isinstance(fn, Independent) and fn.reinterpreted_batch_ndims == 1 and isinstance(fn.base_dist, Normal)
    )


@_closed_form(MultivariateNormal, Independent)
@_closed_form(LowRankMultivariateNormal, Independent)
def full_to_diagonal(q: Any, p: Any) -> Tensor:
    """The cross-entropy to a diagonal normal needs q's mean and variances only: no matrix is formed."""
    if not is_diagonal_normal(p):
        raise NotImplementedError
    diagonal = p.base_dist
    excess = 0.5 * (q.variance / diagonal.variance).sum(-1)
    cross = excess - diagonal.log_prob(q.mean).sum(-1)
    return cross - q.entropy()


@_closed_form(Independent, LowRankMultivariateNormal)
def diagonal_to_low_rank(q: Any, p: Any) -> Tensor:
    """By Woodbury's identity, the trace needs the diagonal of p's precision only."""
    if not is_diagonal_normal(q):
        raise NotImplementedError
    variance = q.base_dist.variance
    scaled = p._unbroadcasted_cov_factor.mT / p._unbroadcasted_cov_diag.unsqueeze(-2)
    root = torch.linalg.solve_triangular(p._capacitance_tril, scaled, upper=False)
    precision = 1 / p._unbroadcasted_cov_diag - root.square().sum(-2)
    cross = 0.5 * (variance * precision).sum(-1) - p.log_prob(q.base_dist.loc)
    return cross - q.entropy()


def is_normal_by_element(fn: Any) -> bool:
    """Whether it is ``Normal(...)`` with any dimensions declared as event."""
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return isinstance(fn, Normal)


@_closed_form(Independent, GaussianSeries)
def elements_to_series(q: Any, p: GaussianSeries) -> Tensor:
    """The trace needs the diagonals of p's precisions only."""
    if not is_normal_by_element(q):
        raise NotImplementedError
    identity = torch.eye(p.event_shape[0], dtype=p.loc.dtype, device=p.loc.device)
    root = torch.linalg.solve_triangular(p.scale_tril, identity, upper=False)
    precision = root.square().sum(-2).mT
    cross = 0.5 * (q.variance * precision).sum((-2, -1)) - p.log_prob(q.mean)
    return cross - q.entropy()


@_closed_form(VonMisesFisher, VonMisesFisher)
def fisher_to_fisher(q: VonMisesFisher, p: VonMisesFisher) -> Tensor:
    """The cross-entropy is linear in q's mean."""
    cross = p.log_normalizer + p.concentration * (1 - (p.loc * q.mean).sum(-1))
    return cross - q.entropy()


@_closed_form(VonMisesFisher, SphericalUniform)
def fisher_to_uniform(q: VonMisesFisher, p: SphericalUniform) -> Tensor:
    """The log area, less q's entropy."""
    return _to_batch(_radial.log_area(p.dim) - q.entropy(), q, p)


@_closed_form(SphericalUniform, VonMisesFisher)
def uniform_to_fisher(q: SphericalUniform, p: VonMisesFisher) -> Tensor:
    """The uniform distribution's mean is the centre."""
    return _to_batch(p.log_normalizer + p.concentration - _radial.log_area(q.dim), q, p)


@_closed_form(SphericalUniform, SphericalUniform)
def uniform_to_uniform(q: SphericalUniform, p: SphericalUniform) -> Tensor:
    """Zero."""
    return _to_batch(torch.zeros((), dtype=q.dtype, device=q.device), q, p)


@_closed_form(VonMises, VonMises)
def circle_to_circle(q: Any, p: Any) -> Tensor:
    """Of angles: as of vectors on the circle."""
    below, _ = _radial.moments(q.concentration, 2)
    entropy = _radial.log_normalizer(q.concentration, 2) + q.concentration * below
    aligned = (1 - below) * (q.loc - p.loc).cos()
    return _radial.log_normalizer(p.concentration, 2) + p.concentration * (1 - aligned) - entropy


@_closed_form(HalfCauchy, HalfCauchy)
def half_to_half(q: Any, p: Any) -> Tensor:
    """Both halves alike: that of the whole ones."""
    return kl_divergence(Cauchy(0.0, q.scale), Cauchy(0.0, p.scale))


@_closed_form(InverseGamma, InverseGamma)
def inverse_to_inverse(q: Any, p: Any) -> Tensor:
    """That of the gammas; no comparison of transforms, which would read their values."""
    return kl_divergence(q.base_dist, p.base_dist)


@_closed_form(Weibull, Weibull)
def weibull_to_weibull(q: Any, p: Any) -> Tensor:
    """A power of a Weibull is an exponential one."""
    moment = _weibull_moment(q, p.concentration, p.scale)
    rates = (q.concentration / q.scale).log() - (p.concentration / p.scale).log()
    shapes = (q.concentration - 1) * _log_mean(q, q.scale) - (p.concentration - 1) * _log_mean(q, p.scale)
    return rates + shapes + moment - 1


@_closed_form(Weibull, Gamma)
def weibull_to_gamma(q: Any, p: Any) -> Tensor:
    """The closed form that makes a reparameterised posterior of a gamma latent."""
    a, b = p.concentration, p.rate
    mean_log = _log_mean(q, torch.ones_like(q.scale))
    mean = q.scale * (1 + 1 / q.concentration).lgamma().exp()
    cross = a.lgamma() - a * b.log() - (a - 1) * mean_log + b * mean
    return cross - _weibull_entropy(q)


@_closed_form(Weibull, Exponential)
def weibull_to_exponential(q: Any, p: Any) -> Tensor:
    """To a gamma of shape one."""
    mean = q.scale * (1 + 1 / q.concentration).lgamma().exp()
    return p.rate * mean - p.rate.log() - _weibull_entropy(q)


@_closed_form(LogNormal, Gamma)
def log_normal_to_gamma(q: Any, p: Any) -> Tensor:
    """Mean and mean logarithm of a log-normal are known."""
    a, b = p.concentration, p.rate
    return a.lgamma() - a * b.log() - (a - 1) * q.loc + b * _log_normal_mean(q) - _log_normal_entropy(q)


@_closed_form(LogNormal, Exponential)
def log_normal_to_exponential(q: Any, p: Any) -> Tensor:
    """To a gamma of shape one."""
    return p.rate * _log_normal_mean(q) - p.rate.log() - _log_normal_entropy(q)


@_closed_form(Gamma, LogNormal)
def gamma_to_log_normal(q: Any, p: Any) -> Tensor:
    """Mean and variance of a gamma's logarithm are polygammas."""
    a = q.concentration
    loc, variance = a.digamma() - q.rate.log(), torch.special.polygamma(1, a)
    deviation = (variance + (loc - p.loc).square()) / (2 * p.scale.square())
    cross = loc + p.scale.log() + 0.5 * math.log(2 * math.pi) + deviation
    entropy = a - q.rate.log() + a.lgamma() + (1 - a) * a.digamma()
    return cross - entropy


@_closed_form(ExpandedDistribution, ExpandedDistribution)
def expanded_to_expanded(q: Any, p: Any) -> Tensor:
    """That of what was expanded, to the shape of both."""
    return _to_batch(kl_divergence(q.base_dist, p.base_dist), q, p)


def bernoulli_to_bernoulli(q: Any, p: Any) -> Tensor:
    """As torch's, by ``where`` instead of an assignment to a selection."""
    ones = q.probs * (softplus(-p.logits) - softplus(-q.logits))
    zeros = (1 - q.probs) * (softplus(p.logits) - softplus(q.logits))
    return _supported(ones, q.probs, p.probs) + _supported(zeros, 1 - q.probs, 1 - p.probs)


def categorical_to_categorical(q: Any, p: Any) -> Tensor:
    """As torch's, by ``where`` instead of an assignment to a selection."""
    return _supported(q.probs * (q.logits - p.logits), q.probs, p.probs).sum(-1)


def one_hot_to_one_hot(q: Any, p: Any) -> Tensor:
    """That of the categories."""
    return categorical_to_categorical(q._categorical, p._categorical)


def uniform_interval_to_interval(q: Any, p: Any) -> Tensor:
    """As torch's, by ``where`` instead of an assignment to a selection."""
    outside = (p.low > q.low) | (p.high < q.high)
    return ((p.high - p.low) / (q.high - q.low)).log().masked_fill(outside, math.inf)


CAPTURABLE: dict[Formula, Formula] = {
    torch_kl._kl_bernoulli_bernoulli: bernoulli_to_bernoulli,
    torch_kl._kl_categorical_categorical: categorical_to_categorical,
    torch_kl._kl_onehotcategorical_onehotcategorical: one_hot_to_one_hot,
    torch_kl._kl_uniform_uniform: uniform_interval_to_interval,
}
"""torch's formulas that no captured step can hold, for they assign to a selection; and ours that it can."""


def _supported(part: Tensor, q_mass: Tensor, p_mass: Tensor) -> Tensor:
    """A part of the sum: none where q has no mass, infinite where p alone has none."""
    return part.masked_fill(p_mass == 0, math.inf).masked_fill(q_mass == 0, 0.0)


def _to_batch(value: Tensor, q: Any, p: Any) -> Tensor:
    return value.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))


def _log_mean(q: Any, scale: Tensor) -> Tensor:
    """E[log(x / scale)] of a Weibull."""
    return (q.scale / scale).log() - EULER / q.concentration


def _weibull_moment(q: Any, power: Tensor, scale: Tensor) -> Tensor:
    """E[(x / scale)^power]."""
    return (power * (q.scale / scale).log() + (1 + power / q.concentration).lgamma()).exp()


def _weibull_entropy(q: Any) -> Tensor:
    return EULER * (1 - 1 / q.concentration) + (q.scale / q.concentration).log() + 1


def _log_normal_mean(q: Any) -> Tensor:
    return (q.loc + 0.5 * q.scale.square()).exp()


def _log_normal_entropy(q: Any) -> Tensor:
    return q.loc + q.scale.log() + 0.5 * (1 + math.log(2 * math.pi))
