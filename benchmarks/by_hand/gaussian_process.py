"""A Gaussian process over regular times as a prior of sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from by_hand.normal import LOG_TAU

JITTER = 1e-3


class GaussianProcess(nn.Module):
    """All d dimensions share a squared exponential kernel."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.log_variance, self.log_lengthscale = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        times = torch.arange(float(length))
        self.register_buffer("squares", (times[:, None] - times).square())

    def log_density(self, z: Tensor) -> Tensor:
        """Of sequences ``(n, T, d)``, nats, ``(n,)``."""
        n, length, d = z.shape
        kernel = torch.exp(self.log_variance - 0.5 * self.squares * torch.exp(-2 * self.log_lengthscale))
        factor = torch.linalg.cholesky(kernel + JITTER * torch.exp(self.log_variance) * torch.eye(length))
        columns = z.transpose(0, 1).reshape(length, n * d)
        white = torch.linalg.solve_triangular(factor, columns, upper=False)
        squares = white.square().sum(0).view(n, d).sum(-1)
        return -0.5 * squares - d * (factor.diagonal().log().sum() + 0.5 * length * LOG_TAU)
