"""Every guide that fits one real latent vector, each composed from the same encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pyro.infer.autoguide import AutoNormal
from torch import nn

from pyrovae import flows, guides, heads, nets

CONTEXT = 16
"""The numbers that an encoder tells a flow's every layer."""


class Setting(NamedTuple):
    """What a guide is made for.

    Attributes:
        model: the generative program.
        inputs, dim: the sizes of x and of z.
        hidden: the widths of the encoder's hidden layers.
        num_data: how many data a guide with rows of its own has.
    """

    model: Any
    inputs: int
    dim: int
    hidden: tuple[int, ...]
    num_data: int

    def amortized(self, head: Any) -> Any:
        """The encoder with a head: of all that is amortized only its last layer differs."""
        net = nets.MLP(self.inputs, *self.hidden, head.features(self.dim), activation=nn.SiLU)
        return guides.Amortized(z=(net, head))

    def flowed(self, flow: Callable[..., Any]) -> Any:
        """The encoder with a diagonal normal that a flow moves."""
        return self.amortized(heads.Flowed(heads.normal, flow(self.dim, context=CONTEXT)))

    def auxiliary(self, gain: float = 1.0) -> Any:
        """The encoder with an auxiliary variable for each latent; ``gain``: how loudly z first hears them."""
        net, reverse = (
            nets.MLP(self.dim + CONTEXT, 64, heads.normal.features(self.dim), activation=nn.SiLU)
            for _ in range(2)
        )
        with torch.no_grad():
            net.layers[0].weight[:, : self.dim] *= gain
        return self.amortized(heads.Auxiliary(self.dim, self.dim, net, reverse, context=CONTEXT))

    def per_datum(self, head: Any) -> Any:
        """Features of its own for each datum, without an encoder."""
        return guides.PerDatum(self.num_data, z=(head.features(self.dim), head))


@dataclass(frozen=True)
class Row:
    """A guide of the table, and how it is trained.

    Attributes:
        make: from a setting, a guide of fresh weights.
        given: what it is trained on and called with: "data", in batches; or the test data at once, with their
            index ("rows") or without ("whole").
        learning_rate: of Adam, at the start.
        own_rate: the same of what the guide itself holds beside its base, its ``learned`` parameters.
        longer: how many times the usual number of steps it takes to settle.
        draws: of z for each datum in each step; several where no encoder takes the mean over many data.
    """

    name: str
    make: Callable[[Setting], Any]
    given: str = "data"
    learning_rate: float = 5e-3
    own_rate: float | None = None
    longer: int = 1
    draws: int = 1


def _flow(name: str) -> Row:
    return Row(f"flow: {name}", lambda setting: setting.flowed(getattr(flows, name)))


def _of_rows(name: str, make: Callable[[Setting], Any], given: str) -> Row:
    """A guide with parameters of each datum's own: on all data at once, at a rate too high for a network."""
    return Row(name, make, given, learning_rate=0.2, longer=2, draws=8)


DIAGONAL = Row("diagonal normal", lambda setting: setting.amortized(heads.normal))

ROWS = [
    DIAGONAL,
    Row("diagonal normal, longer", DIAGONAL.make, longer=3),
    Row("FullNormal", lambda setting: setting.amortized(heads.FullNormal())),
    Row("LowRankNormal(1)", lambda setting: setting.amortized(heads.LowRankNormal(1))),
    Row("NormalMixture(4)", lambda setting: setting.amortized(heads.NormalMixture(4))),
    *map(_flow, ("Planar", "Sylvester", "IAF", "MAF", "RealNVP", "NeuralSpline", "AutoregressiveSpline")),
    Row("Auxiliary", lambda setting: setting.auxiliary(), longer=3),
    Row("Auxiliary, heard from the start", lambda setting: setting.auxiliary(5.0), longer=3),
    Row(
        "Hamiltonian",
        lambda setting: guides.Hamiltonian(
            setting.amortized(heads.normal), setting.model, dim=setting.dim, step_size=0.03
        ),
        own_rate=5e-2,
        longer=3,
    ),
    Row(
        "SemiAmortized",
        lambda setting: guides.SemiAmortized(
            setting.amortized(heads.normal), setting.model, rate=3e-3, clip=10.0
        ),
    ),
    _of_rows("PerDatum, diagonal", lambda setting: setting.per_datum(heads.normal), "rows"),
    _of_rows("PerDatum, FullNormal", lambda setting: setting.per_datum(heads.FullNormal()), "rows"),
    _of_rows("Pyro's AutoNormal", lambda setting: AutoNormal(setting.model), "whole"),
]
