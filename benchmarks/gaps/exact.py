"""The exact evidence of each datum: by quadrature over the plane of z; of the linear model in closed form."""

from __future__ import annotations

import math
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from gaps.problems import LATENT, Problem

WIDE = 6.5
"""Beyond, the standard normal prior has no mass that counts."""
POINTS = 261
"""Along each axis: 0.05 apart, where the thinnest ridge has a scale of 0.03."""


def grid(points: int = POINTS) -> Tensor:
    """The points of the plane, ``(points, points, 2)``, float64; the first latent along the rows."""
    axis = torch.linspace(-WIDE, WIDE, points, dtype=torch.float64)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)


@torch.no_grad()
def log_joint(model: Any, z: Tensor, x: Tensor) -> Tensor:
    """log p(x, z) of data ``(n, 2)`` at points ``(k, 2)`` that they share: ``(k, n)``, nats."""
    return log_joint_of_each(model, z.double().unsqueeze(1).expand(-1, len(x), -1), x)


def log_joint_of_each(model: Any, z: Tensor, x: Tensor) -> Tensor:
    """log p(x, z) of data ``(n, 2)`` at points of their own ``(k, n, 2)``, by the program itself."""
    with pyro.validation_enabled(False):
        trace = poutine.trace(poutine.condition(model, {"z": z})).get_trace(x.double())
        trace.compute_log_prob()
    total: Tensor = trace.nodes["z"]["log_prob"] + trace.nodes["x"]["log_prob"]
    return total


def log_evidence(model: Any, x: Tensor, *, points: int = POINTS, at_a_time: int = 8) -> Tensor:
    """log p(x) by the trapezoidal rule, ``(n,)``, nats: to rounding, where ridges span two points."""
    z = grid(points).flatten(0, 1)
    area = 2 * math.log(2 * WIDE / (points - 1))
    return torch.cat([log_joint(model, z, some).logsumexp(0) + area for some in x.split(at_a_time)])


def log_evidence_of_the_linear(problem: Problem, x: Tensor) -> Tensor:
    """log p(x) of a model whose mean is linear in z, ``(n,)``, nats."""
    weight = problem.mean(torch.eye(LATENT, dtype=torch.float64)).T
    noise = torch.tensor(problem.noise, dtype=torch.float64).square().diag()
    marginal = torch.distributions.MultivariateNormal(
        torch.zeros(LATENT, dtype=torch.float64), weight @ weight.T + noise
    )
    return marginal.log_prob(x.double())


def density(model: Any, x: Tensor, points: int = POINTS) -> Tensor:
    """The posterior density of one datum ``(2,)`` over the grid, ``(points, points)``."""
    log_p = log_joint(model, grid(points).flatten(0, 1), x.unsqueeze(0)).squeeze(1)
    cell = (2 * WIDE / (points - 1)) ** 2
    return (log_p.softmax(0) / cell).view(points, points)
