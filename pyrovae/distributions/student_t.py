"""Student's t distribution by the logarithm of its scale, right for large degrees of freedom too."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions.utils import broadcast_all

_STIRLING_FROM = 8.0
"""From this argument on, the series of the ratio of gamma functions is right to float64."""
_ALL_BUT_SQUARE = 1e9
"""From here on 1 + x^2 is x^2, in float64 too."""


class LogScaleStudentT(dist.StudentT):  # type: ignore[misc]
    r"""A Student-t distribution whose scale is given by its logarithm.

    .. math::
        \log p(x) = - \tfrac{\nu + 1}{2} \log\Big(1 + \tfrac{(x - \mu)^2}{\nu\, e^{2 s}}\Big) - s
        - \tfrac12 \log \pi \nu + \log \frac{\Gamma(\frac{\nu + 1}{2})}{\Gamma(\frac{\nu}{2})}

    To Pyro it is a ``StudentT``. Two things are computed otherwise: the logarithm, which for
    :math:`s = -50` is that of an overflow; and the ratio of gamma functions, which for large :math:`\nu`
    is the difference of two large numbers (off by 0.5 nats for each entry at :math:`\nu = 10^6` in float32).

    Arguments:
        df, loc, log_scale: :math:`\nu > 0`, :math:`\mu` and s, of shapes that broadcast.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogScaleStudentT
        >>> t = LogScaleStudentT(torch.tensor(1e6), torch.tensor(0.0), torch.tensor(0.0))
        >>> round(t.log_prob(torch.tensor(0.0)).item(), 4)  # nearly a normal: -0.9189
        -0.9189
    """

    log_scale: Tensor
    _given: Tensor

    def __init__(
        self, df: Tensor, loc: Tensor, log_scale: Tensor, *, validate_args: bool | None = None
    ) -> None:
        # As it was given: what depends on it alone is not computed for each entry.
        self._given = df
        df, loc, self.log_scale = broadcast_all(df, loc, log_scale)
        super().__init__(df, loc, self.log_scale.exp(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogScaleStudentT:
        new: Any = self._get_checked_instance(LogScaleStudentT, _instance)
        new._given, new.log_scale = self._given, self.log_scale.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        df = self._given
        ratio = (value - self.loc) * (-self.log_scale).exp() * df.rsqrt()
        own = _log_gamma_step(0.5 * df) - 0.5 * (math.pi * df).log()
        return own - 0.5 * (df + 1) * _log1p_square(ratio) - self.log_scale


def _log1p_square(x: Tensor) -> Tensor:
    """``log(1 + x^2)`` without forming squares that overflow."""
    size = x.abs()
    within = size < _ALL_BUT_SQUARE
    small, large = torch.where(within, x, 0.0), torch.where(within, 1.0, size)
    return torch.where(within, small.square().log1p(), 2 * large.log())


def _log_gamma_step(a: Tensor) -> Tensor:
    r""":math:`\log \Gamma(a + \tfrac12) - \log \Gamma(a)`, as a series where the two are large."""
    below = a < _STIRLING_FROM
    small = torch.where(below, a, 1.0)
    r = torch.where(below, 1.0, a).reciprocal()
    r2 = r.square()
    series = r * (-1 / 8 + r2 * (1 / 192 + r2 * (-1 / 640 + r2 * (17 / 14336 + r2 * (-31 / 18432)))))
    return torch.where(below, torch.lgamma(small + 0.5) - torch.lgamma(small), series - 0.5 * r.log())
