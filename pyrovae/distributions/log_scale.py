"""The normal and the Laplace distribution by the logarithm of their scale, with gradients at any scale."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
from torch import Tensor
from torch.distributions.utils import broadcast_all


class LogScaleNormal(dist.Normal):
    r"""A normal whose scale is given by its logarithm, :math:`\mathcal N(\mu, e^{2 s})`.

    .. math:: \log p(x) = -\tfrac12 \big((x - \mu)\, e^{-s}\big)^2 - s - \tfrac12 \log 2 \pi

    To Pyro it is a ``Normal``, closed forms of divergences included. Torch's formula divides by the square of
    the variance on the way back: with a log variance below -44 its gradient overflows in float32, where this
    one, and the density, are finite.

    Arguments:
        loc, log_scale: :math:`\mu` and s, of shapes that broadcast.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogScaleNormal
        >>> s = torch.tensor(-25.0, requires_grad=True)
        >>> LogScaleNormal(torch.tensor(0.0), s).log_prob(torch.tensor(1.0)).backward()
        >>> print(f"{s.grad.item():.4g}")
        5.185e+21
    """

    log_scale: Tensor

    def __init__(self, loc: Tensor, log_scale: Tensor, *, validate_args: bool | None = None) -> None:
        loc, self.log_scale = broadcast_all(loc, log_scale)
        super().__init__(loc, self.log_scale.exp(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogScaleNormal:
        new: Any = self._get_checked_instance(LogScaleNormal, _instance)  # type: ignore[no-untyped-call]
        new.log_scale = self.log_scale.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        standardised = (value - self.loc) * (-self.log_scale).exp()
        return -0.5 * standardised.square() - self.log_scale - 0.5 * math.log(2 * math.pi)


class LogScaleLaplace(dist.Laplace):  # type: ignore[misc]
    r"""A Laplace distribution whose scale is given by its logarithm.

    .. math:: \log p(x) = - |x - \mu|\, e^{-s} - s - \log 2

    To Pyro it is a ``Laplace``; its gradients are finite where those of torch's formula overflow.

    Arguments:
        loc, log_scale: :math:`\mu` and s, of shapes that broadcast.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogScaleLaplace
        >>> LogScaleLaplace(torch.tensor(0.0), torch.tensor(0.0)).log_prob(torch.tensor(1.0))
        tensor(-1.6931)
    """

    log_scale: Tensor

    def __init__(self, loc: Tensor, log_scale: Tensor, *, validate_args: bool | None = None) -> None:
        loc, self.log_scale = broadcast_all(loc, log_scale)
        super().__init__(loc, self.log_scale.exp(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogScaleLaplace:
        new: Any = self._get_checked_instance(LogScaleLaplace, _instance)
        new.log_scale = self.log_scale.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        return -(value - self.loc).abs() * (-self.log_scale).exp() - self.log_scale - math.log(2)
