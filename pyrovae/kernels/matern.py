"""Matérn kernels: functions with a derivative, and the rough ones of Ornstein and Uhlenbeck."""

from __future__ import annotations

import math

from torch import Tensor

from pyrovae.kernels._stationary import Positive, Stationary


class Matern32(Stationary):
    r"""The Matérn kernel of order 3/2, of functions that have a derivative and no second one.

    .. math:: k(\tau) = \sigma^2 (1 + r) e^{-r}, \qquad r = \sqrt 3\, |\tau| / \ell

    Arguments:
        lengthscale: :math:`\ell`, in the units of time, or where it starts; a sequence: one for each
            latent dimension.
        variance: :math:`\sigma^2`, likewise.
        learn: whether both are learned, on the log scale, or stay as they are.

    Shapes: differences ``(...)`` become covariances ``(...)``, or ``(d, ...)`` where a sequence was given.

    Raises:
        ValueError: for a number that is not positive and finite, or sequences of unequal length.

    References:
        Rasmussen and Williams, 2006, Gaussian Processes for Machine Learning, section 4.2.1.

    Example:
        >>> import torch
        >>> from pyrovae import kernels
        >>> print(kernels.Matern32(2.0)(torch.tensor([0.0, 2.0])).detach())
        tensor([1.0000, 0.4834])
    """

    def __init__(self, lengthscale: Positive = 1.0, *, variance: Positive = 1.0, learn: bool = True) -> None:
        super().__init__(learn, lengthscale=lengthscale, variance=variance)

    def forward(self, difference: Tensor) -> Tensor:
        ratio = math.sqrt(3) * difference.abs() / self.now("lengthscale", difference)
        return self.now("variance", difference) * (1 + ratio) * (-ratio).exp()


class OrnsteinUhlenbeck(Stationary):
    r"""The kernel of a quantity that relaxes to its mean with a time constant, while noise drives it.

    .. math:: k(\tau) = \sigma^2 e^{-|\tau| / \ell}

    It is the Matérn kernel of order 1/2. At equal steps :math:`\Delta` it is the stationary chain
    :math:`z_{t+1} = \phi z_t + \sigma \sqrt{1 - \phi^2}\, \varepsilon_t`, :math:`\phi = e^{-\Delta / \ell}`.
    A time constant that is known from physics is given with ``learn=False``.

    Arguments:
        lengthscale: the time constant :math:`\ell`, in the units of time, or where it starts; a sequence: one
            for each latent dimension.
        variance: :math:`\sigma^2`, likewise.
        learn: whether both are learned, on the log scale, or stay as they are.

    Shapes: differences ``(...)`` become covariances ``(...)``, or ``(d, ...)`` where a sequence was given.

    Raises:
        ValueError: for a number that is not positive and finite, or sequences of unequal length.

    References:
        Uhlenbeck and Ornstein, 1930, On the Theory of the Brownian Motion, Physical Review 36.

    Example:
        >>> import torch
        >>> from pyrovae import kernels
        >>> print(kernels.OrnsteinUhlenbeck(2.0, learn=False)(torch.tensor([0.0, 2.0])))
        tensor([1.0000, 0.3679])
    """

    def __init__(self, lengthscale: Positive = 1.0, *, variance: Positive = 1.0, learn: bool = True) -> None:
        super().__init__(learn, lengthscale=lengthscale, variance=variance)

    def forward(self, difference: Tensor) -> Tensor:
        ratio = difference.abs() / self.now("lengthscale", difference)
        return self.now("variance", difference) * (-ratio).exp()
