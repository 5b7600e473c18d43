"""Kernels made of kernels: sums and products."""

from __future__ import annotations

from torch import Tensor, nn

from pyrovae.errors import explain


class Sum(nn.Module):
    r"""The kernel of a sum of independent functions.

    .. math:: k(\tau) = \sum_i k_i(\tau)

    Arguments:
        kernels: two or more.

    Raises:
        TypeError: for fewer than two, or what is no kernel.

    Example:
        >>> import torch
        >>> from pyrovae import kernels
        >>> slow, fast = kernels.OrnsteinUhlenbeck(100.0), kernels.OrnsteinUhlenbeck(1.0, variance=0.1)
        >>> print(kernels.Sum(slow, fast)(torch.tensor([0.0, 10.0])).detach())
        tensor([1.1000, 0.9048])
    """

    def __init__(self, *kernels: nn.Module) -> None:
        super().__init__()
        self.kernels = _several("Sum", kernels)
        self.parts = nn.ModuleList(kernels)

    def forward(self, difference: Tensor) -> Tensor:
        total: Tensor = self.kernels[0](difference)
        for kernel in self.kernels[1:]:
            total = total + kernel(difference)
        return total


class Product(nn.Module):
    r"""The kernel of a product of independent functions.

    .. math:: k(\tau) = \prod_i k_i(\tau)

    Arguments:
        kernels: two or more. One variance is enough: leave the others at 1, and not learned where you can.

    Raises:
        TypeError: for fewer than two, or what is no kernel.

    Example:
        >>> import torch
        >>> from pyrovae import kernels
        >>> daily = kernels.Product(kernels.Periodic(24.0, learn=False), kernels.SquaredExponential(100.0))
        >>> print(daily(torch.tensor([0.0, 24.0, 240.0])).detach())
        tensor([1.0000, 0.9716, 0.0561])
    """

    def __init__(self, *kernels: nn.Module) -> None:
        super().__init__()
        self.kernels = _several("Product", kernels)
        self.parts = nn.ModuleList(kernels)

    def forward(self, difference: Tensor) -> Tensor:
        total: Tensor = self.kernels[0](difference)
        for kernel in self.kernels[1:]:
            total = total * kernel(difference)
        return total


def _several(name: str, kernels: tuple[nn.Module, ...]) -> tuple[nn.Module, ...]:
    if len(kernels) < 2 or not all(isinstance(kernel, nn.Module) for kernel in kernels):
        raise TypeError(
            explain(
                name,
                expected="two or more kernels",
                got=repr(kernels),
                remedy=f"Write {name}(kernels.Periodic(24.0), kernels.SquaredExponential(100.0)), say.",
            )
        )
    return kernels
