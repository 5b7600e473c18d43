"""The terms of a bound: log densities and divergences, site by site, with the dimensions they live in.

Every tensor is laid out alike: plates in the rightmost dimensions, the particles to the left of them, and
what is enumerated to the left of the particles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.objectives.estimators import Drawn, Estimator


class Plate(NamedTuple):
    """A vectorised plate: its dimension, counted from the right, and its name; two may share a dimension."""

    dim: int
    name: str


@dataclass(frozen=True, eq=False)
class Latent:
    """A latent site of the guide, as one run has drawn it.

    Attributes:
        name: of the site.
        guide, prior: its distributions; no prior where the site is the guide's alone.
        value: what it drew, as the programs saw it.
        estimator, why: how its gradient is estimated, and the reason in a few words.
        drawn: what the estimator has left.
        log_q: its log density, ``(enumerated..., particles, plates...)``, neither masked nor scaled.
        mask: of the log density, or None.
        plates: those that it is in, the particles' left out.
        places: its positions among the guide's and the model's sites; what comes earlier can't depend on it.
        enumerated: its dimension where it is enumerated.
        runs: where each particle had a run of its own, what each has drawn.
    """

    name: str
    guide: Any
    prior: Any
    value: Tensor
    estimator: Estimator
    why: str
    drawn: Drawn
    log_q: Tensor
    mask: Tensor | None
    plates: frozenset[Plate]
    places: tuple[int, int]
    enumerated: int | None
    runs: tuple[Latent, ...] = ()

    @property
    def each(self) -> tuple[Latent, ...]:
        """The site as each run has drawn it; mostly one run of all particles."""
        return self.runs or (self,)

    @property
    def log_score(self) -> Tensor:
        """The log density whose gradient is the score: masked, not scaled."""
        return self.log_q if self.mask is None else torch.where(self.mask, self.log_q, 0.0)


@dataclass(frozen=True)
class Term:
    """A summand of the bound.

    Attributes:
        name: the site.
        kind: "likelihood", "prior" (log p), "posterior" (-log q), "rate" (minus a KL, or an entropy) or
            "marginal" (sites summed out of the model).
        value: ``(enumerated..., particles, plates...)``, masked, not scaled.
        scale: of plates that are subsampled, and of ``poutine.scale``.
        plates: those that it is in, the particles' left out.
        places: as of :class:`Latent`; -1 where it is on one side only.
    """

    name: str
    kind: str
    value: Tensor
    scale: float | Tensor
    plates: frozenset[Plate]
    places: tuple[int, int]

    @property
    def scaled(self) -> Tensor:
        """The value times its scale."""
        return self.value if isinstance(self.scale, float) and self.scale == 1.0 else self.value * self.scale

    @property
    def is_latent(self) -> bool:
        """Whether it is of a latent site: what a KL weight is about."""
        return self.kind in ("prior", "posterior", "rate")

    def times(self, weight: Tensor | float) -> Term:
        """The term, weighed."""
        return replace(self, value=self.value * weight)

    def may_depend_on(self, latent: Latent) -> bool:
        """Whether a draw can have a part in the term; programs run from top to bottom, which rules out some.

        Of a sum of log densities, those that were fixed before the draw have no mean against its score.
        """
        guide, model = self.places
        before_in_guide, before_in_model = guide < latent.places[0], model < latent.places[1]
        if self.kind == "likelihood":
            return not before_in_model
        if self.kind == "prior":
            return not (before_in_guide and before_in_model)
        if self.kind == "posterior":
            return not before_in_guide
        if self.kind == "rate":
            return self.name != latent.name and not (before_in_guide and before_in_model)
        return True


def alike(scale: float | Tensor, other: float | Tensor) -> bool:
    """Whether two scales are the same, by value."""
    if isinstance(scale, Tensor) or isinstance(other, Tensor):
        return torch.equal(*torch.broadcast_tensors(torch.as_tensor(scale), torch.as_tensor(other)))
    return scale == other


@dataclass(frozen=True)
class Layout:
    """Which dimensions are whose.

    Attributes:
        nesting: how many dimensions the plates take up.
        particles: how many particles there are.
    """

    nesting: int
    particles: int

    @property
    def dim(self) -> int:
        """The dimension of the particles."""
        return -self.nesting - 1

    def lay(self, value: Tensor, frames: tuple[Any, ...], site: str, enumerated: frozenset[int]) -> Tensor:
        """Gives a log density all its dimensions, each of its plate's size.

        Raises:
            ValueError: for a batch dimension that no plate declares.
        """
        missing = self.nesting + 1 - value.dim()
        if missing > 0:
            value = value.reshape((1,) * missing + tuple(value.shape))
        sizes = {frame.dim: frame.size for frame in frames}
        for dim in range(-value.dim(), 0):
            if value.shape[dim] not in (1, sizes.get(dim, 1)) and dim not in enumerated:
                raise ValueError(
                    explain(
                        f"site {site!r}",
                        expected=f"size {sizes.get(dim, 1)} along batch dimension {dim}, as the plates say",
                        got=f"log-probabilities of shape {tuple(value.shape)}",
                        remedy="Make it a part of the event with .to_event(...), or open a plate for it.",
                    )
                )
        return value.expand([sizes.get(dim, value.shape[dim]) for dim in range(-value.dim(), 0)])

    def sum_plates(self, value: Tensor, keep: frozenset[Plate] = frozenset()) -> Tensor:
        """Sums over the plates, all but some; their dimensions stay, of size one."""
        kept = {plate.dim for plate in keep}
        dims = [dim for dim in range(-self.nesting, 0) if dim not in kept and value.shape[dim] != 1]
        return value.sum(dims, keepdim=True) if dims else value


class Expectation:
    """The expectation over what is enumerated in the guide, with the guide's probabilities."""

    def __init__(self, latents: list[Latent], layout: Layout) -> None:
        self.layout = layout
        self.latents = [latent for latent in latents if latent.enumerated is not None]

    def __call__(self, value: Tensor, plates: frozenset[Plate], *, fixed: bool = False) -> Tensor:
        """Sums a term over every enumerated dimension; ``fixed`` holds the probabilities fixed.

        Raises:
            ValueError: for a term outside a plate that depends on what is enumerated inside.
        """
        result = self._sum(value, self._involved(value, plates), fixed)
        if _enumerated_dims(result, self.layout):
            raise ValueError(
                explain(
                    "enumeration",
                    expected="what depends on an enumerated site to be inside the same plates",
                    got=f"a term of shape {tuple(value.shape)} outside",
                    remedy="Move the statement into the plate, or use ScoreFunction() at the site.",
                )
            )
        return result

    def onto(self, value: Tensor, plates: frozenset[Plate], target: Latent) -> Tensor:
        """A term summed onto the plates of a site, and over all that is enumerated but what the site sees."""
        seen = self._involved(target.log_q, target.plates)
        unseen = [
            latent for latent in self._involved(value, plates) if not any(latent is other for other in seen)
        ]
        return self.layout.sum_plates(self._sum(value, unseen, fixed=True), keep=plates & target.plates)

    def _involved(self, value: Tensor, plates: frozenset[Plate]) -> list[Latent]:
        """The enumerated sites that a tensor depends on, and those that these depend on."""
        dims = _enumerated_dims(value, self.layout)
        found: list[Latent] = []
        grown = True
        while grown:
            grown = False
            for latent in self.latents:
                if latent not in found and latent.enumerated in dims and latent.plates <= plates:
                    found.append(latent)
                    dims |= _enumerated_dims(latent.log_q, self.layout)
                    grown = True
        return found

    def _sum(self, value: Tensor, latents: list[Latent], fixed: bool) -> Tensor:
        if not latents:
            return value
        log_q: Tensor = sum(latent.log_q for latent in latents)  # type: ignore[assignment]
        weights = (log_q.detach() if fixed else log_q).exp()
        dims = [latent.enumerated for latent in latents if latent.enumerated is not None]
        value = value * weights
        return value.sum([dim for dim in dims if -dim <= value.dim()], keepdim=True)


def _enumerated_dims(value: Tensor, layout: Layout) -> set[int]:
    return {dim for dim in range(-value.dim(), layout.dim) if value.shape[dim] > 1}
