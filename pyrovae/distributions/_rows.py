"""Rows of logits that need not lie side by side in memory, as those of images, whose channels come first.

Torch would copy them together, and their gradients apart again: for images of 256 levels that is a third of
a likelihood's time. So the dimensions are taken in the order in which they lie.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_softmax(logits: Tensor) -> Tensor:
    """Along the last dimension."""
    order, back = _as_it_lies(logits)
    return logits.permute(order).log_softmax(back[-1]).permute(back)


def at_index(logits: Tensor, index: Tensor) -> Tensor:
    """The entry of each row of logits ``(..., L)`` at its index ``(...)``; shapes broadcast."""
    shape = torch.broadcast_shapes(index.shape, logits.shape[:-1])
    rows = logits.expand(*shape, logits.shape[-1])
    order, back = _as_it_lies(rows)
    index = index.expand(shape).unsqueeze(-1).permute(order)
    return rows.permute(order).gather(back[-1], index).permute(back).squeeze(-1)


def _as_it_lies(x: Tensor) -> tuple[list[int], list[int]]:
    """The order of its dimensions in memory, outermost first, and the way back."""
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda i: -strides[i])
    return order, [order.index(i) for i in range(x.ndim)]
