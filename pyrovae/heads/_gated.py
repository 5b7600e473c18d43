"""The gated layer of PixelCNN: a vertical stack for the rows above, a horizontal one for the row so far.

Both stacks are given images that were moved by one row, or by one column, so that a layer may look at its own
place: every layer is the same, and none needs a mask with a hole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def gate(x: Tensor) -> Tensor:
    """A gated unit, ``(m, 2 k, ...)`` to ``(m, k, ...)``."""
    value, opening = x.chunk(2, 1)
    return value.tanh() * opening.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks; each adds what it finds to what it was given.

    Arguments:
        width: the channels of each stack.
        context: the channels of the features.
        kernel: an odd size: how wide the vertical stack looks; it looks up by half of it.
    """

    def __init__(self, width: int, context: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach + 1), bias=False)
        self.across = nn.Conv2d(width, 2 * width, 1)
        self.given = nn.Conv2d(context, 4 * width, 1, bias=False)
        self.residual = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, above: Tensor, left: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Both stacks ``(m, width, H, W)`` and the features ``(m, context, H, W)`` to both stacks."""
        reach, (to_above, to_left) = self.reach, self.given(t).chunk(2, 1)
        above = above + gate(self.vertical(F.pad(above, (reach, reach, reach, 0))) + to_above)
        left_in = self.horizontal(F.pad(left, (reach, 0))) + self.across(above) + to_left
        return above, left + self.residual(gate(left_in))


class GatedSteps:
    """The same layer, row by row and pixel by pixel: it keeps of each stack what later pixels will look at.

    Arguments:
        layer: its weights.
        t: the features of the whole images, ``(m, context, H, W)``.
    """

    def __init__(self, layer: GatedLayer, t: Tensor) -> None:
        self.layer = layer
        count, _, _, columns = t.shape
        width = layer.residual.out_channels
        self.to_above, self.to_left = layer.given(t).chunk(2, 1)
        self.rows = t.new_zeros(count, width, layer.reach + 1, columns)
        self.row = t.new_zeros(count, columns + layer.reach, width)
        # (inputs, outputs), the inputs in the order in which they lie in self.row.
        self.horizontal = layer.horizontal.weight.squeeze(2).permute(2, 1, 0).flatten(0, 1).contiguous()
        self.residual = layer.residual.weight.flatten(1).t().contiguous()
        self.added = self.row

    def next_row(self, above: Tensor, i: int) -> Tensor:
        """The vertical stack's row i, ``(m, width, 1, W)`` to the same; what its pixels need is kept."""
        layer = self.layer
        self.rows = torch.cat([self.rows[:, :, 1:], above], 2)
        found = F.conv2d(self.rows, layer.vertical.weight, layer.vertical.bias, padding=(0, layer.reach))
        above = above + gate(found + self.to_above[:, :, i : i + 1])
        added = layer.across(above) + self.to_left[:, :, i : i + 1]
        self.added = added.squeeze(2).permute(2, 0, 1).contiguous()
        return above

    def next_pixel(self, left: Tensor, j: int) -> Tensor:
        """The horizontal stack's pixel j of the row, ``(m, width)`` to the same."""
        reach = self.layer.reach
        self.row[:, j + reach] = left
        seen = self.row[:, j : j + reach + 1].flatten(1)
        return torch.addmm(left, gate(torch.addmm(self.added[j], seen, self.horizontal)), self.residual)
