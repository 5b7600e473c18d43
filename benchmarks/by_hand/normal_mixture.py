"""A learned mixture of diagonal normals as a prior, by broadcasting."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from by_hand.normal import log_normal


class NormalMixture(nn.Module):
    """K components of d dimensions."""

    def __init__(self, loc: Tensor, log_scale: Tensor, logits: Tensor) -> None:
        super().__init__()
        self.loc, self.log_scale, self.logits = map(nn.Parameter, (loc, log_scale, logits))

    def log_density(self, z: Tensor) -> Tensor:
        """Nats, ``(n,)``."""
        each = log_normal(z.unsqueeze(1), self.loc, 2 * self.log_scale).sum(-1)
        return torch.logsumexp(each + torch.log_softmax(self.logits, 0), 1)
