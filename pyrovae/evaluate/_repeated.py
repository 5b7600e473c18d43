"""The draws of a plan, one after the other: as they are at first, and as a graph where that pays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar, cast

import pyro
import torch
from pyro import poutine
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from pyrovae import randomness
from pyrovae.engine.captured import Captured
from pyrovae.engine.footprint import Footprint
from pyrovae.engine.policy import Mode
from pyrovae.evaluate._plan import Plan
from pyrovae.types import Batch

Measured = TypeVar("Measured")


class Repeated(Generic[Measured]):
    """Makes a plan's draws, and measures them.

    Attributes:
        captured: what runs the draws after a chunk's first.

    Arguments:
        mode: how they are run.
        calls: how many of them are planned for chunks like the first one; None where that is not known.
    """

    def __init__(self, plan: Plan[Measured], mode: Mode, calls: int | None) -> None:
        self.plan = plan
        # Evaluation hides the pair from all handlers around it, which the graph need then not know of either.
        self._hidden = poutine.block()
        self._function = _Function(plan)
        self.captured = Captured(self._function, mode, calls=calls, within=self._hidden)

    def draws(self, chunk: Batch, num_samples: int) -> Iterator[Measured]:
        """What is measured on ``num_samples`` particles of each datum of a chunk, a draw at a time."""
        most = self.plan.most(len(chunk[0]))
        # The first draw sees every datum, so it alone is validated. Not in a with block, which a
        # generator that is left early would close too late: ``sampling`` puts the switch back.
        pyro.enable_validation(True)
        yield self.eager(chunk, min(most, num_samples))
        for done in range(most, num_samples, most):
            pyro.enable_validation(False)
            yield self.again(chunk, min(most, num_samples - done))

    def eager(self, chunk: Batch, particles: int) -> Measured:
        """A draw by the programs themselves.

        Raises:
            ValueError: naming the site at which something is wrong.
        """
        return self.plan.measure(self.plan.draw(chunk, particles))

    def again(self, chunk: Batch, particles: int) -> Measured:
        """The same by a graph, where there is one.

        Where its numbers look wrong the draw is made once more, with the same random numbers, by the
        programs: they know what is wrong, and at which site.
        """
        device = chunk[0].device
        before = randomness.state(device)
        with self._hidden:
            results = self.captured((particles, *chunk), {})
        if results is not None:
            measured = self._function.measured(results)
            if not self.plan.measure.is_suspect(measured):
                return measured
            randomness.restore(before, device)
        return self.eager(chunk, particles)


class _Layout(NamedTuple):
    """What the results of a draw are: what is measured, its tensors taken out."""

    leaves: list[Any]
    structure: TreeSpec


class _Function(Generic[Measured]):
    """A draw and what is measured on it, unlooked at, as a function from tensors to tensors.

    Attributes:
        layout: what the last results are.
    """

    def __init__(self, plan: Plan[Measured]) -> None:
        self.plan = plan
        self.layout: Any = None

    def __call__(self, particles: int, *chunk: Tensor) -> list[Tensor]:
        with torch.no_grad():
            measured = self.plan.measure.compute(self.plan.draw(chunk, particles))
        leaves, structure = tree_flatten(measured)
        self.layout = _Layout([_SLOT if isinstance(leaf, Tensor) else leaf for leaf in leaves], structure)
        return [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def measured(self, results: list[Tensor]) -> Measured:
        """Results put together again."""
        given, layout = iter(results), self.layout
        leaves = [next(given) if leaf is _SLOT else leaf for leaf in layout.leaves]
        return cast(Measured, tree_unflatten(leaves, layout.structure))

    def learn(self, footprint: Footprint) -> bool:
        return False

    def programs(self) -> list[Any]:
        return [self.plan.programs.model, self.plan.programs.guide]


_SLOT = object()
