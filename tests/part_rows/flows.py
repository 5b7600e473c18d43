"""Rows of the masked network, of the flows, of heads moved by them, and of the priors that they make."""

from __future__ import annotations

import torch
from part_checks import Line, NetRow, Plane, Row
from torch import nn

import pyrovae as pv

PLANE = Plane((-14.0, -14.0), (14.0, 14.0))

NETS = {
    "MaskedMLP": [
        NetRow(lambda: pv.nets.MaskedMLP(6, 2, hidden=(8, 8), activation=nn.Tanh), (6,), (6, 2)),
        NetRow(
            lambda: pv.nets.MaskedMLP(6, context=3, hidden=(4,)),
            (6,),
            (6, 1),
            lambda n: (torch.randn(n, 3),),
        ),
        NetRow(lambda: pv.nets.MaskedMLP(2, 3, hidden=()), (2,), (2, 3)),
    ],
}

FLOWS = {
    "Planar": [
        Row(lambda: pv.flows.Planar(3, context=4, layers=5), (3,), (4,)),
        Row(lambda: pv.flows.Planar(1, layers=2), (1,)),
    ],
    "Sylvester": [
        Row(lambda: pv.flows.Sylvester(5, context=4, layers=3, units=3, reflections=4), (5,), (4,)),
        Row(lambda: pv.flows.Sylvester(2), (2,)),
    ],
    "IAF": [
        Row(lambda: pv.flows.IAF(4, context=3, layers=3, hidden=(9,)), (4,), (3,)),
        Row(lambda: pv.flows.IAF(3, hidden=(8, 8)), (3,)),
        Row(lambda: pv.flows.IAF(5, context=2, hidden=(3,)), (5,), (2,)),
        Row(lambda: pv.flows.IAF(1, context=2, layers=1, hidden=()), (1,), (2,)),
    ],
    "MAF": [
        Row(lambda: pv.flows.MAF(4, context=3, layers=3, hidden=(9,)), (4,), (3,)),
        Row(lambda: pv.flows.MAF(3, hidden=(8, 8)), (3,)),
    ],
    "RealNVP": [
        Row(lambda: pv.flows.RealNVP(5, context=3, hidden=(9,)), (5,), (3,)),
        Row(lambda: pv.flows.RealNVP(2, layers=3, hidden=()), (2,)),
    ],
    "NeuralSpline": [
        Row(lambda: pv.flows.NeuralSpline(5, context=3, layers=4, hidden=(9,)), (5,), (3,)),
        Row(lambda: pv.flows.NeuralSpline(2, bins=4, bound=3.0), (2,)),
    ],
    "AutoregressiveSpline": [
        Row(lambda: pv.flows.AutoregressiveSpline(3, context=3, bins=5, hidden=(9,)), (3,), (3,)),
        Row(lambda: pv.flows.AutoregressiveSpline(1), (1,)),
    ],
    "Composed": [
        Row(
            lambda: pv.flows.Composed(
                pv.flows.Planar(3, context=4), pv.flows.RealNVP(3), pv.flows.IAF(3, context=4)
            ),
            (3,),
            (4,),
        ),
    ],
}

HEADS = {
    "Flowed": [
        Row(
            lambda: pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(2, context=3, hidden=(8,))),
            (2,),
            (7,),
            PLANE,
            pathwise=True,
        ),
        Row(
            lambda: pv.heads.Flowed(pv.heads.normal, pv.flows.Sylvester(2, context=3, layers=2)),
            (2,),
            (7,),
            PLANE,
            pathwise=True,
        ),
        Row(
            lambda: pv.heads.Flowed(pv.heads.normal, pv.flows.Planar(1, context=2, layers=3)),
            (1,),
            (4,),
            Line(-14.0, 14.0),
            pathwise=True,
        ),
        Row(lambda: pv.heads.Flowed(pv.heads.normal, pv.flows.NeuralSpline(3)), (3,), (6,), pathwise=True),
    ],
}

PRIORS = {
    "Flow": [
        Row(lambda: pv.priors.Flow(pv.flows.MAF(2, hidden=(8,))), (2,), None, PLANE, pathwise=True),
        Row(lambda: pv.priors.Flow(pv.flows.NeuralSpline(2)), (2,), None, PLANE, pathwise=True),
        Row(
            lambda: pv.priors.Flow(pv.flows.RealNVP(3), pv.priors.DiagonalNormal(3)),
            (3,),
            pathwise=True,
        ),
        Row(
            lambda: pv.priors.Flow(pv.flows.AutoregressiveSpline(1)),
            (1,),
            None,
            Line(-9.0, 9.0),
            pathwise=True,
        ),
    ],
}
