"""The Beta distribution by the logarithms of its concentrations, in float32 from 1e-20 to 1e20."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions.utils import broadcast_all
from torch.nn.functional import softplus

from pyrovae.distributions import _stirling
from pyrovae.distributions._supports import open_unit_interval


class LogConcentrationBeta(dist.Beta):
    r"""A Beta distribution on the open unit interval, its concentrations given by their logarithms.

    .. math::
        p(x) = \frac{x^{a - 1} (1 - x)^{b - 1}}{B(a, b)}, \qquad 0 < x < 1

    To Pyro it is a ``Beta``. With :math:`A = a + N`, :math:`B = b + N`, :math:`s = a + b`, :math:`S = A + B`
    and Stirling's series :math:`\delta`

    .. math::
        \log p(x) &= A \log \frac{S x}{A} + B \log \frac{S (1 - x)}{B} - (N + 1) \log x (1 - x)
        + \tfrac12 \log \frac{A B}{2 \pi S} \\
        &+ \delta(S) - \delta(A) - \delta(B)
        + \sum_{j < N} \log \frac{(a + j)(b + j)}{(s + 2 j)(s + 2 j + 1)},

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
        shift, terms = _stirling.series(a.dtype)
        up_a, up_b, total = a + shift, b + shift, a + b
        up = up_a + up_b
        log_mean, log_less = -(up_b / up_a).log1p(), -(up_a / up_b).log1p()
        powers = up_a * (log_x - log_mean) + up_b * (log_rest - log_less)
        halves = 0.5 * (log_mean + log_less + up.log() - math.log(2 * math.pi))
        rest = _stirling.delta(up, terms) - _stirling.delta(up_a, terms) - _stirling.delta(up_b, terms)
        # log of ab / s (s + 1), each of which may be as small as 1e-22.
        apart = log_a - log_b
        skipped = apart - 2 * softplus(apart, threshold=40) + (total / (total + 1)).log()
        for j in range(1, shift):
            ratio = (a + j) / (total + 2 * j) * ((b + j) / (total + (2 * j + 1)))
            skipped = skipped + ratio.log()
        return powers - (shift + 1) * (log_x + log_rest) + halves + rest + skipped

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws in (0, 1), with gradients by implicit reparameterisation."""
        x = super().rsample(sample_shape)
        limits = torch.finfo(x.dtype)
        return x.clamp(limits.tiny, 1 - limits.eps / 2)
