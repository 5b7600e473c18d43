"""Where a draw keeps its data and its particles among the batch dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pyrovae.errors import explain
from pyrovae.evaluate._pair import Pair, Site


@dataclass(frozen=True)
class Axes:
    """The batch dimensions of data and particles, counted from the right.

    Attributes:
        data: the dimension of the data plate.
        particles: the dimension of the particle plate; None where the particles lie in the data plate, one
            copy of the data after the other.
        num_particles, num_data: how many there are.
    """

    data: int
    particles: int | None
    num_particles: int
    num_data: int

    def rows(self, values: Tensor, event_dim: int = 0) -> Tensor:
        """Brings ``batch + event`` dimensions to ``(particles, data, everything else)``."""
        data = self.data - event_dim
        sizes = {data: self.num_data}
        if self.particles is None:
            sizes[data] *= self.num_particles
        else:
            sizes[self.particles - event_dim] = self.num_particles
        missing = -min(sizes) - values.dim()
        values = values.reshape((1,) * missing + tuple(values.shape)) if missing > 0 else values
        values = values.expand([sizes.get(dim, values.shape[dim]) for dim in range(-values.dim(), 0)])
        if self.particles is None:
            values = values.movedim(data, 0)
        else:
            values = values.movedim((self.particles - event_dim, data), (0, 1))
        return values.reshape(self.num_particles, self.num_data, -1)

    def particle(self, site: Site, index: int) -> Tensor:
        """What one particle drew at a site, in the shape it has where there is one particle only."""
        value: Tensor = site["value"]
        event_dim = site["fn"].event_dim
        if self.particles is None:
            return value.narrow(self.data - event_dim, index * self.num_data, self.num_data)
        dim = self.particles - event_dim
        return value.select(dim, index) if value.dim() >= -dim else value

    def check(self, site: Site, log_prob: Tensor) -> None:
        """Refuses a batch dimension that no plate declares: it would be summed, or taken for the data.

        Raises:
            ValueError: naming the site and the dimension.
        """
        plates = {frame.dim: frame.size for frame in site["cond_indep_stack"] if frame.vectorized}
        for dim in range(-log_prob.dim(), 0):
            if log_prob.shape[dim] != plates.get(dim, 1):
                raise ValueError(
                    explain(
                        f"site {site['name']!r}",
                        expected=f"size {plates.get(dim, 1)} along batch dimension {dim}, as the plates say",
                        got=f"log-probabilities of shape {tuple(log_prob.shape)}",
                        remedy="Make it a part of the event with .to_event(...), or open a plate for it.",
                    )
                )


def nesting(pair: Pair) -> int:
    """How many batch dimensions the plates of a pair take up."""
    frames = [frame for site in pair.sites() for frame in site["cond_indep_stack"]]
    return max(-frame.dim for frame in frames if frame.vectorized)


def data_dims(pair: Pair, size: int) -> set[int]:
    """The batch dimensions that may be the data's: every site has a plate of ``size`` there.

    A plate called "data" decides where there are several.

    Raises:
        ValueError: naming the site that is outside any such plate.
    """
    common = set.intersection(*({frame.dim for frame in _plates(site, size)} for site in pair.sites()))
    named = {frame.dim for site in pair.sites() for frame in _plates(site, size) if frame.name == "data"}
    if common & named:
        return common & named
    if not common:
        raise ValueError(_outside(pair, size))
    return common


def _plates(site: Site, size: int) -> list[Any]:
    return [frame for frame in site["cond_indep_stack"] if frame.vectorized and frame.size == size]


def _outside(pair: Pair, size: int) -> str:
    for role, sites in (("guide", pair.posterior), ("model", pair.prior), ("model", pair.observed)):
        for name, site in sites.items():
            if _plates(site, size):
                continue
            where = f"{role}, site {name!r}"
            plates = {frame.name: frame.size for frame in site["cond_indep_stack"]}
            if plates:
                return explain(
                    where,
                    expected=f"a plate of size {size}, one entry for each datum given",
                    got=f"the plates {plates}",
                    remedy="Size the data plate by the data, len(x). Programs that must have all data at "
                    "once, as a guide with parameters for each datum, need batch_size=len(x).",
                )
            return explain(
                where,
                expected="every site inside the data plate",
                got="a site outside any plate, shared by all data",
                remedy="The evidence of a single datum is defined only for latents of its own: move the "
                'statement into pyro.plate("data", len(x)), or make it a parameter.',
            )
    return explain(
        "model and guide",
        expected="one plate for the data, at the same dimension at every site",
        got="plates at different dimensions",
        remedy="Give the data plate the same dim= in model and guide.",
    )
