"""What a flow's layers are told: networks that start small, and parameters read off a context."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pyrovae.arguments import new_activation
from pyrovae.flows.base import Activation, check_size
from pyrovae.nets import MaskedMLP

START = 0.1
"""By how much the last weights of a network start smaller than torch's: a flow starts near the identity."""


def masked(dim: int, outputs: int, context: int, hidden: Sequence[int], activation: Activation) -> MaskedMLP:
    """An autoregressive network whose outputs start near 0."""
    net = MaskedMLP(dim, outputs, context=context, hidden=hidden, activation=activation)
    last = [net.rest[-1] if net.hidden else net.first, net.direct, None if net.hidden else net.aside]
    for layer in last:
        if layer is not None:
            start_small(layer)
    return net


def start_small(layer: nn.Module) -> None:
    """Shrinks a linear layer's weights, and takes its bias away."""
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.mul_(START if name == "weight" else 0)


class Told(nn.Module):
    """A perceptron of a part of the entries and the context, whose outputs start near 0.

    Arguments:
        inputs: how many entries it sees.
        outputs: how many numbers it gives.

    Shapes: ``(..., inputs)`` and ``(..., context)`` to ``(..., outputs)``; leading dimensions broadcast.
    """

    def __init__(
        self, inputs: int, outputs: int, context: int, hidden: Sequence[int], activation: Activation
    ) -> None:
        super().__init__()
        widths = (*hidden, outputs)
        for width in widths:
            check_size("hidden", width, 1)
        self.first = nn.Linear(inputs, widths[0])
        self.aside = nn.Linear(context, widths[0], bias=False) if context else None
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [new_activation("flow", activation), nn.Linear(before, after)]
        self.rest = nn.Sequential(*layers)
        for layer in [self.rest[-1]] if layers else [self.first, self.aside]:
            if layer is not None:
                start_small(layer)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        y = self.first(x)
        if self.aside is not None:
            y = y + self.aside(context)
        output: Tensor = self.rest(y)
        return output


class Read(nn.Module):
    """Parameters read off a context by a linear map, or learned constants where there is none.

    Arguments:
        start: where they start, whatever the context, ``(k,)``.
        context: its size.
    """

    def __init__(self, start: Tensor, context: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(start)
        self.aside = nn.Linear(context, len(start), bias=False) if context else None
        if self.aside is not None:
            start_small(self.aside)

    def forward(self, context: Tensor | None) -> Tensor:
        if self.aside is None:
            return self.constant
        output: Tensor = self.constant + self.aside(context)
        return output
