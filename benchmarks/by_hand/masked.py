"""The autoregressive network of MADE: linear layers under masks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedLinear(nn.Linear):
    """A linear layer whose weights are multiplied by a mask, ``(outputs, inputs)``."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """Outputs of entry i see the entries before i, and all of the context.

    Shapes: ``(n, d)`` and ``(n, context)`` to ``(n, d, outputs)``.
    """

    def __init__(self, d: int, outputs: int, context: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.d, self.outputs = d, outputs
        lowest = 0 if context else 1
        start, end = torch.arange(1, d + 1), torch.arange(d).repeat_interleave(outputs)
        degrees = [lowest + torch.arange(width) * (d - lowest) // width for width in hidden]
        masks = [after[:, None] >= before for before, after in pairwise([start, *degrees, end])]
        self.layers = nn.ModuleList([MaskedLinear(mask.to(torch.get_default_dtype())) for mask in masks])
        self.context = nn.Linear(context, hidden[0], bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        first, *rest = self.layers
        y = first(x) if self.context is None else first(x) + self.context(context)
        for layer in rest:
            y = layer(torch.relu(y))
        return y.view(len(x), self.d, self.outputs)
