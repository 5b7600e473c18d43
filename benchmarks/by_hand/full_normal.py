"""A normal with a full covariance as a posterior: the Cholesky factor filled in by index."""

from __future__ import annotations

import torch
from torch import Tensor

from by_hand.normal import LOG_TAU


class FullNormal:
    """Posteriors of d dimensions; network outputs are locs, log variances and what is below the diagonal.

    Arguments:
        rows, columns: where the numbers below the diagonal go.
    """

    def __init__(self, d: int, rows: Tensor, columns: Tensor) -> None:
        self.d, self.rows, self.columns = d, rows, columns

    def factor(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loc ``(n, d)``, log of the factor's diagonal ``(n, d)``, the factor ``(n, d, d)``."""
        d = self.d
        loc, log_variance, below = t.split([d, d, d * (d - 1) // 2], -1)
        factor = torch.diag_embed(torch.exp(0.5 * log_variance))
        factor[:, self.rows, self.columns] = below
        return loc, 0.5 * log_variance, factor

    def draw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Draws ``(n, d)`` and their log densities, which need the noise alone."""
        loc, log_diagonal, factor = self.factor(t)
        noise = torch.randn_like(loc)
        z = loc + (factor @ noise.unsqueeze(-1)).squeeze(-1)
        return z, -0.5 * (LOG_TAU + noise.square()).sum(-1) - log_diagonal.sum(-1)

    def draw_and_divergence(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Draws, and the divergence from the standard normal, nats, ``(n,)``."""
        loc, log_diagonal, factor = self.factor(t)
        z = loc + (factor @ torch.randn_like(loc).unsqueeze(-1)).squeeze(-1)
        trace = factor.square().sum((-2, -1))
        return z, 0.5 * (trace + loc.square().sum(-1) - self.d) - log_diagonal.sum(-1)

    def log_density(self, t: Tensor, z: Tensor) -> Tensor:
        """Of any value, nats, ``(n,)``."""
        loc, log_diagonal, factor = self.factor(t)
        noise = torch.linalg.solve_triangular(factor, (z - loc).unsqueeze(-1), upper=False).squeeze(-1)
        return -0.5 * (LOG_TAU + noise.square()).sum(-1) - log_diagonal.sum(-1)
