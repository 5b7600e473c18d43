"""The Beta distribution by the logarithms of its concentrations, in float32 from 1e-20 to 1e20."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from pyrovae.distributions._supports import open_unit_interval

_STIRLING_FROM = 8.0


class LogConcentrationBeta(dist.Beta):
    r"""A Beta distribution on the open unit interval, its concentrations given by their logarithms.

    .. math::
        p(x) = \frac{x^{a - 1} (1 - x)^{b - 1}}{B(a, b)}, \qquad 0 < x < 1

    To Pyro it is a ``Beta``. With :math:`m = a / (a + b)` and Binet's remainder :math:`r` of Stirling's
    formula (:math:`\log \Gamma(u) = (u - \frac12) \log u - u + \frac12 \log 2 \pi + r(u)`)

    .. math::
        \log p(x) = a \log \frac{x}{m} + b \log \frac{1 - x}{1 - m} + \tfrac12 \log \frac{a b}{2 \pi (a + b)}
        - \log x (1 - x) + r(a + b) - r(a) - r(b),

    where no two large numbers cancel, as the logarithms of gamma functions do. Draws are kept off 0 and 1,
    to which they may round.

    Arguments:
        log_concentration1, log_concentration0: :math:`\log a` and :math:`\log b`, of shapes that broadcast.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogConcentrationBeta
        >>> p = LogConcentrationBeta(torch.tensor([0.0, 50.0]), torch.tensor([1.0, 50.0]))
        >>> p.log_prob(torch.tensor(0.5))  # 0.29 of e (1 - x)^(e - 1), and a needle
        tensor([-0.1910, 25.1208])
    """

    support: Any = open_unit_interval
    log_concentration1: Tensor
    log_concentration0: Tensor

    def __init__(
        self, log_concentration1: Tensor, log_concentration0: Tensor, *, validate_args: bool | None = None
    ) -> None:
        self.log_concentration1, self.log_concentration0 = broadcast_all(
            log_concentration1, log_concentration0
        )
        super().__init__(
            self.log_concentration1.exp(), self.log_concentration0.exp(), validate_args=validate_args
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogConcentrationBeta:
        new: Any = self._get_checked_instance(LogConcentrationBeta, _instance)  # type: ignore[no-untyped-call]
        new.log_concentration1 = self.log_concentration1.expand(batch_shape)
        new.log_concentration0 = self.log_concentration0.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        log_a, log_b = self.log_concentration1, self.log_concentration0
        a, b = log_a.exp(), log_b.exp()
        log_x, log_rest = value.log(), (-value).log1p()
        # The difference of the two is exact where that of either to their sum's logarithm is rounded.
        log_mean, log_less = logsigmoid(log_a - log_b), logsigmoid(log_b - log_a)
        powers = a * (log_x - log_mean) + b * (log_rest - log_less)
        remainders = _binet(a + b, log_a - log_mean) - _binet(a, log_a) - _binet(b, log_b)
        halves = 0.5 * (log_b + log_mean - math.log(2 * math.pi))
        return powers + halves - log_x - log_rest + remainders

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws in (0, 1), with gradients by implicit reparameterisation."""
        x = super().rsample(sample_shape)
        limits = torch.finfo(x.dtype)
        return x.clamp(limits.tiny, 1 - limits.eps / 2)


def _binet(u: Tensor, log_u: Tensor) -> Tensor:
    """The remainder of Stirling's formula."""
    is_small = u < _STIRLING_FROM
    small, log_small = torch.where(is_small, u, 1.0), torch.where(is_small, log_u, 0.0)
    below = torch.lgamma(1 + small) - (small + 0.5) * log_small + small - 0.5 * math.log(2 * math.pi)
    r = torch.where(is_small, 1.0, u).reciprocal()
    r2 = r.square()
    above = r * (1 / 12 + r2 * (-1 / 360 + r2 * (1 / 1260 + r2 * (-1 / 1680 + r2 * (1 / 1188)))))
    return torch.where(is_small, below, above)
