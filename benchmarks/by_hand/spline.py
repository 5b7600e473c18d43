"""The rational-quadratic spline, after the code of Durkan, Bekasov, Murray and Papamakarios (2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-3


def knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """The ends of the bins and their sizes, ``(..., bins + 1)`` and ``(..., bins)``."""
    shares = LEAST + (1 - LEAST * raw.shape[-1]) * F.softmax(raw, -1)
    ends = F.pad(torch.cumsum(shares, -1), (1, 0))
    ends = 2 * bound * ends - bound
    ends[..., 0], ends[..., -1] = -bound, bound
    return ends, ends[..., 1:] - ends[..., :-1]


def inverse(y: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """The way back of each entry, and the log slope of the way back; outside of the bound the identity."""
    inside = (y >= -bound) & (y <= bound)
    x, log_slope = torch.zeros_like(y), torch.zeros_like(y)
    x[~inside] = y[~inside]
    x[inside], log_slope[inside] = _inside(
        y[inside], widths[inside], heights[inside], slopes[inside], bound
    )
    return x, log_slope


def _inside(y: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    x_ends, widths = knots(widths, bound)
    y_ends, heights = knots(heights, bound)
    constant = math.log(math.exp(1 - LEAST) - 1)
    derivatives = LEAST + F.softplus(F.pad(slopes, (1, 1), value=constant - 0.0))
    bin = (torch.sum(y.unsqueeze(-1) >= y_ends[..., :-1], -1, keepdim=True) - 1).clamp(min=0)

    x0, width = (of.gather(-1, bin).squeeze(-1) for of in (x_ends, widths))
    y0, height = (of.gather(-1, bin).squeeze(-1) for of in (y_ends, heights))
    d0, d1 = (derivatives.gather(-1, bin + i).squeeze(-1) for i in (0, 1))
    delta = height / width
    rise = (y - y0) * (d0 + d1 - 2 * delta)
    a, b, c = height * (delta - d0) + rise, height * d0 - rise, -delta * (y - y0)
    theta = 2 * c / (-b - torch.sqrt(b.square() - 4 * a * c))
    between = theta * (1 - theta)
    below = delta + (d0 + d1 - 2 * delta) * between
    above = delta.square() * (d1 * theta.square() + 2 * delta * between + d0 * (1 - theta).square())
    return theta * width + x0, -(torch.log(above) - 2 * torch.log(below))
