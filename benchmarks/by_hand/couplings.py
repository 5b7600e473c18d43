"""Coupling flows as priors: RealNVP's affine ones, and neural splines."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from by_hand.normal import log_standard_normal
from by_hand.spline import inverse


class Couplings(nn.Module):
    """Layers that move one half by what a network says of the other, over a standard normal.

    The halves are first and last in two layers, even and odd in the next two, and so on; d is even.
    """

    def __init__(self, d: int, layers: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.nets = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(d // 2, hidden), nn.ReLU(), nn.Linear(hidden, d // 2 * outputs))
                for _ in range(layers)
            ]
        )

    def log_density(self, z: Tensor) -> Tensor:
        """Nats, ``(n,)``."""
        log_density = z.new_zeros(len(z))
        for i in reversed(range(len(self.nets))):
            halves = i % 4 < 2
            a, b = z.chunk(2, -1) if halves else (z[:, ::2], z[:, 1::2])
            kept, moved = (b, a) if i % 2 else (a, b)
            moved, log_slopes = self.back(moved, self.nets[i](kept).view(len(z), -1, self.outputs))
            log_density = log_density - log_slopes.sum(-1)
            a, b = (moved, kept) if i % 2 else (kept, moved)
            z = torch.cat((a, b), -1) if halves else torch.stack((a, b), -1).flatten(1)
        return log_density + log_standard_normal(z).sum(-1)

    def back(self, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """From values to the base, with log slopes of the way forth."""
        raise NotImplementedError


class RealNVP(Couplings):
    """Affine, with log scales bounded by 5."""

    def __init__(self, d: int, layers: int, hidden: int) -> None:
        super().__init__(d, layers, hidden, outputs=2)

    def back(self, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        m, s = t.unbind(-1)
        s = 5 * torch.tanh(s / 5)
        return (y - m) * torch.exp(-s), s


class NeuralSpline(Couplings):
    """Rational-quadratic splines on [-5, 5]."""

    def __init__(self, d: int, layers: int, hidden: int, bins: int) -> None:
        super().__init__(d, layers, hidden, outputs=3 * bins - 1)
        self.bins, self.unit = bins, hidden**0.5

    def back(self, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        widths, heights, slopes = t.split([self.bins, self.bins, self.bins - 1], -1)
        x, log_slope = inverse(y, widths / self.unit, heights / self.unit, slopes, bound=5.0)
        return x, -log_slope
