"""The periodic kernel, of functions that repeat."""

from __future__ import annotations

import math

from torch import Tensor

from pyrovae.kernels._stationary import Positive, Stationary


class Periodic(Stationary):
    r"""The kernel of smooth functions of a known or learned period.

    .. math:: k(\tau) = \sigma^2 \exp\Big(-\frac{2 \sin^2(\pi \tau / p)}{\ell^2}\Big)

    Times a whole number of periods apart have the same value: within a series the jitter of the prior alone
    tells them apart. Multiply it (:class:`Product`) by a kernel that forgets, and the shape may drift.

    Arguments:
        period: p, in the units of time, or where it starts; a sequence: one for each latent dimension.
        lengthscale: :math:`\ell`, without units: the smaller, the more wiggles within a period.
        variance: :math:`\sigma^2`.
        learn: whether all three are learned, on the log scale, or stay as they are.

    Shapes: differences ``(...)`` become covariances ``(...)``, or ``(d, ...)`` where a sequence was given.

    Raises:
        ValueError: for a number that is not positive and finite, or sequences of unequal length.

    References:
        MacKay, 1998, Introduction to Gaussian Processes, section 5.

    Example:
        >>> import torch
        >>> from pyrovae import kernels
        >>> print(kernels.Periodic(24.0)(torch.tensor([0.0, 12.0, 24.0])).detach())
        tensor([1.0000, 0.1353, 1.0000])
    """

    def __init__(
        self,
        period: Positive,
        *,
        lengthscale: Positive = 1.0,
        variance: Positive = 1.0,
        learn: bool = True,
    ) -> None:
        super().__init__(learn, period=period, lengthscale=lengthscale, variance=variance)

    def forward(self, difference: Tensor) -> Tensor:
        sine = (math.pi * difference / self.now("period", difference)).sin()
        ratio = sine / self.now("lengthscale", difference)
        return self.now("variance", difference) * (-2 * ratio.square()).exp()
