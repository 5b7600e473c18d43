"""The maximum mean discrepancy of two samples, and the kernels that it is measured by."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from pyrovae.errors import explain


class Kernel(ABC):
    """A positive definite function of the squared distance of two points."""

    @abstractmethod
    def of(self, squared: Tensor, dim: int) -> Tensor:
        """The kernel's value, from squared distances of points of ``dim`` dimensions."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class InverseMultiquadric(Kernel):
    r"""A sum of inverse multiquadrics, whose heavy tails reach outlying codes.

    .. math:: k(z, z') = \sum_{s} \frac{C_s}{C_s + \|z - z'\|^2}, \qquad C_s = 2 d \sigma^2 s,
        \quad s \in \{0.1, 0.2, 0.5, 1, 2, 5, 10\}

    Arguments:
        scale: :math:`\sigma`, the prior's standard deviation.

    References:
        Tolstikhin et al., 2018, Wasserstein Auto-Encoders, https://arxiv.org/abs/1711.01558
    """

    factors = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = _positive("InverseMultiquadric, scale", scale)

    def of(self, squared: Tensor, dim: int) -> Tensor:
        sizes = [2.0 * dim * self.scale**2 * factor for factor in self.factors]
        return torch.stack([size / (size + squared) for size in sizes]).sum(0)


class Gaussian(Kernel):
    r"""The Gaussian kernel, of a width that grows with the dimension.

    .. math:: k(z, z') = \exp\Big(-\frac{\|z - z'\|^2}{2 d \sigma^2}\Big)

    Arguments:
        scale: :math:`\sigma`.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = _positive("Gaussian, scale", scale)

    def of(self, squared: Tensor, dim: int) -> Tensor:
        return torch.exp(-squared / (2.0 * dim * self.scale**2))


def squared_mmd(one: Tensor, other: Tensor, kernel: Kernel) -> Tensor:
    r"""The unbiased estimate of the squared maximum mean discrepancy of two samples of the same size.

    .. math:: \frac{1}{m(m-1)} \sum_{i \ne j} \big(k(z_i, z_j) + k(z'_i, z'_j)\big)
        - \frac{2}{m^2} \sum_{i,j} k(z_i, z'_j)

    Arguments:
        one, other: ``(m, d)``.

    Raises:
        ValueError: for fewer than two points.

    References:
        Gretton et al., 2012, A Kernel Two-Sample Test, JMLR 13, lemma 6.
    """
    count, dim = one.shape
    if count < 2:
        raise ValueError(
            explain(
                "maximum mean discrepancy",
                expected="two draws at least",
                got=str(count),
                remedy="Take larger batches, or more particles.",
            )
        )
    apart = ~torch.eye(count, dtype=torch.bool, device=one.device)
    within = [
        torch.where(apart, kernel.of(_squared(side, side), dim), 0.0).sum() / (count * (count - 1))
        for side in (one, other)
    ]
    return within[0] + within[1] - 2.0 * kernel.of(_squared(one, other), dim).mean()


def _squared(one: Tensor, other: Tensor) -> Tensor:
    """Squared distances, ``(m, m)``; by products of matrices, and never below zero."""
    norms = one.square().sum(-1, keepdim=True) + other.square().sum(-1)
    return (norms - 2.0 * one @ other.T).clamp(min=0.0)


def _positive(name: str, value: float) -> float:
    if not isinstance(value, int | float) or not value > 0:
        raise ValueError(explain(name, expected="a positive number", got=repr(value), remedy="Try 1.0."))
    return float(value)
