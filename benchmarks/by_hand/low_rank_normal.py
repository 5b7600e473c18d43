"""A normal whose covariance is a diagonal and a few directions, as a posterior."""

from __future__ import annotations

import torch
from torch import Tensor

from by_hand.normal import LOG_TAU


def draw(t: Tensor, d: int, rank: int) -> tuple[Tensor, Tensor]:
    """Draws ``(n, d)`` and log densities; outputs are locs, log variances, directions in units of scales."""
    loc, log_variance, v = t.split([d, d, d * rank], -1)
    v = v.view(-1, d, rank)
    noise = torch.randn(len(t), rank, 1)
    white = (v @ noise).squeeze(-1) + torch.randn_like(loc)
    z = loc + torch.exp(0.5 * log_variance) * white
    # Of I + V V', by Woodbury's formula and the lemma of determinants.
    factor = torch.linalg.cholesky(torch.eye(rank) + v.mT @ v)
    inner = torch.linalg.solve_triangular(factor, v.mT @ white.unsqueeze(-1), upper=False).squeeze(-1)
    distance = white.square().sum(-1) - inner.square().sum(-1)
    log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + log_variance.sum(-1)
    return z, -0.5 * (d * LOG_TAU + log_det + distance)
