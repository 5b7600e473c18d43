"""The normal whose entries correlate in a few directions, measured by their own scales."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions.utils import lazy_property

from pyrovae.errors import explain


class LowRankNormal(dist.LowRankMultivariateNormal):
    r"""A normal of covariance :math:`S (I + V V^\top) S`, with r directions V and a diagonal S.

    .. math::
        \log p(z) = -\tfrac12 \big(\|y\|^2 - \|C^{-1} V^\top y\|^2 + d \log 2 \pi\big) - \log |C| - \log |S|,
        \\ y = S^{-1} (z - \mu), \qquad C C^\top = I_r + V^\top V

    To Pyro it is a ``LowRankMultivariateNormal``, closed forms of divergences included. Of that class the
    directions are measured in units of z, and divided by variances again.

    Arguments:
        loc, log_scale: :math:`\mu` and :math:`\log S`, ``(..., d)``.
        directions: V, ``(..., d, r)``.

    Raises:
        ValueError: for shapes that don't fit.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LowRankNormal
        >>> p = LowRankNormal(torch.zeros(2), torch.zeros(2), torch.ones(2, 1))
        >>> p.covariance_matrix
        tensor([[2., 1.],
                [1., 2.]])
        >>> round(p.log_prob(torch.zeros(2)).item(), 4)  # of a determinant of 3
        -2.3872
    """

    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real_vector,
        "log_scale": constraints.real_vector,
        "directions": constraints.independent(constraints.real, 2),
    }

    loc: Tensor
    log_scale: Tensor
    directions: Tensor
    _capacitance_tril: Tensor

    def __init__(
        self, loc: Tensor, log_scale: Tensor, directions: Tensor, *, validate_args: bool | None = None
    ) -> None:
        if loc.shape != log_scale.shape or directions.shape[:-1] != loc.shape or not loc.ndim:
            raise ValueError(
                explain(
                    "LowRankNormal",
                    expected="locs and log scales (..., d), directions (..., d, r)",
                    got=", ".join(str(tuple(x.shape)) for x in (loc, log_scale, directions)),
                    remedy="Expand them to one batch shape.",
                )
            )
        self.loc, self.log_scale, self.directions = loc, log_scale, directions
        one = torch.eye(directions.shape[-1], dtype=loc.dtype, device=loc.device)
        self._capacitance_tril = torch.linalg.cholesky(one + directions.mT @ directions)
        torch.distributions.Distribution.__init__(
            self, loc.shape[:-1], loc.shape[-1:], validate_args=validate_args
        )

    # The names of torch's class, for what it has and for its divergences.

    @lazy_property
    def cov_factor(self) -> Tensor:
        """S V, ``(..., d, r)``."""
        return self.directions * self.log_scale.exp().unsqueeze(-1)

    @lazy_property
    def cov_diag(self) -> Tensor:
        """The diagonal of S S, ``(..., d)``."""
        return (2 * self.log_scale).exp()

    @lazy_property
    def _unbroadcasted_cov_factor(self) -> Tensor:
        factor: Tensor = self.cov_factor
        return factor

    @lazy_property
    def _unbroadcasted_cov_diag(self) -> Tensor:
        diagonal: Tensor = self.cov_diag
        return diagonal

    def expand(self, batch_shape: Any, _instance: Any = None) -> LowRankNormal:
        new: Any = self._get_checked_instance(LowRankNormal, _instance)  # type: ignore[no-untyped-call]
        batch_shape = torch.Size(batch_shape)
        new.loc, new.log_scale = (
            x.expand(batch_shape + self.event_shape) for x in (self.loc, self.log_scale)
        )
        new.directions, new._capacitance_tril = (
            x.expand(batch_shape + x.shape[-2:]) for x in (self.directions, self._capacitance_tril)
        )
        torch.distributions.Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for ``(..., d)``."""
        if self._validate_args:
            self._validate_sample(value)
        white = (value - self.loc) * (-self.log_scale).exp()
        along = self.directions.mT @ white.unsqueeze(-1)
        inner = torch.linalg.solve_triangular(self._capacitance_tril, along, upper=False)
        distance = white.square().sum(-1) - inner.square().sum((-2, -1))
        log_diagonal = self._capacitance_tril.diagonal(dim1=-2, dim2=-1).log()
        half_log_det = log_diagonal.sum(-1) + self.log_scale.sum(-1)
        return -0.5 * distance - half_log_det - 0.5 * math.log(2 * math.pi) * self.event_shape[0]

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws ``sample_shape + (..., d)``, differentiable in everything."""
        shape = self._extended_shape(sample_shape)
        rank = self.directions.shape[-1]
        along = self.loc.new_empty((*shape[:-1], rank, 1)).normal_()
        white = (self.directions @ along).squeeze(-1) + self.loc.new_empty(shape).normal_()
        return self.loc + self.log_scale.exp() * white
