"""The rational-quadratic spline, after the code of Durkan, Bekasov, Murray and Papamakarios (2019).

Without their selection of what lies inside by booleans, which costs more than computing it for all.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-3
ONE = math.log(math.expm1(1 - LEAST))
"""The raw slope that makes a slope of 1."""


def knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """The ends of the bins and their sizes, ``(..., bins + 1)`` and ``(..., bins)``."""
    shares = LEAST + (1 - LEAST * raw.shape[-1]) * F.softmax(raw, -1)
    ends = 2 * bound * F.pad(torch.cumsum(shares, -1), (1, 0)) - bound
    ends[..., -1] = bound
    return ends, ends[..., 1:] - ends[..., :-1]


def inverse(
    y: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float
) -> tuple[Tensor, Tensor]:
    """The way back of each entry, and the log slope of the way back; outside of the bound the identity."""
    inside = (y > -bound) & (y < bound)
    at = y.clamp(-bound, bound)
    x_ends, widths = knots(widths, bound)
    y_ends, heights = knots(heights, bound)
    derivatives = LEAST + F.softplus(F.pad(slopes + ONE, (1, 1), value=ONE))
    bin = torch.sum(at.unsqueeze(-1) >= y_ends[..., 1:-1], -1, keepdim=True)

    x0, width = (of.gather(-1, bin).squeeze(-1) for of in (x_ends, widths))
    y0, height = (of.gather(-1, bin).squeeze(-1) for of in (y_ends, heights))
    d0, d1 = (derivatives.gather(-1, bin + i).squeeze(-1) for i in (0, 1))
    delta = height / width
    rise = (at - y0) * (d0 + d1 - 2 * delta)
    a, b, c = height * (delta - d0) + rise, height * d0 - rise, -delta * (at - y0)
    theta = 2 * c / (-b - torch.sqrt(b.square() - 4 * a * c))
    between = theta * (1 - theta)
    below = delta + (d0 + d1 - 2 * delta) * between
    above = delta.square() * (d1 * theta.square() + 2 * delta * between + d0 * (1 - theta).square())
    log_slope = 2 * torch.log(below) - torch.log(above)
    return torch.where(inside, theta * width + x0, y), torch.where(inside, log_slope, 0.0)
