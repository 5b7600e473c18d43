"""MADE as a likelihood of binary vectors: scored in one pass, drawn by a pass for each entry."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from by_hand.masked import MADE


class Likelihood(nn.Module):
    """Vectors of d zeros and ones, given features of the latent."""

    def __init__(self, d: int, context: int, hidden: int) -> None:
        super().__init__()
        self.net = MADE(d, 1, context, (hidden,))
        self.given = nn.Linear(context, d, bias=False)

    def logits(self, t: Tensor, x: Tensor) -> Tensor:
        """Of all entries, each by those before it."""
        return self.net(2 * x - 1, t).squeeze(-1) + self.given(t)

    def log_density(self, t: Tensor, x: Tensor) -> Tensor:
        """Nats, ``(n,)``."""
        return -F.binary_cross_entropy_with_logits(self.logits(t, x), x, reduction="none").sum(-1)

    @torch.no_grad()
    def sample(self, t: Tensor) -> Tensor:
        """Vectors ``(n, d)``."""
        x = t.new_zeros(len(t), self.net.d)
        for i in range(self.net.d):
            x[:, i] = torch.bernoulli(torch.sigmoid(self.logits(t, x)[:, i]))
        return x
