"""The normal of full covariance as a posterior is: one factor for each datum."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor


class FullNormal(dist.MultivariateNormal):
    r"""A normal of covariance :math:`L L^\top`.

    .. math:: \log p(z) = -\tfrac12 \big\|L^{-1} (z - \mu)\big\|^2 - \sum_i \log L_{ii} - \tfrac d2 \log 2 \pi

    To Pyro it is a ``MultivariateNormal``, and where factors are shared it scores as one. With a factor for
    each value it does without that class's moving of dimensions.

    Arguments:
        loc: :math:`\mu`, ``(..., d)``.
        scale_tril: L, lower triangular of positive diagonal, ``(..., d, d)``.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import FullNormal
        >>> round(FullNormal(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(2)).item(), 4)
        -1.8379
    """

    def __init__(self, loc: Tensor, scale_tril: Tensor, *, validate_args: bool | None = None) -> None:
        super().__init__(loc, scale_tril=scale_tril, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> FullNormal:
        new: Any = self._get_checked_instance(FullNormal, _instance)  # type: ignore[no-untyped-call]
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for ``(..., d)``."""
        factor: Tensor = self._unbroadcasted_scale_tril
        if value.shape[:-1] != factor.shape[:-2]:
            shared: Tensor = super().log_prob(value)  # type: ignore[no-untyped-call]
            return shared
        if self._validate_args:
            self._validate_sample(value)
        white = torch.linalg.solve_triangular(factor, (value - self.loc).unsqueeze(-1), upper=False)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = 0.5 * math.log(2 * math.pi) * self.event_shape[0]
        return -0.5 * white.square().sum((-2, -1)) - log_det - constant
