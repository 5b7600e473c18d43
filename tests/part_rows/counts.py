"""Rows of the heads of counts, of mixed tables, and of data with gaps."""

from __future__ import annotations

import itertools

import torch
from part_checks import Line, NetRow, Plane, Row, Values

import pyrovae as pv

COUNTS = torch.arange(1500.0).unsqueeze(-1)
BAGS = torch.tensor([bag for bag in itertools.product(range(6), repeat=3) if sum(bag) == 5]).float()
TABLE = torch.tensor(list(itertools.product([0.0, 1.0], range(40), range(40)))).float()
BITS = torch.tensor(list(itertools.product([0.0, 1.0], repeat=2)))

heads = pv.heads


def _shared(*size: int) -> pv.heads.SharedNegativeBinomial:
    return heads.SharedNegativeBinomial(*size)


HEADS = {
    "Poisson": [
        Row(heads.Poisson, (1,), (1,), Values(COUNTS)),
        Row(lambda: heads.Poisson(link="softplus"), (1,), (1,), Values(COUNTS)),
        Row(lambda: heads.Poisson(event_dim=3), (2, 5, 4), (2, 5, 4)),
    ],
    "NegativeBinomial": [
        Row(heads.NegativeBinomial, (1,), (2,), Values(COUNTS)),
        Row(heads.NegativeBinomial, (3,), (6,)),
        Row(lambda: heads.NegativeBinomial(event_dim=3), (2, 5, 4), (4, 5, 4)),
    ],
    "SharedNegativeBinomial": [
        Row(lambda: _shared(1), (1,), (1,), Values(COUNTS)),
        Row(lambda: _shared(2, 5, 4), (2, 5, 4), (2, 5, 4)),
    ],
    "ZeroInflatedNegativeBinomial": [
        Row(heads.ZeroInflatedNegativeBinomial, (1,), (3,), Values(COUNTS)),
        Row(
            lambda: heads.ZeroInflatedNegativeBinomial(counts=_shared(1)),
            (1,),
            (2,),
            Values(COUNTS),
        ),
        Row(lambda: heads.ZeroInflatedNegativeBinomial(3), (2, 5, 4), (6, 5, 4)),
        Row(
            lambda: heads.ZeroInflatedNegativeBinomial(3, counts=_shared(2, 5, 4)),
            (2, 5, 4),
            (4, 5, 4),
        ),
    ],
    "Multinomial": [Row(lambda: heads.Multinomial(5), (3,), (3,), Values(BAGS))],
    "Mixed": [
        Row(
            lambda: heads.Mixed(ill=(heads.Bernoulli(), 1), visits=(heads.Poisson(), 2)),
            (3,),
            (3,),
            Values(TABLE),
        ),
        Row(
            lambda: heads.Mixed(age=(heads.Normal(), 1), weight=(heads.IsotropicNormal(0.8), 1)),
            (2,),
            (3,),
            Plane((-9.0, -9.0), (9.0, 9.0)),
            pathwise=True,
        ),
        Row(
            lambda: heads.Mixed(age=(heads.Normal(), 2), visits=(_shared(1), 1), ill=(heads.Bernoulli(), 3)),
            (6,),
            (8,),
        ),
    ],
    "Masked": [
        Row(lambda: heads.Masked(heads.Bernoulli()), (2,), (2,), Values(BITS)),
        Row(lambda: heads.Masked(heads.IsotropicNormal(0.5)), (1,), (1,), Line(-8.0, 8.0), pathwise=True),
        Row(lambda: heads.Masked(heads.NegativeBinomial(event_dim=3)), (2, 5, 4), (4, 5, 4)),
        Row(
            lambda: heads.Masked(heads.Mixed(age=(heads.Normal(), 1), visits=(heads.Poisson(), 2))),
            (3,),
            (4,),
        ),
    ],
}

NETS = {
    "Filled": [
        NetRow(lambda: pv.nets.Filled(pv.nets.MLP(2 * 6, 5)), (6,), (5,)),
        NetRow(
            lambda: pv.nets.Filled(pv.nets.ConvEncoder((2, 9, 6), 5, channels=(4, 6)), event_dim=3),
            (1, 9, 6),
            (5,),
        ),
    ],
}
