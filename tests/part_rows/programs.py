"""Rows of networks, models and guides that every house has."""

from __future__ import annotations

import torch
from part_checks import NetRow, Plane, ProgramRow, Row
from torch import nn

import pyrovae as pv

IMAGE = (3, 9, 6)


def vae() -> pv.models.VAE:
    return pv.models.VAE(pv.priors.DiagonalNormal(3), pv.nets.MLP(3, 6), pv.heads.bernoulli)


def amortized() -> pv.guides.Amortized:
    return pv.guides.Amortized(z=(pv.nets.MLP(6, 6), pv.heads.normal))


def conditional_vae() -> pv.models.VAE:
    prior = pv.priors.Conditional(pv.nets.MLP(2, 6), pv.heads.normal)
    return pv.models.VAE(prior, pv.nets.Joined(pv.nets.MLP(5, 6)), pv.heads.bernoulli)


def with_covariates() -> tuple[torch.Tensor, ...]:
    return torch.bernoulli(torch.full((5, 6), 0.5)), torch.randn(5, 2)


NETS = {
    "MLP": [
        NetRow(lambda: pv.nets.MLP(6, 5), (6,), (5,)),
        NetRow(lambda: pv.nets.MLP(6, 8, 7, 5, activation=nn.Tanh), (6,), (5,)),
    ],
    "ConvEncoder": [
        NetRow(lambda: pv.nets.ConvEncoder(IMAGE, 5, channels=(4, 6)), IMAGE, (5,)),
        NetRow(lambda: pv.nets.ConvEncoder((1, 1, 1), 2, channels=(4,), residual=2), (1, 1, 1), (2,)),
        NetRow(
            lambda: pv.nets.ConvEncoder((1, 28, 20), 5, channels=(4, 6, 8), activation=nn.SiLU),
            (1, 28, 20),
            (5,),
        ),
    ],
    "ConvDecoder": [
        NetRow(lambda: pv.nets.ConvDecoder(5, IMAGE, channels=(6, 4)), (5,), IMAGE),
        NetRow(
            lambda: pv.nets.ConvDecoder(5, (1, 28, 20), channels=(8, 6, 4), residual=1), (5,), (1, 28, 20)
        ),
        NetRow(lambda: pv.nets.ConvDecoder(2, (2, 1, 7), channels=(3,)), (2,), (2, 1, 7)),
    ],
    "Joined": [
        NetRow(lambda: pv.nets.Joined(pv.nets.MLP(6, 5)), (4,), (5,), lambda n: (torch.randn(n, 2),)),
        NetRow(
            lambda: pv.nets.Joined(pv.nets.MLP(7, 5), classes=3), (4,), (5,), lambda n: (torch.arange(n) % 3,)
        ),
    ],
}

HEADS = {
    "BaseOf": [
        Row(
            lambda: pv.heads.BaseOf(pv.heads.Flowed(pv.heads.normal, pv.flows.RealNVP(2, context=3))),
            (2,),
            (7,),
            Plane((-12.0, -12.0), (12.0, 12.0)),
            pathwise=True,
        )
    ]
}

MODELS = {"VAE": [ProgramRow(vae), ProgramRow(conditional_vae, with_covariates)]}

GUIDES = {
    "Amortized": [
        ProgramRow(amortized),
        ProgramRow(
            lambda: pv.guides.Amortized(
                z1=(pv.nets.MLP(6, 4), pv.heads.normal), z2=(pv.nets.MLP(6, 3), pv.heads.IsotropicNormal())
            )
        ),
        ProgramRow(
            lambda: pv.guides.Amortized(z=(pv.nets.Joined(pv.nets.MLP(8, 6)), pv.heads.normal)),
            with_covariates,
        ),
    ],
    "PerDatum": [
        ProgramRow(
            lambda: pv.guides.PerDatum(5, z=(6, pv.heads.normal)),
            lambda: (torch.bernoulli(torch.full((5, 6), 0.5)), torch.arange(5)),
        )
    ],
    "SemiAmortized": [ProgramRow(lambda: pv.guides.SemiAmortized(amortized(), vae(), steps=2))],
}
