"""Rows of the diagonal normal parts and of the Bernoulli."""

from __future__ import annotations

import torch
from part_checks import Line, Plane, Row, Values

import pyrovae as pv

BITS = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 2)

HEADS = {
    "Normal": [
        Row(pv.heads.Normal, (2,), (4,), Plane((-12.0, -12.0), (12.0, 12.0)), pathwise=True),
        Row(lambda: pv.heads.Normal(event_dim=3), (2, 5, 5), (4, 5, 5), pathwise=True),
    ],
    "IsotropicNormal": [
        Row(lambda: pv.heads.IsotropicNormal(0.5), (1,), (1,), Line(-8.0, 8.0), pathwise=True),
        Row(
            lambda: pv.heads.IsotropicNormal(0.5, learn=False, event_dim=3),
            (3, 9, 6),
            (3, 9, 6),
            pathwise=True,
        ),
    ],
    "CommittedNormal": [
        Row(lambda: pv.heads.CommittedNormal(2.0), (1,), (2,), Line(-12.0, 12.0), pathwise=True),
        Row(lambda: pv.heads.CommittedNormal(2.0, event_dim=3), (2, 5, 5), (4, 5, 5), pathwise=True),
    ],
    "Bernoulli": [
        Row(pv.heads.Bernoulli, (2,), (2,), Values(BITS)),
        Row(lambda: pv.heads.Bernoulli(event_dim=3), (3, 9, 6), (3, 9, 6)),
    ],
}

PRIORS = {
    "StandardNormal": [Row(lambda: pv.priors.StandardNormal(1), (1,), None, Line(-8.0, 8.0), pathwise=True)],
    "DiagonalNormal": [Row(lambda: pv.priors.DiagonalNormal(1), (1,), None, Line(-8.0, 8.0), pathwise=True)],
}
