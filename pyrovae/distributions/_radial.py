r"""The law of the cosine between a von Mises-Fisher draw and its mean direction, by one rule of quadrature.

On the sphere of :math:`\mathbb R^m` the cosine :math:`w = \mu^\top x` has the density
:math:`\propto e^{\kappa w} (1 - w^2)^{(m-3)/2}`. With :math:`w = \tanh t` it becomes

.. math:: f(t) \propto \exp\big(g(t)\big), \qquad g(t) = -\kappa (1 - \tanh t) - (m - 1) \log \cosh t,

which is log-concave, analytic, and of a width near :math:`(m-1)^{-1/2}` for every :math:`\kappa`: at its mode
:math:`g'' = -(m-1)(1 + w^2)`. So one grid, moved to the mode and denser there (:math:`t` is a sinh of evenly
spaced :math:`u`), serves every order and argument of the Bessel function: the trapezoidal rule converges
exponentially (Trefethen and Weideman, 2014). No series, no switch between expansions, no loop.

References:
    Trefethen and Weideman, 2014, The Exponentially Convergent Trapezoidal Rule, SIAM Review 56(3).
    Figurnov, Mohamed and Mnih, 2018, Implicit Reparameterization Gradients, https://arxiv.org/abs/1805.08498
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

NEWTON_STEPS = 4
"""From a start within one interval of the grid; three leave the rounding error of float32."""


class _Grid(NamedTuple):
    """Nodes ``(..., nodes)`` for each concentration.

    Attributes:
        mode: of the density in t, ``(..., 1)``.
        bend, reach: :math:`t = \\text{mode} + \\text{reach} \\sinh(\\text{bend}\\, u)`.
        step: between the nodes in u, from -1 to 1.
        u: the nodes, ``(nodes,)``.
        t: the nodes in t.
    """

    mode: Tensor
    bend: float
    reach: float
    step: float
    u: Tensor
    t: Tensor


def log_area(dim: int) -> float:
    r"""Logarithm of the area of the unit sphere in ``dim`` dimensions, :math:`2 \pi^{m/2} / \Gamma(m/2)`."""
    return math.log(2) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


def log_normalizer(concentration: Tensor, dim: int) -> Tensor:
    r"""Logarithm of the density's integral over the sphere, scaled at its maximum; differentiable, twice too.

    .. math::
        \log \int_{S^{m-1}} e^{\kappa (\mu^\top x - 1)} dx
        = \tfrac m2 \log 2\pi + \log I_{m/2-1}(\kappa) - (\tfrac m2 - 1) \log \kappa - \kappa

    The grid is held fixed for the gradient, since the integral does not depend on where it lies.

    Arguments:
        concentration: ``(...)``, from 0 on.
        dim: m, from 2 on.
    """
    grid = _grid(concentration, dim)
    weights = _exponents(grid, concentration, dim)
    return weights.logsumexp(-1) + math.log(grid.step * grid.bend * grid.reach) + log_area(dim - 1)


def moments(concentration: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    r""":math:`1 - \mathbb E[w]` and :math:`1 - \mathbb E[w^2]`, without cancellation where w is close to 1.

    Arguments:
        concentration: ``(...)``, from 0 on.
        dim: m, from 2 on.
    """
    grid = _grid(concentration, dim)
    weights = _exponents(grid, concentration, dim).softmax(-1)
    below = _below_one(grid.t)
    return (weights * below).sum(-1), (weights * below * (2 - below)).sum(-1)


def draw(concentration: Tensor, dim: int, shape: torch.Size) -> tuple[Tensor, Tensor]:
    r"""Draws :math:`(w, \sqrt{1 - w^2})`, each ``shape + concentration.shape``, differentiable in the latter.

    A uniform number through the inverse of the distribution function F, whose integral over an interval of
    the grid is the trapezoidal rule with its end correction. The gradient is the implicit one,
    :math:`\partial t / \partial \kappa = -\partial_\kappa F(t) / f(t)`: no draw is rejected, so that no term
    is missing. F is off by less than 1e-6, and the gradient by 1e-4 of itself in all but the last thousandth
    of either tail; float32 adds its rounding.
    """
    with torch.no_grad():
        fixed = concentration.detach()
        uniform = torch.rand((*fixed.shape, shape.numel()), dtype=fixed.dtype, device=fixed.device)
        t, slope = _invert(fixed, dim, uniform)
        t, slope = (x.movedim(-1, 0).reshape(shape + fixed.shape) for x in (t, slope))
    if concentration.requires_grad:
        t = t + slope * (concentration - fixed)
    return t.tanh(), 1 / t.cosh()


def _precision(dtype: torch.dtype) -> tuple[int, float]:
    """How many nodes, and how far below the mode, in nats, the grid ends."""
    return (128, 36.0) if dtype == torch.float64 else (96, 20.0)


def _grid(concentration: Tensor, dim: int) -> _Grid:
    k, a = concentration.detach(), dim - 1.0
    nodes, depth = _precision(k.dtype)
    # The mode solves k (1 - w^2) = a w; this is 1 - w without cancellation.
    root = torch.hypot(torch.full_like(k, a), 2 * k)
    below = (a + a * a / (root + 2 * k)) / (a + root)
    mode = 0.5 * ((2 - below) / below).log().unsqueeze(-1)
    # Where a log cosh t = depth: the end for k = 0, and further than needed for any other.
    end = depth / a + math.log1p(math.sqrt(-math.expm1(-2 * depth / a)))
    bend = math.asinh(end * math.sqrt(a))
    reach = end / math.sinh(bend)
    u = torch.linspace(-1, 1, nodes, dtype=k.dtype, device=k.device)
    return _Grid(mode, bend, reach, 2 / (nodes - 1), u, mode + reach * (bend * u).sinh())


def _below_one(t: Tensor) -> Tensor:
    """1 - tanh t."""
    return 2 * torch.sigmoid(-2 * t)


def _log_cosh(t: Tensor) -> Tensor:
    return t.abs() + (-2 * t.abs()).exp().log1p() - math.log(2)


def _exponents(grid: _Grid, concentration: Tensor, dim: int) -> Tensor:
    """Log density by u at the nodes, but for constants; differentiable in the concentration."""
    rest = (grid.bend * grid.u).cosh().log() - (dim - 1) * _log_cosh(grid.t)
    return rest - concentration.unsqueeze(-1) * _below_one(grid.t)


class _Law:
    """Density of u, and of its derivative by the concentration, each with the slope that the rule needs."""

    def __init__(self, concentration: Tensor, dim: int) -> None:
        self.grid = grid = _grid(concentration, dim)
        self.k, self.a = concentration.unsqueeze(-1), dim - 1.0
        exponents = _exponents(grid, concentration, dim)
        self.shift = exponents.logsumexp(-1, keepdim=True) + math.log(grid.step)
        self.mean_below = (exponents.softmax(-1) * _below_one(grid.t)).sum(-1, keepdim=True)

    def at(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """t, dt/du, the density and its slope, and the same two times (w - E[w]); ``(..., any)``."""
        grid, bent = self.grid, self.grid.bend * u
        t = grid.mode + grid.reach * bent.sinh()
        speed = grid.reach * grid.bend * bent.cosh()
        below = _below_one(t)
        square = below * (2 - below)  # 1 - w^2
        exponent = bent.cosh().log() - self.a * _log_cosh(t) - self.k * below
        density = (exponent - self.shift).exp()
        slope = density * ((self.k * square - self.a * (1 - below)) * speed + grid.bend * bent.tanh())
        excess = self.mean_below - below
        return t, speed, density, slope, excess * density, square * speed * density + excess * slope


def _rule(width: Tensor | float, f: Tensor, f_slope: Tensor, g: Tensor, g_slope: Tensor) -> Tensor:
    """An integral over an interval by values and slopes at its ends: the error is of fifth order."""
    return width / 2 * (f + g) + width**2 / 12 * (f_slope - g_slope)


def _invert(concentration: Tensor, dim: int, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """t and its derivative by the concentration, for uniform numbers ``(..., draws)``.

    Both halves of the distribution are measured from their own end, which keeps the tails' digits.
    """
    law = _Law(concentration, dim)
    grid = law.grid
    _, _, *at_nodes = law.at(grid.u)
    cells = [
        _rule(grid.step, f[..., :-1], s[..., :-1], f[..., 1:], s[..., 1:])
        for f, s in (at_nodes[:2], at_nodes[2:])
    ]
    zero = torch.zeros_like(grid.mode)
    lower = [torch.cat((zero, cell.cumsum(-1)), -1) for cell in cells]
    upper = [torch.cat((cell.flip(-1).cumsum(-1).flip(-1), zero), -1) for cell in cells]

    is_low = uniform < 0.5
    smallest = 8 * math.exp(-_precision(uniform.dtype)[1])
    mass = torch.where(is_low, uniform, 1 - uniform).clamp(min=smallest)
    from_left = torch.searchsorted(lower[0].contiguous(), mass, right=True) - 1
    from_right = len(grid.u) - 1 - torch.searchsorted(upper[0].flip(-1).contiguous(), mass)
    cell = torch.where(is_low, from_left, from_right).clamp(0, len(grid.u) - 2)
    f, f_slope, d, d_slope = (x.gather(-1, cell) for x in at_nodes)
    left = grid.u[cell]

    def log_mass(index: Tensor) -> Tensor:
        whole = torch.where(is_low, lower[0].gather(-1, index), upper[0].gather(-1, index))
        return whole.clamp(min=smallest / 8).log()

    start, stop = log_mass(cell), log_mass(cell + 1)
    u = left + grid.step * ((mass.log() - start) / (stop - start)).nan_to_num(0.5).clamp(0, 1)
    sign = torch.where(is_low, 1.0, -1.0).to(u.dtype)
    begun = torch.where(is_low, lower[0].gather(-1, cell), upper[0].gather(-1, cell))
    for _ in range(NEWTON_STEPS):
        _, _, density, slope, *_ = law.at(u)
        passed = begun + sign * _rule(u - left, f, f_slope, density, slope)
        passed = passed.clamp(min=smallest / 8)
        u = u - sign * passed * (passed / mass).log() / density
        u = torch.minimum(torch.maximum(u, left), left + grid.step)

    t, speed, density, _, excess, excess_slope = law.at(u)
    change = _rule(u - left, d, d_slope, excess, excess_slope)
    # Over the whole line the change is zero, so that what lies above is minus what lies below.
    change = change + torch.where(is_low, lower[1].gather(-1, cell), -upper[1].gather(-1, cell))
    return t, -change / density * speed
