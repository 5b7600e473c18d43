"""Several steps in one launch: losses, gradients and the optimiser's updates, recorded as a whole."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from pyrovae.engine.captured import Captured
from pyrovae.engine.functions import StepFunction
from pyrovae.engine.optimiser import Optimiser
from pyrovae.engine.reference import device_of, restored
from pyrovae.engine.replay import Replay, recorder
from pyrovae.randomness import state


class Launches:
    """Records and replays whole steps, where the device, the graph and the optimiser allow it.

    Arguments:
        steps: the graphs of single steps.
        function: what they compute.
        optimiser: whose update is recorded with them.
    """

    def __init__(self, steps: Captured, function: StepFunction, optimiser: Optimiser) -> None:
        self.steps, self.function, self.optimiser = steps, function, optimiser
        self._replays: dict[Hashable, tuple[Any, Replay]] = {}

    def __call__(self, stacks: tuple[Tensor, ...]) -> list[float] | None:
        """The losses of a step for each slice of the stacks; None where they can't be one launch."""
        device = device_of(list(stacks))
        record = recorder(device)
        if record is None or not self.optimiser.capturable or not len(stacks[0]):
            return None
        entry = self.steps.compiled_entry(tuple(x[0] for x in stacks))
        if entry is None:
            return None
        key = tuple((x.shape, x.dtype, x.device) for x in stacks)
        owner, replay = self._replays.get(key, (None, None))
        if replay is None or owner is not entry.surroundings:

            def work(buffers: list[Tensor]) -> list[Tensor]:
                return [torch.stack([self._step(entry, slices) for slices in zip(*buffers, strict=True)])]

            with restored(state(device)):
                replay = Replay(work, list(stacks), entry.written, record)
            self._replays[key] = entry.surroundings, replay
        entry.calls += len(stacks[0])
        losses: list[float] = replay(list(stacks))[0].tolist()
        return losses

    def _step(self, entry: Any, slices: tuple[Tensor, ...]) -> Tensor:
        """One step without a number read: what can be recorded."""
        self.function.layout = entry.layout
        results = entry.compute(list(slices))
        self.function.deposit(results)
        self.function.fill()
        self.optimiser(self.function.layout.parameters)
        self.function.clear()
        return results[0]
