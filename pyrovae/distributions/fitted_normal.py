"""A normal that finds its own scale: that of the residuals of the data it is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from torch import Tensor


class FittedNormal(dist.Normal):
    r"""A normal around loc whose one variance is set when it is shown data.

    .. math::
        \log p(x) = \sum_i \log \mathcal N(x_i \mid \mu_i, \hat\sigma^2), \qquad
        \hat\sigma^2 = \operatorname{fit}\Big(\tfrac1N \sum_{i=1}^N (x_i - \mu_i)^2\Big)

    over all N entries of what ``log_prob`` is given. With the identity for ``fit`` that is the maximum over
    :math:`\sigma`; it is no density of x, because :math:`\hat\sigma` depends on it. The scale is held fixed
    in gradients: at the maximum its own contribution is zero.

    Arguments:
        loc: :math:`\mu`, any shape.
        scale: of draws, and of anything but ``log_prob``.
        fit: from the mean square of the residuals, a scalar, to the variance of ``log_prob``.

    References:
        Rybkin, Daniilidis and Levine, 2021, Simple and Effective VAE Training with Calibrated Decoders,
        https://arxiv.org/abs/2006.13202
    """

    fit: Callable[[Tensor], Tensor]

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        *,
        fit: Callable[[Tensor], Tensor],
        validate_args: bool | None = None,
    ) -> None:
        self.fit = fit
        super().__init__(loc, scale, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> FittedNormal:
        new: Any = self._get_checked_instance(FittedNormal, _instance)  # type: ignore[no-untyped-call]
        new.fit = self.fit
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density at the scale of these very residuals, nats."""
        if self._validate_args:
            self._validate_sample(value)
        square = (value - self.loc).square()
        variance = self.fit(square.detach().mean())
        return -0.5 * (square / variance + variance.log() + math.log(2 * math.pi))
