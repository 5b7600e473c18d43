"""The squared exponential kernel, of functions that are smooth to any order."""

from __future__ import annotations

from torch import Tensor

from pyrovae.kernels._stationary import Positive, Stationary


class SquaredExponential(Stationary):
    r"""The kernel of very smooth functions.

    .. math:: k(\tau) = \sigma^2 \exp\Big(-\frac{\tau^2}{2 \ell^2}\Big)

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
        >>> kernel = kernels.SquaredExponential(lengthscale=[1.0, 2.0])
        >>> print(kernel(torch.tensor([0.0, 2.0])).detach())
        tensor([[1.0000, 0.1353],
                [1.0000, 0.6065]])
    """

    def __init__(self, lengthscale: Positive = 1.0, *, variance: Positive = 1.0, learn: bool = True) -> None:
        super().__init__(learn, lengthscale=lengthscale, variance=variance)

    def forward(self, difference: Tensor) -> Tensor:
        ratio = difference / self.now("lengthscale", difference)
        return self.now("variance", difference) * (-0.5 * ratio.square()).exp()
