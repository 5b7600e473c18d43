"""What a density must do, whatever part makes it: total mass one, and draws as often as it says.

A row says how to make a part and what to give it; a space says over what its events range, so that a density
can be summed up: a line, a plane (both may be charts of a curve or a surface), or a list of values.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import part_rows
import torch
from scipy import stats
from torch import Tensor

Chart = Callable[[Tensor], Tensor]

LEVEL = 1e-4
"""Draws that agree with their density fail with this probability; the seeds are fixed."""


@dataclass(frozen=True)
class Line:
    """Events along a line, ``lo`` to ``hi``; or along a curve.

    Attributes:
        at: from places u ``(m,)`` on the line to events; by default the event's only entry.
        place: the way back, events ``(m, *event)`` to u.
        points: how many places a density is summed at.
    """

    lo: float
    hi: float
    at: Chart | None = None
    place: Chart | None = None
    points: int = 40_000

    def mass(self, d: Any) -> Tensor:
        """The mass at each of the points, ``(points,)``."""
        step = (self.hi - self.lo) / self.points
        u = self.lo + step * (torch.arange(self.points, dtype=torch.float64) + 0.5)
        x = self.at(u) if self.at else u.reshape(-1, *d.event_shape)
        return d.log_prob(x).exp() * step

    def p_value(self, d: Any, draws: Tensor) -> float:
        """Kolmogorov and Smirnov's, of draws against the density summed up."""
        u = self.place(draws) if self.place else draws.reshape(len(draws))
        edges = np.linspace(self.lo, self.hi, self.points + 1)
        cumulative = np.concatenate([[0.0], self.mass(d).cumsum(0).numpy()])
        return float(stats.kstest(u.numpy(), lambda v: np.interp(v, edges, cumulative)).pvalue)


@dataclass(frozen=True)
class Plane:
    """Events over a rectangle, ``lo`` to ``hi`` in both coordinates unless given by pairs; or on a surface.

    Attributes:
        at: from places ``(m, 2)`` to events; by default the event's two entries.
        place: the way back.
        points: along each side.
    """

    lo: tuple[float, float]
    hi: tuple[float, float]
    at: Chart | None = None
    place: Chart | None = None
    points: int = 480

    def mass(self, d: Any) -> Tensor:
        """The mass of each point of the grid, ``(points, points)``."""
        sides = [
            lo + (hi - lo) / self.points * (torch.arange(self.points, dtype=torch.float64) + 0.5)
            for lo, hi in zip(self.lo, self.hi, strict=True)
        ]
        u = torch.cartesian_prod(*sides)
        x = self.at(u) if self.at else u.reshape(-1, *d.event_shape)
        cell = (self.hi[0] - self.lo[0]) * (self.hi[1] - self.lo[1]) / self.points**2
        return (d.log_prob(x).exp() * cell).reshape(self.points, self.points)

    def p_value(self, d: Any, draws: Tensor, cells: int = 12) -> float:
        """Chi-square's, of the draws in 12 by 12 cells."""
        u = (self.place(draws) if self.place else draws.reshape(len(draws), 2)).numpy()
        block = self.points // cells
        expected = self.mass(d).reshape(cells, block, cells, block).sum((1, 3)).flatten().numpy()
        edges = [np.linspace(lo, hi, cells + 1) for lo, hi in zip(self.lo, self.hi, strict=True)]
        observed, _, _ = np.histogram2d(u[:, 0], u[:, 1], bins=edges)
        return _chi_square(observed.flatten(), expected, len(u))


@dataclass(frozen=True)
class Values:
    """Events from a list that holds (all but nothing of) the support, ``(m, *event)``."""

    values: Tensor

    def mass(self, d: Any) -> Tensor:
        """The mass of each value, ``(m,)``."""
        return d.log_prob(self.values).exp()

    def p_value(self, d: Any, draws: Tensor) -> float:
        """Chi-square's, of how often each value is drawn."""
        flat = self.values.reshape(len(self.values), 1, -1).to(draws.dtype)
        same = (draws.reshape(1, len(draws), -1) == flat).all(-1)
        return _chi_square(same.sum(1).numpy(), self.mass(d).numpy(), len(draws))


Space = Line | Plane | Values


@dataclass(frozen=True)
class Row:
    """A part that makes distributions.

    Attributes:
        make: a new part, the same at each call but for its weights' draw.
        event: the shape of an event.
        features: the shape of what a head is given for one datum; of a prior, that of its covariates.
            None for a prior without any.
        space: over what the events range; one row at least of each part has one.
        size: of a head with ``features``, its argument there; the event's first dimension where not given.
        captured: False where no program with it can be captured, with the reason in ``why``.
        pathwise: whether its draws have gradients (``has_rsample``).
        own_only: its density is known for its own last draw alone.
    """

    make: Callable[[], Any]
    event: tuple[int, ...]
    features: tuple[int, ...] | None = None
    space: Space | None = None
    size: int | None = None
    captured: bool = True
    why: str = ""
    pathwise: bool = False
    own_only: bool = False

    def inputs(self, *leading: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """What the part is given for data of a batch shape; nothing for a prior without covariates."""
        if self.features is None:
            return ()
        return (0.6 * torch.randn(*leading, *self.features, dtype=dtype),)


@dataclass(frozen=True)
class NetRow:
    """A network.

    Attributes:
        make: a new network.
        inputs, outputs: shapes for one datum.
        more: what it is given beside its input, for ``n`` data.
    """

    make: Callable[[], Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    more: Callable[[int], tuple[Tensor, ...]] = lambda n: ()


@dataclass(frozen=True)
class ProgramRow:
    """A model or a guide.

    Attributes:
        make: a new program.
        data: what it is called with, of five data.
        observed: the sites that a model observes.
    """

    make: Callable[[], Any]
    data: Callable[[], tuple[Tensor, ...]] = lambda: (torch.bernoulli(torch.full((5, 6), 0.5)),)
    observed: tuple[str, ...] = ("x",)


def rows(kind: str) -> dict[str, list[Any]]:
    """Every row of a kind (``"HEADS"``, ``"PRIORS"``, ...) by the part's name, from all of ``part_rows``."""
    found: dict[str, list[Any]] = {}
    for module in pkgutil.iter_modules(part_rows.__path__):
        table = getattr(importlib.import_module(f"part_rows.{module.name}"), kind, {})
        for name, cases in table.items():
            found.setdefault(name, []).extend(cases)
    return dict(sorted(found.items()))


def _chi_square(observed: Any, shares: Any, count: int) -> float:
    """The p value; what is expected less than five times is thrown together."""
    expected = np.append(shares * count, max(0.0, count * (1 - shares.sum())))
    observed = np.append(observed, count - observed.sum())
    rare = expected < 5
    if rare.any():
        expected = np.append(expected[~rare], expected[rare].sum())
        observed = np.append(observed[~rare], observed[rare].sum())
    if expected[-1] < 1e-3 * count:  # too little to test by itself
        assert observed[-1] <= 5 + 0.01 * count
        expected, observed = expected[:-1], observed[:-1]
    return float(stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)
