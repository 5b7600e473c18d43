"""The calls of one kind of arguments: how they are run, and what that cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrovae.engine.arguments import Arguments
from pyrovae.engine.capture import Graph
from pyrovae.engine.inductor import Run
from pyrovae.engine.policy import Kind
from pyrovae.engine.replay import Replay
from pyrovae.engine.surroundings import Surroundings

_STATE = ("kind", "graph", "surroundings", "layout", "written", "replay", "_run", "_free")
_ASIDE = 2


class Entry:
    """What is known of the calls with arguments of one kind.

    Attributes:
        programs: what is called with them.
        first: whether these were the first arguments that came.
        shapes: of the arguments, for people.
        calls: so far.
        kind: "eager", "capture" or "compiled".
        graph: once there is one.
        surroundings: what the graph takes for granted.
        difference: from eager Pyro at the last comparison, relative.
        layout: what its results mean, in the words of the function.
        written: what the graph writes to in place.
        replay: what launches it, where it is recorded.
        seconds: what tracing and compiling took.
        others: graphs laid aside.
        rebuilt: for each time that the graph was made anew, what had changed.
    """

    def __init__(self, arguments: Arguments, programs: list[Any], *, first: bool) -> None:
        self.programs = programs
        self.first, self.shapes = first, arguments.describe()
        self.calls = 0
        self.kind: Kind = "eager"
        self.graph: Graph | None = None
        self.surroundings: Surroundings | None = None
        self.difference = float("nan")
        self.seconds = {"trace": 0.0, "compile": 0.0}
        self.rebuilt: list[str] = []
        self.others: list[dict[str, Any]] = []
        self.layout: Any = None
        self.written: list[Tensor] = []
        self.replay: Replay | None = None
        self._run: Run | None = None
        self._free: list[Tensor] = []

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        """The graph's results, the same tensors each time where it is replayed."""
        return self.compute(tensors) if self.replay is None else self.replay(tensors)

    def compute(self, tensors: list[Tensor]) -> list[Tensor]:
        """The graph's results; it holds the whole computation, so nothing is recorded for autograd."""
        if self._run is None:
            raise RuntimeError("there is no graph yet")
        with torch.no_grad():
            return list(self._run(*self._free, *tensors))

    def take(self, graph: Graph, written: list[Tensor], seconds: float) -> None:
        """Runs calls by this graph, which writes to these tensors, from now on."""
        self.written = written
        self.graph, self._run, self._free, self.kind = graph, graph.module, graph.free, "capture"
        self.seconds["trace"] += seconds

    def take_compiled(self, run: Run, seconds: float) -> None:
        """Runs calls by the compiled graph from now on."""
        self._run, self.kind = run, "compiled"
        self.seconds["compile"] += seconds

    def take_replay(self, replay: Replay) -> None:
        """Replays calls from now on: nothing that the graph uses may move in memory."""
        self.replay = replay
        if self.surroundings is not None:
            self.surroundings.fixed = True

    def recall(self) -> bool:
        """Takes up an earlier graph, if one holds now: networks go to and fro between train and eval mode."""
        for i, other in enumerate(self.others):
            if other["surroundings"].change() is None:
                self.others[i] = self._state()
                vars(self).update(other)
                return True
        return False

    def set_aside(self, changed: str) -> None:
        """Lays the graph aside, for something that it takes for granted has changed."""
        self.rebuilt.append(changed)
        self.others = [self._state(), *self.others][:_ASIDE]
        self.drop()

    def drop(self) -> None:
        """Gives the graph up."""
        self.kind, self.graph, self.surroundings, self.replay = "eager", None, None, None
        self._run, self._free, self.written = None, [], []

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STATE}
