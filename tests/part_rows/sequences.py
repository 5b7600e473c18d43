"""Rows of sequences: chains and processes as priors, structured posteriors, recurrent features."""

from __future__ import annotations

import torch
from part_checks import NetRow, Plane, ProgramRow, Row, Values
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import kernels

BITS = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 2).unsqueeze(-1)
"""Sequences of two bits."""

HEADS = {
    "Steps": [
        Row(
            lambda: pv.heads.Steps(pv.heads.normal),
            (2, 1),
            (2, 2),
            Plane((-12.0, -12.0), (12.0, 12.0)),
            size=1,
            pathwise=True,
        ),
        Row(lambda: pv.heads.Steps(pv.heads.bernoulli), (2, 1), (2, 1), Values(BITS), size=1),
        Row(
            lambda: pv.heads.Steps(pv.heads.IsotropicNormal(0.5, event_dim=3)),
            (4, 3, 5, 6),
            (4, 3, 5, 6),
            size=3,
            pathwise=True,
        ),
    ],
    "Markov": [
        Row(
            lambda: pv.heads.Markov(1, 5),
            (2, 1),
            (2, 5),
            Plane((-12.0, -12.0), (12.0, 12.0)),
            size=1,
            pathwise=True,
        ),
        Row(
            lambda: pv.heads.Markov(3, 5, head=pv.heads.IsotropicNormal(), activation=None),
            (4, 3),
            (4, 5),
            size=3,
            pathwise=True,
        ),
        Row(lambda: pv.heads.Markov(1, 5, head=pv.heads.Bernoulli()), (2, 1), (2, 5), Values(BITS), size=1),
    ],
}


def gated() -> pv.priors.Markov:
    return pv.priors.Markov(3, 4, net=pv.nets.GatedTransition(3, 5))


def process() -> pv.priors.GaussianProcess:
    kernel = kernels.Sum(
        kernels.SquaredExponential([1.0, 2.0, 3.0]),
        kernels.Product(kernels.Periodic(3.0), kernels.Matern32(variance=[1.0, 0.5, 0.2], learn=False)),
    )
    return pv.priors.GaussianProcess([0.0, 0.5, 3.0, 2.0], 3, kernel=kernel)


PRIORS = {
    "Markov": [
        Row(
            lambda: pv.priors.Markov(1, 2, net=pv.nets.GatedTransition(1, 4)),
            (2, 1),
            space=Plane((-6.0, -12.0), (6.0, 12.0)),
            pathwise=True,
        ),
        Row(gated, (4, 3), pathwise=True),
        Row(
            lambda: pv.priors.Markov(
                2,
                3,
                net=pv.nets.MLP(2, 2),
                head=pv.heads.IsotropicNormal(0.3),
                initial=pv.priors.StandardNormal(2),
            ),
            (3, 2),
            pathwise=True,
        ),
    ],
    "GaussianProcess": [
        Row(
            lambda: pv.priors.GaussianProcess([0.0, 0.7], 1, kernel=kernels.OrnsteinUhlenbeck()),
            (2, 1),
            space=Plane((-7.0, -7.0), (7.0, 7.0)),
            pathwise=True,
        ),
        Row(process, (4, 3), pathwise=True),
        Row(
            lambda: pv.priors.GaussianProcess(5, 2, kernel=kernels.Matern32(2.0, learn=False)),
            (5, 2),
            pathwise=True,
        ),
    ],
}
NETS = {
    "Recurrent": [
        NetRow(lambda: pv.nets.Recurrent(6, 5), (7, 6), (7, 5)),
        NetRow(lambda: pv.nets.Recurrent(6, 5, direction="backward", layers=2), (7, 6), (7, 5)),
        NetRow(lambda: pv.nets.Recurrent(6, 5, direction="both"), (1, 6), (1, 5)),
    ],
    "GatedTransition": [NetRow(lambda: pv.nets.GatedTransition(6, 5), (6,), (12,))],
}


def model(prior: nn.Module) -> pv.models.VAE:
    return pv.models.VAE(prior, pv.nets.MLP(3, 6), pv.heads.Steps(pv.heads.bernoulli))


def data() -> tuple[Tensor, ...]:
    return (torch.bernoulli(torch.full((5, 4, 6), 0.5)),)


MODELS = {
    "VAE": [ProgramRow(lambda: model(gated()), data), ProgramRow(lambda: model(process()), data)],
}
GUIDES = {
    "Amortized": [
        ProgramRow(
            lambda: pv.guides.Amortized(z=(pv.nets.Recurrent(6, 5), pv.heads.Markov(3, 5))),
            data,
        ),
        ProgramRow(
            lambda: pv.guides.Amortized(z=(pv.nets.MLP(6, 6), pv.heads.Steps(pv.heads.normal))),
            data,
        ),
    ],
}
