"""The masked autoregressive flow as a prior: the density of a value in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from by_hand.masked import MADE
from by_hand.normal import log_standard_normal


class MAF(nn.Module):
    """Affine layers, every second one from the last entry to the first; log scales bounded by 5."""

    def __init__(self, d: int, layers: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.nets = nn.ModuleList([MADE(d, 2, 0, hidden) for _ in range(layers)])

    def log_density(self, z: Tensor) -> Tensor:
        """Nats, ``(n,)``."""
        log_density = z.new_zeros(len(z))
        for i, net in enumerate(self.nets):
            if i % 2:
                z = z.flip(-1)
            m, s = net(z).unbind(-1)
            s = 5 * torch.tanh(s / 5)
            z = (z - m) * torch.exp(-s)
            log_density = log_density - s.sum(-1)
            if i % 2:
                z = z.flip(-1)
        return log_density + log_standard_normal(z).sum(-1)
