"""The increasing functions of one number that couplings and autoregressive flows apply to each entry."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pyrovae.flows.base import Moved

LIMIT = 5.0
"""Of a layer's log scale: beyond it float32 loses the way back."""
GATE_START = 2.0
"""Where a gate's logit starts: Kingma et al. advise 1 to 2, a forget gate that is nearly open."""
LEAST_GATE = 1e-3
"""A closed gate has no way back."""


class Map(Protocol):
    """An increasing function of one number, the identity where its parameters are 0.

    Attributes:
        outputs: how many parameters it has.
    """

    @property
    def outputs(self) -> int: ...

    def push(self, x: Tensor, t: Tensor) -> Moved:
        """Entries ``(..., k)``, with parameters ``(..., k, outputs)``, to entries and log slopes."""

    def pull(self, y: Tensor, t: Tensor) -> Moved:
        """The way back; the log slope is that of the way forth."""


class Affine:
    r""":math:`y = x e^s + m`, the log scale s bounded smoothly by 5."""

    outputs = 2

    def push(self, x: Tensor, t: Tensor) -> Moved:
        shift, log_scale = self._read(t)
        return x * log_scale.exp() + shift, log_scale

    def pull(self, y: Tensor, t: Tensor) -> Moved:
        shift, log_scale = self._read(t)
        return (y - shift) * (-log_scale).exp(), log_scale

    def _read(self, t: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = t.unbind(-1)
        return shift, LIMIT * (raw / LIMIT).tanh()


class Gate:
    r""":math:`y = (g / g_0)\, x + (1 - g)\, m`, with a gate g that starts at :math:`g_0` and never closes."""

    outputs = 2
    start = LEAST_GATE + (1 - LEAST_GATE) / (1 + math.exp(-GATE_START))

    def push(self, x: Tensor, t: Tensor) -> Moved:
        m, gate = self._read(t)
        return torch.lerp(m, x / self.start, gate), (gate / self.start).log()

    def pull(self, y: Tensor, t: Tensor) -> Moved:
        m, gate = self._read(t)
        return self.start * (m + (y - m) / gate), (gate / self.start).log()

    def _read(self, t: Tensor) -> tuple[Tensor, Tensor]:
        m, raw = t.unbind(-1)
        return m, LEAST_GATE + (1 - LEAST_GATE) * (raw + GATE_START).sigmoid()


class RationalQuadratic:
    r"""A monotone spline on ``[-bound, bound]``, in each bin a quotient of quadratics; outside the identity.

    With :math:`\theta \in [0, 1]` the place in a bin from :math:`(x_0, y_0)` to :math:`(x_1, y_1)` of slope
    :math:`s = (y_1 - y_0) / (x_1 - x_0)`, and derivatives :math:`d_0, d_1` at its ends,

    .. math::
        y = y_0 + (y_1 - y_0)
        \frac{s \theta^2 + d_0 \theta (1 - \theta)}{s + (d_0 + d_1 - 2 s)\, \theta (1 - \theta)}

    Arguments:
        bins: how many; their sizes and the derivatives between are the parameters.
        bound: where the identity begins; the derivative there is 1.
        width: of the network's last hidden layer. The bins' shares are asked for in units of its root, as in
            Durkan et al.'s code: a wide network's step moves all its weights, and the knots by their sum.
    """

    least = 1e-3
    """Of a bin's share of the interval, and of a derivative."""

    def __init__(self, bins: int, bound: float, width: int = 1) -> None:
        self.bins, self.bound = bins, bound
        self.unit = math.sqrt(width)
        self.outputs = 3 * bins - 1

    def push(self, x: Tensor, t: Tensor) -> Moved:
        inside = x.clamp(-self.bound, self.bound)
        knots_x, knots_y, slopes = self._read(t)
        x0, width, y0, height, d0, d1 = _bin(inside, knots_x, knots_x, knots_y, slopes)
        theta = (inside - x0) / width
        s = height / width
        between = theta * (1 - theta)
        below = s + (d0 + d1 - 2 * s) * between
        y = y0 + height * (s * theta.square() + d0 * between) / below
        return self._outside(x, y, _log_slope(theta, s, d0, d1, below))

    def pull(self, y: Tensor, t: Tensor) -> Moved:
        inside = y.clamp(-self.bound, self.bound)
        knots_x, knots_y, slopes = self._read(t)
        x0, width, y0, height, d0, d1 = _bin(inside, knots_y, knots_x, knots_y, slopes)
        s = height / width
        rise = (inside - y0) * (d0 + d1 - 2 * s)
        a, b, c = height * (s - d0) + rise, height * d0 - rise, -s * (inside - y0)
        # The root in [0, 1], by the form that does not cancel.
        theta = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=1e-30).sqrt())
        theta = theta.clamp(0, 1)
        below = s + (d0 + d1 - 2 * s) * theta * (1 - theta)
        return self._outside(y, x0 + theta * width, _log_slope(theta, s, d0, d1, below))

    def _read(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The knots along x and y and the derivatives there, ``(..., bins + 1)``."""
        widths, heights, between = t.split((self.bins, self.bins, self.bins - 1), -1)
        one = math.log(math.expm1(1 - self.least))
        slopes = F.pad(self.least + F.softplus(between + one), (1, 1), value=1.0)
        return self._knots(widths), self._knots(heights), slopes

    def _knots(self, raw: Tensor) -> Tensor:
        shares = self.least + (1 - self.least * self.bins) * (raw / self.unit).softmax(-1)
        inner = self.bound * (2 * shares.cumsum(-1)[..., :-1] - 1)
        return F.pad(F.pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)

    def _outside(self, given: Tensor, moved: Tensor, log_slope: Tensor) -> Moved:
        within = given.abs() < self.bound
        return moved.where(within, given), log_slope.where(within, 0)


def _bin(at: Tensor, among: Tensor, *knots: Tensor) -> tuple[Tensor, ...]:
    """Of the bin of each number: left end and width, lower end and height, both derivatives."""
    index = (at.unsqueeze(-1) >= among[..., 1:-1]).sum(-1, keepdim=True)
    ends = [
        tuple(knot.expand(*index.shape[:-1], -1).gather(-1, index + i).squeeze(-1) for i in (0, 1))
        for knot in knots
    ]
    (x0, x1), (y0, y1), (d0, d1) = ends
    return x0, x1 - x0, y0, y1 - y0, d0, d1


def _log_slope(theta: Tensor, s: Tensor, d0: Tensor, d1: Tensor, below: Tensor) -> Tensor:
    above = d1 * theta.square() + 2 * s * theta * (1 - theta) + d0 * (1 - theta).square()
    return 2 * (s / below).log() + above.log()
