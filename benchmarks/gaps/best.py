"""The least gap that a normal posterior can have, without noise: what no training of one can fall below."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gaps import exact
from gaps.problems import LATENT, Problem

NODES = 5
"""Of Gauss and Hermite's rule along each axis: exact here, where log p(x, z) is a polynomial of degree 4."""
STARTS = (0.0, 1.0, 2.0)
"""How far first locs lie from the prior's: a bound may have an optimum between two modes and one in each."""


def least_gap(problem: Problem, x: Tensor, log_evidence: Tensor, *, full: bool) -> Tensor:
    """log p(x) less the greatest ELBO of any normal, diagonal or ``full``, for each datum ``(n,)``, nats."""
    gaps = [log_evidence - _climbed(problem, x.double(), full, spread) for spread in STARTS]
    return torch.stack(gaps).amin(0)


def _climbed(problem: Problem, x: Tensor, full: bool, spread: float) -> Tensor:
    """The ELBO ``(n,)`` at an optimum, found from random locs and small scales."""
    noise = torch.Generator().manual_seed(0)
    loc = spread * torch.randn(len(x), LATENT, generator=noise, dtype=torch.float64)
    log_scale = torch.full_like(loc, -2.0)
    below = torch.zeros(len(x), 1, dtype=torch.float64)
    moved = [loc.requires_grad_(), log_scale.requires_grad_(), *([below.requires_grad_()] if full else [])]
    climb = torch.optim.LBFGS(moved, max_iter=500, history_size=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        climb.zero_grad()
        total = -_elbo(problem, x, loc, log_scale, below).sum()
        total.backward()
        return total

    climb.step(loss)
    return _elbo(problem, x, loc, log_scale, below).detach()


def _elbo(problem: Problem, x: Tensor, loc: Tensor, log_scale: Tensor, below: Tensor) -> Tensor:
    """E log p(x, z) by the rule, and the entropy; z = loc + L e with ``below`` under L's diagonal."""
    noise, weight = _rule()
    scale = log_scale.exp()
    e1, e2 = noise.unsqueeze(1).unbind(-1)
    z = loc + torch.stack((scale[:, 0] * e1, below[:, 0] * e1 + scale[:, 1] * e2), -1)
    entropy = log_scale.sum(-1) + 0.5 * LATENT * (1 + math.log(2 * math.pi))
    return weight @ exact.log_joint_of_each(problem.model, z, x) + entropy


def _rule() -> tuple[Tensor, Tensor]:
    """Points ``(k, 2)`` and weights ``(k,)`` of expectations under a standard normal of the plane."""
    points, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(NODES))
    plane = torch.cartesian_prod(points, points)
    return plane, torch.outer(weights, weights).flatten() / (2 * math.pi)
