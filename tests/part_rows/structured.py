"""Rows of ladders, of guides of several views, and of the Hamiltonian guide."""

from __future__ import annotations

import torch
from part_checks import Plane, ProgramRow, Row
from torch import Tensor

import pyrovae as pv


def ladder() -> pv.priors.Ladder:
    return pv.priors.Ladder((4, 3, 2), (pv.nets.MLP(3, 5, 8), pv.nets.MLP(2, 6)))


def ladder_model() -> pv.models.Ladder:
    return pv.models.Ladder(ladder(), pv.nets.MLP(4, 6), pv.heads.bernoulli)


def ladder_guide() -> pv.guides.Ladder:
    return pv.guides.Ladder(
        ladder(),
        z1=(pv.nets.MLP(6, 7), pv.nets.MLP(7, 8)),
        z2=(pv.nets.MLP(7, 5), pv.nets.MLP(5, 6)),
        z3=(pv.nets.MLP(5, 5), pv.nets.MLP(5, 4)),
    )


def two_views() -> tuple[Tensor, Tensor]:
    """Five data, of which the second lacks its first view, the third its other one, and the fourth both."""
    x = torch.bernoulli(torch.full((5, 6), 0.5))
    y = torch.randn(5, 4)
    missing = torch.tensor([0, 1, 0, 1, 0]).bool(), torch.tensor([0, 0, 1, 1, 0]).bool()
    return tuple(v.masked_fill(m.unsqueeze(-1), torch.nan) for v, m in zip((x, y), missing, strict=True))


def views() -> pv.models.Views:
    return pv.models.Views(
        pv.priors.DiagonalNormal(3),
        x=(pv.nets.MLP(3, 6), pv.heads.bernoulli),
        y=(pv.nets.MLP(3, 4), pv.heads.IsotropicNormal(0.5)),
    )


def product() -> pv.guides.ProductOfExperts:
    return pv.guides.ProductOfExperts(
        pv.priors.DiagonalNormal(3),
        x=(pv.nets.MLP(6, 6), pv.heads.normal),
        y=(pv.nets.MLP(4, 3), pv.heads.IsotropicNormal()),
    )


def mixture() -> pv.guides.MixtureOfExperts:
    return pv.guides.MixtureOfExperts(
        pv.priors.DiagonalNormal(3),
        x=(pv.nets.MLP(6, 6), pv.heads.normal),
        y=(pv.nets.MLP(4, 3), pv.heads.IsotropicNormal()),
    )


def hamiltonian() -> pv.guides.Hamiltonian:
    model = pv.models.VAE(pv.priors.DiagonalNormal(3), pv.nets.MLP(3, 6), pv.heads.bernoulli)
    base = pv.guides.Amortized(z=(pv.nets.MLP(6, 6), pv.heads.normal))
    return pv.guides.Hamiltonian(base, model, dim=3, steps=2)


PRIORS = {
    "Ladder": [
        Row(
            lambda: pv.priors.Ladder((1, 1), (pv.nets.MLP(1, 4, 2),)),
            (2,),
            None,
            Plane((-14.0, -6.0), (14.0, 6.0)),
            pathwise=True,
        ),
        Row(ladder, (9,), pathwise=True),
        Row(lambda: pv.priors.Ladder((2,), ()), (2,), None, Plane((-6.0, -6.0), (6.0, 6.0)), pathwise=True),
    ]
}
MODELS = {"Ladder": [ProgramRow(ladder_model)], "Views": [ProgramRow(views, two_views, ("x", "y"))]}
GUIDES = {
    "Ladder": [ProgramRow(ladder_guide)],
    "ProductOfExperts": [ProgramRow(product, two_views)],
    "MixtureOfExperts": [ProgramRow(mixture, two_views)],
    "Hamiltonian": [ProgramRow(hamiltonian)],
}
