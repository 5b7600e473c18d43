"""Paths between two points of a latent space: straight, and along the sphere."""

from __future__ import annotations

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-6
"""Below this sine of the angle two directions count as one line."""


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""The straight path :math:`(1 - t)\, a + t\, b`, its ends exact.

    Arguments:
        a, b: points, ``(n, d)``.
        t: where on the path, ``(steps,)``, from 0 to 1.

    Returns: ``(n, steps, d)``.

    Example:
        >>> linear(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0.0, 0.5, 1.0]))[0, :, 0]
        tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.lerp(a[:, None], b[:, None], t.to(a)[None, :, None])


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""The path along the great circle, which keeps the norm where both ends have the same.

    .. math::
        \frac{\sin((1 - t)\,\Omega)}{\sin \Omega}\, a + \frac{\sin(t\,\Omega)}{\sin \Omega}\, b,
        \qquad \Omega = \angle(a, b)

    Draws of a standard normal of many dimensions lie near a sphere; the straight path leaves it. Parallel
    points and the zero vector take the straight path, which is the limit; opposite points take half a circle
    through a direction at right angles to both, the norm going linearly from one to the other.

    Arguments:
        a, b: points, ``(n, d)``.
        t: where on the path, ``(steps,)``, from 0 to 1.

    Returns: ``(n, steps, d)``.

    References:
        Shoemake, 1985, Animating rotation with quaternion curves, SIGGRAPH 19(3).
        White, 2016, Sampling Generative Networks, https://arxiv.org/abs/1609.04468

    Example:
        >>> a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> spherical(a, b, torch.tensor([0.0, 0.5, 1.0])).norm(dim=-1).round(decimals=4)
        tensor([[2., 2., 2.]])
    """
    # In double precision, on the CPU because not every device has it.
    start, end = a.cpu().double()[:, None], b.cpu().double()[:, None]
    where = t.cpu().double()[None, :, None]
    lengths = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    tiny = torch.finfo(torch.float64).tiny
    u, v = start / lengths[0].clamp(min=tiny), end / lengths[1].clamp(min=tiny)
    # atan2 of the two diagonals is exact near 0 and pi, where acos of the inner product is not.
    angle = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    sine = angle.sin()
    nowhere = (lengths[0] == 0) | (lengths[1] == 0)
    on_a_line = nowhere | (sine.abs() < _NEGLIGIBLE)
    safe = torch.where(on_a_line, torch.ones_like(sine), sine)
    circle = ((1 - where) * angle).sin() / safe * start + (where * angle).sin() / safe * end
    straight = torch.lerp(start, end, where)
    path = torch.where(on_a_line, straight, circle)
    opposite = on_a_line & ~nowhere & (angle > 1)
    if a.shape[-1] > 1 and bool(opposite.any()):
        turn = torch.pi * where
        length = torch.lerp(lengths[0], lengths[1], where)
        path = torch.where(opposite, length * (turn.cos() * u + turn.sin() * _right_angle(u)), path)
    return path.to(a)


def _right_angle(u: Tensor) -> Tensor:
    """A unit vector at right angles to each unit vector ``(n, 1, d)``, d of at least 2."""
    axis = torch.zeros_like(u).scatter(-1, u.abs().argmin(dim=-1, keepdim=True), 1.0)
    other = axis - (axis * u).sum(-1, keepdim=True) * u
    unit: Tensor = other / other.norm(dim=-1, keepdim=True)
    return unit
