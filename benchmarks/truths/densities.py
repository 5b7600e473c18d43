"""What the answers are made of: densities and sums over states, in plain torch, with no Pyro in them."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from truths.truth import Answers, Bound, Exact, Parameters


class Draws:
    """The first values of a truth's parameters and its data, from a seed of its own."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=self._generator, dtype=torch.float64)

    def binary(self, *shape: int) -> Tensor:
        return torch.randint(2, shape, generator=self._generator).double()


def real(*values: float) -> Tensor:
    """A vector of float64; a scalar of one value."""
    return torch.tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


def log_normal(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(x; mean, exp(log_scale)^2) of each entry."""
    return -0.5 * ((x - mean) / log_scale.exp()).square() - log_scale - 0.5 * math.log(2 * math.pi)


def expected_log_normal(mean: Tensor, variance: Tensor, log_scale: Tensor) -> Tensor:
    """E log N(r; 0, exp(log_scale)^2) of a residual r with this mean and variance."""
    square = mean.square() + variance
    return -0.5 * square * (-2 * log_scale).exp() - log_scale - 0.5 * math.log(2 * math.pi)


def entropy_normal(log_scale: Tensor) -> Tensor:
    """The entropy of a normal, nats."""
    return log_scale + 0.5 * math.log(2 * math.pi * math.e)


def log_bernoulli(value: Tensor, logits: Tensor) -> Tensor:
    """log Bernoulli(value; logits) of each entry."""
    return value * logits - softplus(logits)


def log_gaussian(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """log N(x; mean, covariance) of each row of ``x``, ``(n,)``."""
    factor = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(factor, (x - mean).mT, upper=False)
    log_determinant = 2 * factor.diagonal().log().sum()
    return -0.5 * (white.square().sum(0) + log_determinant + len(factor) * math.log(2 * math.pi))


def binary_states(size: int) -> Tensor:
    """Every vector of ``size`` zeros and ones, ``(2 ** size, size)``."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)), dtype=torch.float64)


def enumerated(log_joint: Exact, log_guide: Exact) -> Answers:
    """The answers by sums over all S states.

    Args:
        log_joint: log p(x, state), ``(S, n)``.
        log_guide: log q(state | x), ``(S, n)``.
    """

    def elbo(parameters: Parameters, x: Tensor) -> Tensor:
        log_q = log_guide(parameters, x)
        return (log_q.exp() * (log_joint(parameters, x) - log_q)).sum(0)

    def evidence(parameters: Parameters, x: Tensor) -> Tensor:
        return log_joint(parameters, x).logsumexp(0)

    def bound(parameters: Parameters, x: Tensor, num_particles: int, function: Bound) -> Tensor:
        log_q = log_guide(parameters, x)
        log_weights = log_joint(parameters, x) - log_q
        states = torch.cartesian_prod(*[torch.arange(len(log_q))] * num_particles)
        tuples = states.reshape(-1, num_particles).T  # (K, S ** K)
        return (log_q[tuples].sum(0).exp() * function(log_weights[tuples])).sum(0)

    return Answers(elbo, evidence, bound)
