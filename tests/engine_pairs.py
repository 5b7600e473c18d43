"""Families of Pyro programs, each with the objectives that it is defined for: what an engine must survive.

A family makes a fresh pair of programs; its row says which objectives must give eager Pyro's numbers, and
which are refused, with the reason that is given. The files named ``engine_pairs_*`` add their rows here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.contrib.gp.kernels import RBF
from pyro.infer import (
    ELBO,
    EnergyDistance,
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    Trace_MMD,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    TraceTailAdaptive_ELBO,
    TraceTMC_ELBO,
)
from torch import Tensor, nn

PIXELS = 8
"""Of a datum."""


def _plain_call(x: Tensor, step: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x,), {}


class Pair(NamedTuple):
    """Two programs, how step number ``step`` calls them, and what else a step may change."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    call: Callable[[Tensor, int], tuple[tuple[Any, ...], dict[str, Any]]] = _plain_call
    watched: tuple[nn.Module | Tensor, ...] = ()


class Row(NamedTuple):
    """A family's row in the table: ``refused`` is a pattern of the reason, None where numbers must agree."""

    make: Callable[[], Pair]
    objective: str
    nesting: int
    refused: str | None


OBJECTIVES: dict[str, Callable[[int], Any]] = {
    "trace": lambda nesting: Trace_ELBO(),
    "trace 2": lambda nesting: Trace_ELBO(num_particles=2),
    "trace 3v": lambda nesting: _vectorised(Trace_ELBO, nesting),
    "mean field": lambda nesting: TraceMeanField_ELBO(),
    "mean field 3v": lambda nesting: _vectorised(TraceMeanField_ELBO, nesting),
    "graph": lambda nesting: TraceGraph_ELBO(),
    "graph 3v": lambda nesting: _vectorised(TraceGraph_ELBO, nesting),
    "enum": lambda nesting: TraceEnum_ELBO(max_plate_nesting=nesting),
    "enum 3v": lambda nesting: _vectorised(TraceEnum_ELBO, nesting),
    "tmc": lambda nesting: TraceTMC_ELBO(max_plate_nesting=nesting),
    "renyi": lambda nesting: RenyiELBO(alpha=0.5, num_particles=3),
    "iwae": lambda nesting: _vectorised(RenyiELBO, nesting, alpha=0.0),
    "wake-sleep": lambda nesting: _vectorised(ReweightedWakeSleep, nesting),
    "insomnia": lambda nesting: _vectorised(ReweightedWakeSleep, nesting, insomnia=0.5),
    "tail": lambda nesting: _vectorised(TraceTailAdaptive_ELBO, nesting),
    "energy": lambda nesting: EnergyDistance(num_particles=3, max_plate_nesting=nesting + 1),
    "mmd": lambda nesting: _vectorised(Trace_MMD, nesting, kernel=RBF(input_dim=3)),
    "callable": lambda nesting: _as_callable,
}
"""How to make each objective, for programs with so many plates inside each other."""

ROWS: dict[str, Row] = {}


def family(
    *objectives: str, name: str | None = None, nesting: int = 1, refused: dict[str, str] | None = None
) -> Callable[[Callable[[], Pair]], Callable[[], Pair]]:
    """Adds a row for each objective; a name with blanks for underscores, unless one is given."""

    def add(make: Callable[[], Pair]) -> Callable[[], Pair]:
        title = name or make.__name__.strip("_").replace("_", " ")
        for objective in (*objectives, *(refused or {})):
            key = f"{title}: {objective}"
            if key in ROWS or objective not in OBJECTIVES:
                raise ValueError(f"{key} is there already, or is no objective")
            ROWS[key] = Row(make, objective, nesting, (refused or {}).get(objective))
        return make

    return add


def net(*sizes: int) -> nn.Sequential:
    """A small network."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def normal_prior() -> Any:
    """A standard normal of three dimensions."""
    return dist.Normal(torch.zeros(3), 1.0).to_event(1)


def model_of(prior: Callable[[], Any] = normal_prior, decoder: nn.Module | None = None) -> Callable[..., Any]:
    """p(x | z) p(z), with a network for the logits of x."""
    decoder = decoder or net(3, 10, PIXELS)

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", prior())
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    return model


def guide_of(posterior: Callable[[Tensor], Any], *nets: nn.Module) -> Callable[..., Any]:
    """q(z | x), by the networks that ``posterior`` uses."""

    def guide(x):
        for i, module in enumerate(nets):
            pyro.module(f"net{i}", module)
        with pyro.plate("data", len(x)):
            pyro.sample("z", posterior(x))

    return guide


def normal(features: Tensor) -> Any:
    """A normal from its means and the logarithms of its scales."""
    loc, log_scale = features.chunk(2, -1)
    return dist.Normal(loc, log_scale.exp()).to_event(1)


def normal_guide() -> Callable[..., Any]:
    """The guide of the plain VAE."""
    encoder = net(PIXELS, 10, 6)
    return guide_of(lambda x: normal(encoder(x)), encoder)


def _vectorised(kind: type, nesting: int, **options: Any) -> Any:
    return kind(num_particles=3, vectorize_particles=True, max_plate_nesting=nesting, **options)


def _as_callable(model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
    """A loss of one's own: the ELBO, and a penalty on what the guide proposes."""
    elbo: ELBO = Trace_ELBO()
    trace = pyro.poutine.trace(guide).get_trace(*args, **kwargs)
    penalty = sum(site["value"].square().mean() for site in trace.nodes.values() if site["type"] == "param")
    return elbo.differentiable_loss(model, guide, *args, **kwargs) + 0.1 * penalty
