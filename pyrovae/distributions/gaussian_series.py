"""Normal vectors whose covariance lies along time: the finite view of independent Gaussian processes."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.errors import explain


class GaussianSeries(TorchDistribution):
    r"""A sequence of vectors each dimension of which is a full normal over time, independent of the others.

    .. math:: p(z) = \prod_{j=1}^d \mathcal N\big(z_{\cdot j} \mid \mu_{\cdot j}, L_j L_j^\top\big)

    A draw costs a product by L, a density a triangular solve, for all data and particles together; L is kept
    once, however far the batch is expanded.

    Arguments:
        loc: the means, ``(..., T, d)``.
        scale_tril: the factors L, lower triangular of positive diagonal, ``(d, T, T)``, or ``(T, T)`` for one
            that all dimensions share.

    Shapes: an event is ``(T, d)``.

    Raises:
        ValueError: factors whose shape doesn't fit the means, or that are no such factors.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import GaussianSeries
        >>> walk = GaussianSeries(torch.zeros(50, 2), torch.ones(50, 50).tril())
        >>> walk
        GaussianSeries(length=50, dim=2)
        >>> print(walk.variance[[0, 9, 49], 0])
        tensor([ 1., 10., 50.])
    """

    arg_constraints = {  # noqa: RUF012
        "loc": constraints.independent(constraints.real, 2),
        "scale_tril": constraints.independent(constraints.lower_cholesky, 1),
    }
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    loc: Tensor
    scale_tril: Tensor

    def __init__(self, loc: Tensor, scale_tril: Tensor, *, validate_args: bool | None = None) -> None:
        length, dim = loc.shape[-2:] if loc.ndim > 1 else (0, 0)
        if not length or tuple(scale_tril.shape) not in {(length, length), (dim, length, length)}:
            raise ValueError(
                explain(
                    "GaussianSeries",
                    expected="means (..., T, d) and factors (d, T, T), or (T, T) for all dimensions",
                    got=f"shapes {tuple(loc.shape)} and {tuple(scale_tril.shape)}",
                    remedy="Time is the last dimension but one of the means.",
                )
            )
        self.loc = loc
        self.scale_tril = scale_tril.expand(dim, length, length)
        super().__init__(loc.shape[:-2], loc.shape[-2:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> GaussianSeries:
        new: GaussianSeries = self._get_checked_instance(  # type: ignore[no-untyped-call]
            GaussianSeries, _instance
        )
        new.loc = self.loc.expand(torch.Size(batch_shape) + self.event_shape)
        new.scale_tril = self.scale_tril
        super(GaussianSeries, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """The means, ``(..., T, d)``."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The means, ``(..., T, d)``."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Of each entry, ``(..., T, d)``."""
        return self.scale_tril.square().sum(-1).mT.expand(self.loc.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for sequences ``(..., T, d)``."""
        if self._validate_args:
            self._validate_sample(value)
        centred = value - self.loc
        white = torch.linalg.solve_triangular(self.scale_tril, _columns(centred), upper=False)
        squares = white.square().sum((0, 1)).reshape(centred.shape[:-2])
        return -0.5 * squares - self._log_normalizer

    def entropy(self) -> Tensor:
        """Nats, ``(...)``."""
        return (0.5 * self.event_shape.numel() + self._log_normalizer).expand(self.batch_shape)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Sequences, ``sample_shape + (..., T, d)``, differentiable in means and factors."""
        noise = self.loc.new_empty(self._extended_shape(sample_shape)).normal_()
        return self.loc + (self.scale_tril @ _columns(noise)).permute(2, 1, 0).reshape(noise.shape)

    @property
    def _log_normalizer(self) -> Tensor:
        log_diagonal = self.scale_tril.diagonal(dim1=-2, dim2=-1).log()
        return log_diagonal.sum() + 0.5 * math.log(2 * math.pi) * self.event_shape.numel()

    def __repr__(self) -> str:
        shape = f", batch_shape={tuple(self.batch_shape)}" if self.batch_shape else ""
        return f"GaussianSeries(length={self.event_shape[0]}, dim={self.event_shape[1]}{shape})"


def _columns(value: Tensor) -> Tensor:
    """``(..., T, d)`` as ``(d, T, n)``: each sequence a column, so that one factor serves them all."""
    return value.reshape(-1, *value.shape[-2:]).permute(2, 1, 0)
