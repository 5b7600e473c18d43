"""Rows of the autoregressive heads: small events, whose values can all be listed."""

from __future__ import annotations

import torch
from part_checks import Plane, Row, Values

import pyrovae as pv

H = pv.heads


def listed(values: int, *event: int) -> torch.Tensor:
    """Every event of so many values an entry."""
    size = torch.Size(event).numel()
    return torch.cartesian_prod(*[torch.arange(values, dtype=torch.float64)] * size).reshape(-1, *event)


def ended(values: int, length: int, end: int) -> torch.Tensor:
    """Every sequence with nothing but the end after an end."""
    x = listed(values, length)
    ends = (x == end).long()
    return x[((x == end) | (ends.cumsum(-1) == 0)).all(-1)]


HEADS = {
    "PixelCNN": [
        Row(
            lambda: H.PixelCNN(1, 3, width=4, layers=2, kernel=3),
            (1, 2, 2),
            (3, 2, 2),
            Values(listed(2, 1, 2, 2)),
        ),
        Row(
            lambda: H.PixelCNN(2, 3, emission=H.Categorical(3, event_dim=3), width=4, layers=2),
            (2, 1, 2),
            (3, 1, 2),
            Values(listed(3, 2, 1, 2)),
        ),
        Row(
            lambda: H.PixelCNN(3, 2, emission=H.LogisticMixture(2, levels=4, event_dim=3), width=4, layers=1),
            (3, 4, 5),
            (2, 4, 5),
        ),
        Row(lambda: H.PixelCNN(1, 2, emission=H.IsotropicNormal(0.5, event_dim=3)), (1, 3, 2), (2, 3, 2)),
    ],
    "MADE": [
        Row(lambda: H.MADE(3, 4, hidden=(8,)), (3,), (4,), Values(listed(2, 3))),
        Row(
            lambda: H.MADE(2, 4, emission=H.Normal(), hidden=(8, 5)),
            (2,),
            (4,),
            Plane((-12.0, -12.0), (12.0, 12.0)),
        ),
        Row(
            lambda: H.MADE(3, 5, emission=H.Categorical(3), hidden=(), activation=torch.nn.Tanh),
            (3,),
            (5,),
            Values(listed(3, 3)),
        ),
    ],
    "GRU": [
        Row(lambda: H.GRU(3, 4, emission=H.Categorical(3), hidden=6), (3,), (4,), Values(listed(3, 3))),
        Row(
            lambda: H.GRU(3, 4, emission=H.Categorical(3), hidden=6, word_dropout=0.3, end=1),
            (3,),
            (4,),
            Values(ended(3, 3, 1)),
        ),
        Row(
            lambda: H.GRU(2, 3, emission=H.Normal(), size=1, hidden=4),
            (2, 1),
            (3,),
            Plane((-12.0, -12.0), (12.0, 12.0)),
        ),
        Row(lambda: H.GRU(3, 5, emission=H.Poisson(), size=2, hidden=4), (3, 2), (5,)),
    ],
    "Transformer": [
        Row(
            lambda: H.Transformer(3, 4, emission=H.Categorical(3), width=8, heads=2),
            (3,),
            (4,),
            Values(listed(3, 3)),
        ),
        Row(
            lambda: H.Transformer(3, 5, emission=H.Categorical(3), width=4, heads=1, dropout=0.2, end=0),
            (3,),
            (5,),
            Values(ended(3, 3, 0)),
        ),
        Row(lambda: H.Transformer(4, 3, emission=H.Normal(), width=4, heads=2), (4,), (3,)),
    ],
}
