"""The normal and the Laplace distribution by the logarithm of their scale, with gradients at any scale."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions.utils import _standard_normal, broadcast_all, lazy_property

_ONE = torch.Size()
_LOG_ROOT_HALF = -0.5 * math.log(2)
_LOG_ROOT_PI = 0.5 * math.log(math.pi)


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

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}  # noqa: RUF012

    family = "Normal"
    """What it is called where its parameters don't matter."""
    log_scale: Tensor

    def __init__(self, loc: Tensor, log_scale: Tensor, *, validate_args: bool | None = None) -> None:
        same = loc.shape == log_scale.shape
        self.loc, self.log_scale = (loc, log_scale) if same else broadcast_all(loc, log_scale)
        torch.distributions.Distribution.__init__(self, self.loc.shape, validate_args=validate_args)

    @lazy_property
    def scale(self) -> Tensor:
        """Not computed unless it is asked for: a density can do without."""
        return self.log_scale.exp()

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogScaleNormal:
        new: Any = self._get_checked_instance(LogScaleNormal, _instance)  # type: ignore[no-untyped-call]
        return _expanded(self, new, batch_shape)

    def rsample(self, sample_shape: Any = _ONE) -> Tensor:
        """Draws ``(*sample_shape, *batch_shape)`` along which gradients pass; the noise is torch's own."""
        noise = _standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return torch.addcmul(self.loc, noise, self.scale)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        # The half and the constant ride on the logarithm of the inverse scale. A quotient's gradient would
        # overflow from a log scale of -30 on.
        log_inverse = _LOG_ROOT_HALF - self.log_scale
        return log_inverse - _LOG_ROOT_PI - ((value - self.loc) * log_inverse.exp()).square()


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

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}  # noqa: RUF012

    family = "Laplace"
    log_scale: Tensor

    def __init__(self, loc: Tensor, log_scale: Tensor, *, validate_args: bool | None = None) -> None:
        self.loc, self.log_scale = broadcast_all(loc, log_scale)
        torch.distributions.Distribution.__init__(self, self.loc.shape, validate_args=validate_args)

    @lazy_property
    def scale(self) -> Tensor:
        """Not computed unless it is asked for: a density can do without."""
        return self.log_scale.exp()

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogScaleLaplace:
        new: Any = self._get_checked_instance(LogScaleLaplace, _instance)
        return _expanded(self, new, batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        log_inverse = -self.log_scale
        return log_inverse - math.log(2) - (value - self.loc).abs() * log_inverse.exp()


def _expanded(old: Any, new: Any, batch_shape: Any) -> Any:
    """The new one with the old one's parameters, expanded."""
    batch_shape = torch.Size(batch_shape)
    new.loc, new.log_scale = old.loc.expand(batch_shape), old.log_scale.expand(batch_shape)
    torch.distributions.Distribution.__init__(new, batch_shape, validate_args=False)
    new._validate_args = old._validate_args
    return new
