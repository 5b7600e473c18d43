"""The multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from pyrovae.arguments import new_activation
from pyrovae.errors import explain


class MLP(nn.Module):
    """A multi-layer perceptron: linear layers with an activation between each two of them.

    Arguments:
        widths: the sizes from input to output: ``MLP(784, 400, 100)`` has one hidden layer of 400. Two
            sizes make a linear map.
        activation: what makes the activation, a class such as ``torch.nn.Tanh``.

    Shapes: ``(..., widths[0])`` to ``(..., widths[-1])``; any number of leading dimensions.

    Raises:
        ValueError: for fewer than two sizes, or one that is not positive.

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> net = nets.MLP(64, 32, 2 * 8, activation=torch.nn.Tanh)
        >>> net(torch.zeros(5, 64)).shape
        torch.Size([5, 16])
    """

    def __init__(self, *widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        if len(widths) < 2 or any(not isinstance(width, int) or width < 1 for width in widths):
            raise ValueError(
                explain(
                    "MLP",
                    expected="two or more positive layer sizes, input first",
                    got=repr(widths),
                    remedy="Write MLP(784, 400, 100), say.",
                )
            )
        self.widths, self.activation = widths, activation
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), new_activation("MLP", activation)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.widths[0]:
            raise ValueError(
                explain(
                    f"MLP{self.widths}",
                    expected=f"an input of shape (..., {self.widths[0]})",
                    got=str(tuple(x.shape)),
                    remedy=_remedy(tuple(x.shape), self.widths[0]),
                )
            )
        output: Tensor = self.layers(x)
        return output


def _remedy(shape: tuple[int, ...], size: int) -> str:
    total = 1
    for length in reversed(shape[1:]):
        total *= length
    if total == size:
        return "Flatten the data: x.flatten(1), or pyrovae.data.Flatten()."
    return "The first width must be the size of the input's last dimension."
