"""Particles of a batch: drawn in one vectorised run, from copies of the data, or one run after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyro
import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.evaluate._axes import Axes
from pyrovae.evaluate._pair import Pair, Site, log_prob, run_pair
from pyrovae.types import Batch, Program


@dataclass(frozen=True)
class Draw:
    """One run of a pair and where it keeps its particles and data."""

    pair: Pair
    axes: Axes

    def log_prob(self, site: Site) -> Tensor:
        """The log-probability at a site, every plate but the data's summed: ``(particles, data)``."""
        value = log_prob(site)
        self.axes.check(site, value)
        return self.axes.rows(value).sum(-1)

    def log_probs(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The log-probabilities of the model's sites, and of the guide's, by where they are."""
        stated = self.pair.prior | self.pair.observed
        joint = {f"model, site {n!r}": self.log_prob(site) for n, site in stated.items()}
        guide = {f"guide, site {n!r}": self.log_prob(site) for n, site in self.pair.posterior.items()}
        return joint, guide

    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z | x): ``(particles, data)``."""
        joint, guide = self.log_probs()
        return functools.reduce(torch.sub, guide.values(), functools.reduce(torch.add, joint.values()))


@dataclass(frozen=True)
class Programs:
    """The two programs and the dimensions of their plates.

    Attributes:
        data: the dimension of the data plate, counted from the right.
        nesting: how many batch dimensions the programs' plates take up.
    """

    model: Program
    guide: Program
    data: int
    nesting: int

    def run(self, batch: Batch, latents: Mapping[str, Tensor] | None = None) -> Draw:
        """One particle for each datum."""
        pair = run_pair(self.model, self.guide, batch, latents)
        return self.placed(pair, Axes(self.data, None, 1, len(batch[0])))

    def placed(self, pair: Pair, axes: Axes) -> Draw:
        """A run with its axes, after a look at the size of every site's data plate."""
        size = axes.num_data if axes.particles is not None else axes.num_data * axes.num_particles
        for site in pair.sites():
            if not any(frame.dim == self.data and frame.size == size for frame in site["cond_indep_stack"]):
                raise ValueError(
                    explain(
                        f"site {site['name']!r}",
                        expected=f"a data plate of size {size} at dimension {self.data}",
                        got=str({frame.name: frame.size for frame in site["cond_indep_stack"]}),
                        remedy="Size the data plate by the data, len(x).",
                    )
                )
        return Draw(pair, axes)


Strategy: TypeAlias = Callable[[Programs, Batch, int], list[Draw]]
"""Draws so many particles for every datum of a batch."""


def vectorised(programs: Programs, batch: Batch, particles: int) -> list[Draw]:
    """All particles in an outermost plate: the guide's network sees each datum once."""
    dim = -programs.nesting - 1
    with pyro.plate("_particles", particles, dim=dim):
        pair = run_pair(programs.model, programs.guide, batch)
    return [programs.placed(pair, Axes(programs.data, dim, particles, len(batch[0])))]


def copied(programs: Programs, batch: Batch, particles: int) -> list[Draw]:
    """Particles as copies of the data: for networks that take one batch dimension only."""
    pair = run_pair(programs.model, programs.guide, repeated(batch, particles))
    return [programs.placed(pair, Axes(programs.data, None, particles, len(batch[0])))]


def repeated(batch: Batch, times: int) -> Batch:
    """The data of a batch, one copy after the other."""
    return tuple(values.repeat(times, *[1] * (values.dim() - 1)) for values in batch)


def looped(programs: Programs, batch: Batch, particles: int) -> list[Draw]:
    """One run for each particle: right for every pair, and slow."""
    return [programs.run(batch) for _ in range(particles)]


def disagreement(strategy: Strategy, programs: Programs, batch: Batch) -> str | None:
    """Why a strategy must not be used on a pair, or None: its numbers are those of single runs.

    A few particles are drawn, then their latents are replayed one particle at a time and every site's
    log-probabilities compared. Whatever goes wrong in a program that was not written for more batch
    dimensions is a reason, so no exception is let through.
    """
    try:
        (draw,) = strategy(programs, batch, 3)
        for index in range(3):
            latents = {
                name: draw.axes.particle(site, index)
                for name, site in draw.pair.posterior.items()
                if not site["is_observed"]
            }
            reason = _difference(draw, programs.run(batch, latents), index)
            if reason is not None:
                return reason
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def _difference(draw: Draw, single: Draw, index: int) -> str | None:
    sides = ("posterior", "prior", "observed")
    for side in sides:
        sites, alone = getattr(draw.pair, side), getattr(single.pair, side)
        if list(sites) != list(alone):
            return f"the sites differ: {list(sites)} together, {list(alone)} alone"
        for name in sites:
            try:
                together, expected = draw.log_prob(sites[name])[index], single.log_prob(alone[name])[0]
            except NotImplementedError:
                # A posterior that weighs its own draws only: what the model makes of them is compared.
                if side != "posterior":
                    raise
                continue
            if not torch.allclose(together, expected, **_tolerance(expected), equal_nan=True):
                gap = (together - expected).abs().max().item()
                return f"site {name!r}: log-probabilities differ from those of single particles by {gap:.3g}"
    return None


def _tolerance(values: Tensor) -> dict[str, float]:
    """What rounding may do; on GPUs convolutions may run in TF32, of 10 bits."""
    slack = torch.finfo(values.dtype).eps * (200 if values.device.type == "cpu" else 10_000)
    return {"rtol": slack, "atol": 10 * slack}
