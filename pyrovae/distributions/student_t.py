"""Student's t distribution by the logarithm of its scale, right for large degrees of freedom too."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions.utils import broadcast_all, lazy_property
from torch.nn.functional import softplus

_STIRLING_FROM = 8.0
"""From this argument on, the series of the ratio of gamma functions is right to float64."""


class LogScaleStudentT(dist.StudentT):  # type: ignore[misc]
    r"""A Student-t distribution whose scale is given by its logarithm.

    .. math::
        \log p(x) = - \tfrac{\nu + 1}{2} \log\Big(1 + \tfrac{(x - \mu)^2}{\nu\, e^{2 s}}\Big) - s
        - \tfrac12 \log \pi \nu + \log \frac{\Gamma(\frac{\nu + 1}{2})}{\Gamma(\frac{\nu}{2})}

    To Pyro it is a ``StudentT``. Two things are computed otherwise: the logarithm, which for
    :math:`s = -50` is that of an overflow, and here the softplus of the residual's logarithm; and the ratio
    of gamma functions, which for large :math:`\nu` is the difference of two large numbers (off by 0.5 nats
    for each entry at :math:`\nu = 10^6` in float32).

    Arguments:
        df, loc, log_scale: :math:`\nu > 0`, :math:`\mu` and s, of shapes that broadcast.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogScaleStudentT
        >>> t = LogScaleStudentT(torch.tensor(1e6), torch.tensor(0.0), torch.tensor(0.0))
        >>> round(t.log_prob(torch.tensor(0.0)).item(), 4)  # nearly a normal: -0.9189
        -0.9189
    """

    arg_constraints = {  # noqa: RUF012
        "df": constraints.positive,
        "loc": constraints.real,
        "log_scale": constraints.real,
    }

    log_scale: Tensor
    _given: Tensor

    def __init__(
        self, df: Tensor, loc: Tensor, log_scale: Tensor, *, validate_args: bool | None = None
    ) -> None:
        # As it was given: what depends on it alone is not computed for each entry.
        self._given = df
        self.df, self.loc, self.log_scale = broadcast_all(df, loc, log_scale)
        torch.distributions.Distribution.__init__(self, self.loc.shape, validate_args=validate_args)

    @lazy_property
    def scale(self) -> Tensor:
        """Not computed unless it is asked for, as by draws."""
        return self.log_scale.exp()

    @lazy_property
    def _chi2(self) -> torch.distributions.Chi2:
        """What draws of torch's class divide by."""
        return torch.distributions.Chi2(self.df)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogScaleStudentT:
        new: Any = self._get_checked_instance(LogScaleStudentT, _instance)
        batch_shape = torch.Size(batch_shape)
        new._given = self._given
        new.df, new.loc, new.log_scale = (x.expand(batch_shape) for x in (self.df, self.loc, self.log_scale))
        torch.distributions.Distribution.__init__(new, batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        df, residual = self._given, (value - self.loc).abs()
        # The least number keeps the logarithm of no residual at all finite, and its gradient zero.
        log_residual = (residual + torch.finfo(residual.dtype).tiny).log()
        log_ratio = log_residual - (self.log_scale + 0.5 * df.log())
        own = _log_gamma_step(0.5 * df) - 0.5 * (math.pi * df).log()
        return own - (df + 1) * softplus(log_ratio, beta=2, threshold=40) - self.log_scale


def _log_gamma_step(a: Tensor) -> Tensor:
    r""":math:`\log \Gamma(a + \tfrac12) - \log \Gamma(a)`, as a series where the two are large."""
    below = a < _STIRLING_FROM
    small = torch.where(below, a, 1.0)
    r = torch.where(below, 1.0, a).reciprocal()
    r2 = r.square()
    series = r * (-1 / 8 + r2 * (1 / 192 + r2 * (-1 / 640 + r2 * (17 / 14336 + r2 * (-31 / 18432)))))
    return torch.where(below, torch.lgamma(small + 0.5) - torch.lgamma(small), series - 0.5 * r.log())
