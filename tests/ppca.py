"""Probabilistic PCA in closed form: what a VAE with a linear decoder and Gaussian noise must agree with.

Tipping and Bishop, 1999, Probabilistic Principal Component Analysis, JRSS B 61(3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PPCA:
    """x = W z + mean + noise, z ~ N(0, I), noise of variance ``variance`` in every direction; float64.

    Attributes:
        weight: ``(D, d)``.
        mean: ``(D,)``.
    """

    weight: Tensor
    mean: Tensor
    variance: float

    @classmethod
    def maximum_likelihood(cls, x: Tensor, dim: int) -> PPCA:
        """The maximum of the likelihood of ``x``, ``(n, D)`` (equations 14 and 15 of the paper)."""
        x = x.double()
        mean = x.mean(0)
        eigenvalues, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        eigenvalues, vectors = eigenvalues.flip(0), vectors.flip(1)
        variance = eigenvalues[dim:].mean().item()
        return cls(vectors[:, :dim] * (eigenvalues[:dim] - variance).sqrt(), mean, variance)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) of each datum, ``(n,)`` nats."""
        size = len(self.mean)
        covariance = self.weight @ self.weight.T + self.variance * torch.eye(size, dtype=torch.float64)
        factor = torch.linalg.cholesky(covariance)
        white = torch.linalg.solve_triangular(factor, (x.double() - self.mean).T, upper=False)
        log_determinant = 2 * factor.diagonal().log().sum()
        return -0.5 * (white.square().sum(0) + log_determinant + size * math.log(2 * math.pi))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean ``(n, d)`` and the covariance ``(d, d)``, one for all data, of p(z | x)."""
        dim = self.weight.shape[1]
        precision = self.weight.T @ self.weight / self.variance + torch.eye(dim, dtype=torch.float64)
        covariance = torch.linalg.inv(precision)
        return (x.double() - self.mean) @ self.weight @ covariance / self.variance, covariance


def largest_angle(weight: Tensor, other: Tensor) -> float:
    """The largest principal angle between two column spaces, in degrees."""
    (q, _), (r, _) = (torch.linalg.qr(columns.double()) for columns in (weight, other))
    return math.degrees(math.acos(torch.linalg.svdvals(q.T @ r).min().clamp(max=1).item()))
