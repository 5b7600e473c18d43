"""Rows of the priors."""

from __future__ import annotations

import math

import torch
from part_checks import Line, Plane, Row, Values
from torch import Tensor

import pyrovae as pv

BITS = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 2)

CIRCLE = Line(
    -math.pi,
    math.pi,
    at=lambda u: torch.stack([u.cos(), u.sin()], -1),
    place=lambda x: torch.atan2(x[:, 1], x[:, 0]),
    points=2000,
)


def _on_globe(u: Tensor) -> Tensor:
    """From longitude and height, which keep areas."""
    radius = (1 - u[:, 1].square()).sqrt()
    return torch.stack([radius * u[:, 0].cos(), radius * u[:, 0].sin(), u[:, 1]], -1)


GLOBE = Plane(
    (-math.pi, -1.0),
    (math.pi, 1.0),
    at=_on_globe,
    place=lambda x: torch.stack([torch.atan2(x[:, 1], x[:, 0]), x[:, 2]], -1),
)

SHARES = Line(0.0, 1.0, at=lambda u: torch.stack([u, 1 - u], -1), place=lambda x: x[:, 0])
"""Two shares, by the first."""


def vamp(**options: object) -> pv.priors.VampPrior:
    return pv.priors.VampPrior(pv.nets.MLP(5, 4), pv.heads.normal, 3, (5,), **options)  # type: ignore[arg-type]


def started_mixture() -> pv.priors.NormalMixture:
    """Of two clusters, one of them long."""
    numbers = torch.Generator().manual_seed(0)
    z = torch.randn(200, 2, generator=numbers)
    z[:80] = z[:80] * torch.tensor([2.0, 0.3]) + torch.tensor([1.0, 4.0])
    return pv.priors.NormalMixture(2, 2).start_from(z)


def tilt_and_style() -> pv.priors.Joint:
    return pv.priors.Joint(tilt=pv.priors.Laplace(1, learn=True), style=pv.priors.FullNormal(1))


PRIORS = {
    "FullNormal": [
        Row(lambda: pv.priors.FullNormal(2), (2,), None, Plane((-6.0, -6.0), (6.0, 6.0)), pathwise=True),
        Row(lambda: pv.priors.FullNormal(1), (1,), pathwise=True),
    ],
    "Laplace": [
        Row(lambda: pv.priors.Laplace(1, scale=0.5), (1,), None, Line(-12.0, 12.0), pathwise=True),
        Row(lambda: pv.priors.Laplace(3, learn=True), (3,), pathwise=True),
    ],
    "Sphere": [
        Row(lambda: pv.priors.Sphere(2), (2,), None, CIRCLE, pathwise=True),
        Row(lambda: pv.priors.Sphere(3), (3,), None, GLOBE, pathwise=True),
    ],
    "NormalMixture": [
        Row(lambda: pv.priors.NormalMixture(1, 3), (1,), None, Line(-9.0, 9.0), pathwise=True),
        Row(started_mixture, (2,), None, Plane((-8.0, -6.0), (10.0, 8.0)), pathwise=True),
    ],
    "VampPrior": [
        Row(vamp, (2,), None, Plane((-9.0, -9.0), (9.0, 9.0)), pathwise=True),
        Row(lambda: vamp(bounds=(0.0, 1.0), learn_weights=True), (2,), pathwise=True),
        Row(
            lambda: pv.priors.VampPrior(pv.nets.MLP(5, 5), pv.heads.FullNormal(), 3, (5,)),
            (2,),
            None,
            Plane((-9.0, -9.0), (9.0, 9.0)),
        ),
    ],
    "LogisticNormal": [
        Row(lambda: pv.priors.LogisticNormal(2, scale=0.7), (2,), None, SHARES, pathwise=True),
        Row(lambda: pv.priors.LogisticNormal(4, learn=True), (4,), pathwise=True),
    ],
    "Dirichlet": [
        Row(lambda: pv.priors.Dirichlet(2, concentration=1.5), (2,), None, SHARES, pathwise=True),
        Row(lambda: pv.priors.Dirichlet(4, learn=True), (4,), pathwise=True),
    ],
    "OneHot": [
        Row(lambda: pv.priors.OneHot(3, learn=True), (3,), None, Values(torch.eye(3))),
        Row(lambda: pv.priors.OneHot(2), (2,), None, Values(torch.eye(2))),
    ],
    "Bernoulli": [
        Row(lambda: pv.priors.Bernoulli(2, probs=0.3), (2,), None, Values(BITS)),
        Row(lambda: pv.priors.Bernoulli(3, learn=True), (3,)),
    ],
    "RelaxedBernoulli": [
        Row(
            lambda: pv.priors.RelaxedBernoulli(1, temperature=1.5),
            (1,),
            None,
            Line(0.0, 1.0),
            pathwise=True,
        ),
        Row(lambda: pv.priors.RelaxedBernoulli(3, learn=True), (3,), pathwise=True),
    ],
    "RelaxedOneHot": [
        Row(
            lambda: pv.priors.RelaxedOneHot(2, temperature=1.5),
            (2,),
            None,
            SHARES,
            pathwise=True,
        ),
        Row(lambda: pv.priors.RelaxedOneHot(4, learn=True), (4,), pathwise=True),
    ],
    "Conditional": [
        Row(
            lambda: pv.priors.Conditional(pv.nets.MLP(3, 4), pv.heads.normal),
            (2,),
            (3,),
            pathwise=True,
        ),
        Row(
            lambda: pv.priors.Conditional(pv.nets.MLP(3, 2), pv.heads.normal),
            (1,),
            (3,),
            Line(-12.0, 12.0),
            pathwise=True,
        ),
    ],
    "Joint": [
        Row(tilt_and_style, (2,), None, Plane((-12.0, -7.0), (12.0, 7.0)), pathwise=True),
        Row(
            lambda: pv.priors.Joint(
                tilt=pv.priors.Conditional(pv.nets.MLP(3, 2), pv.heads.normal),
                style=pv.priors.DiagonalNormal(2),
            ),
            (3,),
            (3,),
            pathwise=True,
        ),
    ],
}
