"""Rows of the likelihoods of continuous data and of pixels."""

from __future__ import annotations

import torch
from part_checks import Line, Plane, Row, Values

import pyrovae as pv

heads = pv.heads


def grid(levels: int, entries: int = 1) -> torch.Tensor:
    """All events of so many gray entries, ``(levels ** entries, entries)``."""
    one = torch.arange(levels, dtype=torch.float64) / (levels - 1)
    return torch.cartesian_prod(*[one] * entries).reshape(-1, entries)


HEADS = {
    "Laplace": [
        Row(heads.Laplace, (1,), (2,), Line(-60.0, 60.0, points=400_000), pathwise=True),
        Row(lambda: heads.Laplace(event_dim=3), (2, 4, 3), (4, 4, 3), pathwise=True),
    ],
    "StudentT": [
        Row(lambda: heads.StudentT(df=9.0), (1,), (2,), Line(-80.0, 80.0, points=400_000), pathwise=True),
        Row(lambda: heads.StudentT(df=3.0, learn=True), (2,), (4,), pathwise=True),
        Row(lambda: heads.StudentT(event_dim=3), (2, 4, 3), (4, 4, 3), pathwise=True),
    ],
    "Beta": [
        Row(heads.Beta, (1,), (2,), Line(0.0, 1.0, points=1_000_000), pathwise=True),
        Row(heads.Beta, (2,), (4,), pathwise=True),
        Row(lambda: heads.Beta(event_dim=3), (2, 4, 3), (4, 4, 3), pathwise=True),
    ],
    "ContinuousBernoulli": [
        Row(heads.ContinuousBernoulli, (2,), (2,), Plane((0.0, 0.0), (1.0, 1.0)), pathwise=True),
        Row(heads.ContinuousBernoulli, (1,), (1,), Line(0.0, 1.0), pathwise=True),
        Row(lambda: heads.ContinuousBernoulli(event_dim=3), (3, 4, 2), (3, 4, 2), pathwise=True),
    ],
    "OptimalNormal": [
        Row(heads.OptimalNormal, (1,), (1,), Line(-9.0, 9.0), pathwise=True),
        Row(lambda: heads.OptimalNormal(momentum=0.5, event_dim=3), (3, 4, 2), (3, 4, 2), pathwise=True),
    ],
    "Categorical": [
        Row(
            lambda: heads.Categorical(3),
            (2,),
            (6,),
            Values(torch.cartesian_prod(*[torch.arange(3.0, dtype=torch.float64)] * 2)),
        ),
        Row(lambda: heads.Categorical(4, event_dim=3), (2, 3, 2), (8, 3, 2)),
    ],
    "PixelCategorical": [
        Row(lambda: heads.PixelCategorical(levels=5), (2,), (10,), Values(grid(5, 2))),
        Row(lambda: heads.PixelCategorical(event_dim=3), (3, 2, 2), (768, 2, 2)),
    ],
    "DiscretisedLogistic": [
        Row(heads.DiscretisedLogistic, (1,), (2,), Values(grid(256))),
        Row(lambda: heads.DiscretisedLogistic(levels=3), (2,), (4,), Values(grid(3, 2))),
        Row(lambda: heads.DiscretisedLogistic(event_dim=3), (3, 4, 2), (6, 4, 2)),
    ],
    "LogisticMixture": [
        Row(lambda: heads.LogisticMixture(4), (1,), (12,), Values(grid(256))),
        Row(lambda: heads.LogisticMixture(2, levels=3), (2,), (12,), Values(grid(3, 2))),
        Row(lambda: heads.LogisticMixture(2, event_dim=3), (1, 3, 2), (6, 3, 2)),
        Row(
            lambda: heads.LogisticMixture(3, levels=5, event_dim=3),
            (3, 1, 1),
            (30, 1, 1),
            Values(grid(5, 3).reshape(-1, 3, 1, 1)),
        ),
        Row(lambda: heads.LogisticMixture(2, event_dim=3), (3, 3, 2), (20, 3, 2)),
    ],
    "MuLaw": [
        Row(lambda: heads.MuLaw(levels=16), (1,), (16,), Line(-1.0, 1.0, points=200_000)),
        Row(lambda: heads.MuLaw(event_dim=2), (1, 4), (256, 4)),
    ],
}
