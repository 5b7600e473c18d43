"""The inverse autoregressive flow of a posterior, draw and density in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from by_hand.masked import MADE
from by_hand.normal import draw

LEAST = 1e-3


class IAF(nn.Module):
    """Gated layers, every second one from the last entry to the first; gates lie in (0.001, 1).

    Network outputs are d locs, d log variances, and the context.
    """

    def __init__(self, d: int, context: int, layers: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = [d, d, context]
        self.nets = nn.ModuleList([MADE(d, 2, context, hidden) for _ in range(layers)])
        self.start = LEAST + (1 - LEAST) * torch.sigmoid(torch.tensor(2.0)).item()

    def draw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Draws ``(n, d)`` and their log densities, nats, ``(n,)``."""
        loc, log_variance, context = t.split(self.sizes, -1)
        z, log_density = draw(loc, log_variance)
        for i, net in enumerate(self.nets):
            if i % 2:
                z = z.flip(-1)
            m, s = net(z, context).unbind(-1)
            gate = LEAST + (1 - LEAST) * torch.sigmoid(s + 2)
            scale = gate / self.start
            z = scale * z + (1 - gate) * m
            log_density = log_density - torch.log(scale).sum(-1)
            if i % 2:
                z = z.flip(-1)
        return z, log_density
