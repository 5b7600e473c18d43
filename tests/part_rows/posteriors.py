"""Rows of the heads made for posteriors: full, low-rank and mixed normals, directions, shares, choices."""

from __future__ import annotations

import math

import torch
from part_checks import Line, Plane, Row, Values
from torch import Tensor

import pyrovae as pv

WIDE = Plane((-16.0, -16.0), (16.0, 16.0), points=960)
TWO_SHARES = Line(
    0.0, 1.0, at=lambda u: torch.stack((u, 1 - u), -1), place=lambda x: x[..., 0], points=100_000
)


def around(u: Tensor) -> Tensor:
    """Angles to points of the circle."""
    return torch.stack((u.cos(), u.sin()), -1)


def angle(x: Tensor) -> Tensor:
    return torch.atan2(x[..., 1], x[..., 0])


def globe(u: Tensor) -> Tensor:
    """Height and longitude to points of the sphere: Archimedes' map keeps areas."""
    radius = (1 - u[..., 0].square()).sqrt()
    return torch.stack((radius * u[..., 1].cos(), radius * u[..., 1].sin(), u[..., 0]), -1)


def chart(x: Tensor) -> Tensor:
    return torch.stack((x[..., 2], angle(x)), -1)


def auxiliary() -> pv.heads.Auxiliary:
    return pv.heads.Auxiliary(2, 3, pv.nets.MLP(3 + 4, 8, 4), pv.nets.MLP(2 + 4, 8, 6), context=4)


def rich_auxiliary() -> pv.heads.Auxiliary:
    return pv.heads.Auxiliary(
        2,
        1,
        pv.nets.MLP(1, 8, 5),
        pv.nets.MLP(2, 8, 4),
        head=pv.heads.FullNormal(),
        reverse_head=pv.heads.LowRankNormal(2),
    )


ON_DRAWS = "what only scores its own draws is no prior for another's; the posterior is captured in its tests"

HEADS = {
    "Auxiliary": [
        Row(auxiliary, (2,), (10,), captured=False, why=ON_DRAWS, pathwise=True, own_only=True),
        Row(rich_auxiliary, (2,), (2,), captured=False, why=ON_DRAWS, pathwise=True, own_only=True),
    ],
    "Delta": [
        Row(pv.heads.Delta, (3,), (3,), captured=False, why=ON_DRAWS, pathwise=True, own_only=True),
        Row(
            lambda: pv.heads.Delta(event_dim=3),
            (2, 3, 3),
            (2, 3, 3),
            captured=False,
            why=ON_DRAWS,
            pathwise=True,
            own_only=True,
        ),
    ],
    "Dirichlet": [
        Row(lambda: pv.heads.Dirichlet(least=1.0), (2,), (2,), TWO_SHARES, pathwise=True),
        Row(pv.heads.Dirichlet, (5,), (5,), pathwise=True),
    ],
    "FullNormal": [
        Row(pv.heads.FullNormal, (1,), (2,), Line(-12.0, 12.0), pathwise=True),
        Row(pv.heads.FullNormal, (2,), (5,), WIDE, pathwise=True),
        Row(pv.heads.FullNormal, (4,), (14,), pathwise=True),
    ],
    "LogisticNormal": [
        Row(pv.heads.LogisticNormal, (2,), (2,), TWO_SHARES, pathwise=True),
        Row(pv.heads.LogisticNormal, (5,), (8,), pathwise=True),
    ],
    "LowRankNormal": [
        Row(lambda: pv.heads.LowRankNormal(1), (2,), (6,), WIDE, pathwise=True),
        Row(lambda: pv.heads.LowRankNormal(2), (5,), (20,), pathwise=True),
    ],
    "NormalMixture": [
        Row(lambda: pv.heads.NormalMixture(3), (1,), (9,), Line(-16.0, 16.0), pathwise=True),
        Row(lambda: pv.heads.NormalMixture(3), (2,), (15,), WIDE, pathwise=True),
    ],
    "OneHot": [Row(pv.heads.OneHot, (4,), (4,), Values(torch.eye(4)))],
    "RelaxedBernoulli": [
        Row(lambda: pv.heads.RelaxedBernoulli(1.5), (1,), (1,), Line(0.0, 1.0), pathwise=True),
        Row(lambda: pv.heads.RelaxedBernoulli(1.2, learn=True), (4,), (4,), pathwise=True),
    ],
    "RelaxedOneHot": [
        Row(lambda: pv.heads.RelaxedOneHot(1.5), (2,), (2,), TWO_SHARES, pathwise=True),
        Row(lambda: pv.heads.RelaxedOneHot(0.8, learn=True), (4,), (4,), pathwise=True),
    ],
    "VonMisesFisher": [
        Row(
            pv.heads.VonMisesFisher,
            (2,),
            (3,),
            Line(-math.pi, math.pi, at=around, place=angle),
            pathwise=True,
        ),
        Row(
            pv.heads.VonMisesFisher,
            (3,),
            (4,),
            Plane((-1.0, -math.pi), (1.0, math.pi), at=globe, place=chart),
            pathwise=True,
        ),
    ],
}
