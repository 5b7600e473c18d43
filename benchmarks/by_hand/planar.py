"""The planar flow of a posterior, its layers read off the encoder's context."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from by_hand.normal import draw

LEAST = 1e-3


class Planar(nn.Module):
    """Network outputs are d locs, d log variances, and the context."""

    def __init__(self, d: int, context: int, layers: int) -> None:
        super().__init__()
        self.sizes, self.layers, self.d = [d, d, context], layers, d
        self.constant = nn.Parameter(torch.zeros(layers * (2 * d + 1)))
        self.told = nn.Linear(context, layers * (2 * d + 1), bias=False)

    def draw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Draws ``(n, d)`` and their log densities, nats, ``(n,)``."""
        loc, log_variance, context = t.split(self.sizes, -1)
        z, log_density = draw(loc, log_variance)
        of_layers = (self.constant + self.told(context)).view(len(t), self.layers, -1)
        for layer in of_layers.unbind(1):
            u, w, b = layer.split([self.d, self.d, 1], -1)
            wu = (w * u).sum(-1, keepdim=True)
            product = LEAST - 1 + (1 - LEAST) * F.softplus(wu + math.log(math.e - 1))
            u = u + (product - wu) * w / w.square().sum(-1, keepdim=True)
            h = torch.tanh((w * z).sum(-1, keepdim=True) + b)
            z = z + u * h
            log_density = log_density - torch.log1p(product * (1 - h.square())).squeeze(-1)
        return z, log_density
