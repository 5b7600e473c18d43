"""How the particles of a pair are drawn: found out on a few data, before the work begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

from pyrovae.errors import explain
from pyrovae.evaluate._axes import data_dims, nesting
from pyrovae.evaluate._draw import (
    Draw,
    Programs,
    Strategy,
    copied,
    disagreement,
    looped,
    repeated,
    vectorised,
)
from pyrovae.evaluate._measure import LOG_WEIGHT, Measure
from pyrovae.evaluate._pair import check_sites, run_pair
from pyrovae.types import Batch, Program

_TOGETHER = 64

logger = logging.getLogger(__name__)

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Plan(Generic[Measured]):
    """A pair, the way in which its particles are drawn, and what is measured on each draw.

    Attributes:
        rows: how many particles, those of all data counted, fit the memory.
    """

    programs: Programs
    strategy: Strategy
    measure: Measure[Measured]
    rows: int

    @classmethod
    def of(
        cls, model: Program, guide: Program, batch: Batch, measure: Measure[Measured], memory: int
    ) -> Plan[Measured]:
        """Looks at a pair on a few data, validation switched on."""
        programs = _programs(model, guide, batch)
        draw = programs.run(batch)
        LOG_WEIGHT(draw)
        measure(draw)
        strategy = _strategy(programs, batch)
        return cls(programs, strategy, measure, max(1, memory // _row(strategy, programs, batch, measure)))

    def width(self, num_samples: int) -> int:
        """How many data go together: few enough for 64 particles to share one run of a guide's network."""
        together = 1 if self.strategy is looped else min(num_samples, _TOGETHER)
        return max(1, self.rows // together)

    def most(self, length: int) -> int:
        """How many particles of each of so many data are drawn at once."""
        return 1 if self.strategy is looped else max(1, self.rows // length)

    def draw(self, chunk: Batch, particles: int) -> Draw:
        """So many particles of each datum of a chunk, no more than go at once."""
        (draw,) = self.strategy(self.programs, chunk, particles)
        return draw

    def repetitions(self, length: int, num_samples: int) -> int:
        """How many draws of a chunk are like its second one, that one included."""
        whole, rest = divmod(num_samples, self.most(length))
        return whole - 1 if whole > 1 else int(whole == 1 and rest > 0)


def _programs(model: Program, guide: Program, batch: Batch) -> Programs:
    """The programs with the dimensions of their plates.

    Raises:
        ValueError: latent sites that differ, a latent outside the data plate, two plates that may be it.
    """
    size = len(batch[0])
    pair = run_pair(model, guide, batch)
    check_sites(pair)
    dims = data_dims(pair, size)
    if len(dims) > 1:
        # Another plate happens to have the data's size. It won't follow a different number of data.
        dims &= data_dims(run_pair(model, guide, repeated(batch, 2)), 2 * size)
    if len(dims) > 1:
        raise ValueError(
            explain(
                "model and guide",
                expected="one plate for the data",
                got=f"several that are as large as the data, at dimensions {sorted(dims)}",
                remedy='Call the one over the data "data".',
            )
        )
    return Programs(model, guide, dims.pop(), nesting(pair))


def _strategy(programs: Programs, batch: Batch) -> Strategy:
    for strategy, name in ((vectorised, "in a plate"), (copied, "as copies of the data")):
        reason = disagreement(strategy, programs, batch)
        if reason is None:
            return strategy
        logger.info("Particles are not drawn %s, the next best way is taken: %s", name, reason)
    return looped


def _row(strategy: Strategy, programs: Programs, batch: Batch, measure: Measure[Any]) -> int:
    """The bytes that one more particle of one datum takes, were nothing freed before the end.

    Intermediate results are freed, so the true peak is lower. What a program makes once, whatever the number
    of particles, is left out.
    """

    def allocated(particles: int) -> int:
        with _Allocations() as allocations:
            for draw in strategy(programs, batch, particles):
                measure(draw)
        return allocations.total

    if strategy is looped:
        return max(1, allocated(1) // len(batch[0]))
    return max(1, (allocated(6) - allocated(2)) // (4 * len(batch[0])))


class _Allocations(TorchFunctionMode):
    """Adds up the bytes of all tensors that torch's functions return, views of their arguments left out."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {x.untyped_storage().data_ptr() for x in _tensors([*args, *(kwargs or {}).values()])}
        for x in _tensors(result):
            if x.untyped_storage().data_ptr() not in given:
                self.total += x.untyped_storage().nbytes()
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
