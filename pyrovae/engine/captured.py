"""A function of tensors that is run as it is at first, and as a graph once that pays."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable
from typing import Any

from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor

from pyrovae import randomness
from pyrovae.engine.arguments import Arguments
from pyrovae.engine.capture import capture
from pyrovae.engine.check import difference, tolerance
from pyrovae.engine.entry import Entry
from pyrovae.engine.inductor import compiled
from pyrovae.engine.policy import Kind, Mode, Policy
from pyrovae.engine.reference import (
    Function,
    MakesParameters,
    Reference,
    device_of,
    reference_run,
    restored,
    same,
    undone,
)
from pyrovae.engine.refusal import Refusal
from pyrovae.engine.replay import Replay, recorder
from pyrovae.engine.surroundings import Surroundings

_LOG = logging.getLogger("pyrovae.engine")
_REBUILDS = 8
_LOCK = threading.RLock()
"""One capture at a time: Pyro's stack of handlers and its store belong to the whole process."""


class Captured:
    """Runs a function by graphs: one for each kind of arguments, each compared with the function itself.

    A graph is used only if it gives the results, the writes and the random stream of the eager function, run
    from the same state. It is made anew when something that it takes for granted has changed; and at its
    10th, 100th, 1000th, ... call it is compared again, for what can't be watched.

    Arguments:
        function: what to run.
        mode: "auto", True, False or "capture".
        calls: how many are planned, where that is known.
        exact_noise: see :func:`pyrovae.engine.inductor.compiled`.
        replayed: record compiled graphs where the device can (CUDA graphs); results then hold until the next
            call.
        within: a handler that hides all others, where calls are made inside one.
    """

    def __init__(
        self,
        function: Function,
        mode: Mode,
        *,
        calls: int | None = None,
        exact_noise: bool = True,
        replayed: bool = False,
        within: Messenger | None = None,
    ) -> None:
        self.function, self.mode = function, mode
        self.exact_noise, self.replayed = exact_noise, replayed
        self.within = within
        self.policy = Policy(mode, calls)
        self.entries: dict[Hashable, Entry] = {}
        self.refusal: Refusal | None = None
        self._said: set[str] = set()

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor] | None:
        """The function's results from a graph; None where the caller is to run it eagerly.

        Raises:
            Refusal: where there can be no graph, unless the mode is "auto".
        """
        if self.mode is False or self.refusal is not None:
            return None
        try:
            with _LOCK:
                if self.mode == "auto" and self._inside_handlers():
                    self._say("eager inside effect handlers: wrap model and guide in them instead")
                    return None
                arguments, entry = self._entry(args, kwargs)
                entry.calls += 1
                kind = self.policy.kind(entry.calls, entry.graph, first=entry.first)
                if kind == "eager":
                    return None
                self._make_ready(entry, kind, arguments)
            self.function.layout = entry.layout
            return entry.run(arguments.tensors)
        except MakesParameters:
            return None
        except Refusal as refusal:
            self._refuse(refusal)
            return None

    def compiled_entry(self, args: tuple[Any, ...]) -> Entry | None:
        """The entry of such arguments if it is compiled, and its graph still holds."""
        key = (Arguments.of(args, {}).key, *map(id, self.function.programs()))
        entry = self.entries.get(key)
        if entry is None or entry.kind != "compiled" or entry.surroundings is None:
            return None
        return entry if entry.surroundings.change() is None else None

    def prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, calls: int = 0) -> None:
        """Makes the graph for such arguments now, if one is wanted; they have been called so often before.

        Raises:
            Refusal: where there can be no graph, unless the mode is "auto".
        """
        outside = self.mode == "auto" and self._inside_handlers()
        if not self.policy.captures_at_once or self.refusal is not None or outside:
            return
        try:
            with _LOCK:
                arguments, entry = self._entry(args, kwargs)
                entry.calls += calls
                kind = self.policy.kind(0, entry.graph, first=entry.first)
                try:
                    self._make_ready(entry, kind, arguments)
                except MakesParameters:
                    undone(self.function, arguments)
                    self._make_ready(entry, kind, arguments)
        except Refusal as refusal:
            self._refuse(refusal)

    def _entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, Entry]:
        if self._inside_handlers():
            raise Refusal(
                "effect handlers are active around the call", remedy="Wrap model and guide in them instead."
            )
        arguments = Arguments.of(args, kwargs)
        programs = self.function.programs()
        key = (arguments.key, *map(id, programs))
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry(arguments, programs, first=not self.entries)
        return arguments, entry

    def _say(self, line: str) -> None:
        """One line in the log, once."""
        if line not in self._said:
            self._said.add(line)
            _LOG.info(line)

    def _inside_handlers(self) -> bool:
        return bool(_PYRO_STACK) and _PYRO_STACK[-1] is not self.within

    def _refuse(self, refusal: Refusal) -> None:
        if self.mode != "auto":
            raise refusal
        self.refusal = refusal
        _LOG.info("eager from here on: %s", refusal)

    def _make_ready(self, entry: Entry, kind: Kind, arguments: Arguments) -> None:
        """Sees to it that the entry has a graph of that kind which still holds."""
        changed = entry.surroundings.change() if entry.surroundings is not None else None
        if changed is not None and entry.recall():
            changed = None
        if changed is None and entry.kind == kind and not _is_milestone(entry.calls):
            return
        # Copies, lest a tensor that the program also holds itself be taken for the argument.
        arguments = arguments._replace(tensors=[x.clone() for x in arguments.tensors])
        reference = reference_run(self.function, arguments)
        if changed is None and entry.graph is not None and entry.kind == kind:
            if self._fault(entry, reference, arguments.tensors) is None:
                return
            changed = "something that can't be watched"
            entry.drop()
        if changed is not None:
            entry.set_aside(changed) if entry.graph is not None else entry.rebuilt.append(changed)
            _LOG.info("captured again for %s: %s has changed", entry.shapes, changed)
            if len(entry.rebuilt) > _REBUILDS:
                raise Refusal(
                    f"{changed} keeps changing from call to call",
                    remedy="Make it a tensor and change it in place (fill_), or pass it as an argument.",
                )
        try:
            self._build(entry, kind, reference, arguments)
        except BaseException:
            entry.drop()
            raise

    def _build(self, entry: Entry, kind: Kind, reference: Reference, arguments: Arguments) -> None:
        """Captures, compiles where that is wanted, and compares with the eager run."""

        def function(*tensors: Tensor) -> list[Tensor]:
            args, kwargs = arguments.rebuild(list(tensors))
            return self.function(*args, **kwargs)

        surroundings = Surroundings(self.function.programs(), reference.modules)
        with restored(reference.before):
            if entry.graph is None:
                begun = time.perf_counter()
                graph = capture(function, arguments.tensors, reference.footprint.free, surroundings.holders)
                entry.take(graph, reference.footprint.written, time.perf_counter() - begun)
                entry.layout = self.function.layout
                surroundings.watch(graph.free)
                entry.surroundings = surroundings
                self._check(entry, reference, arguments.tensors)
                kind = self.policy.kind(entry.calls, entry.graph, first=entry.first)
            if kind == "compiled" and entry.graph is not None:
                begun = time.perf_counter()
                run = compiled(entry.graph, arguments.tensors, exact_noise=self.exact_noise)
                entry.take_compiled(run, time.perf_counter() - begun)
                record = recorder(device_of(arguments.tensors)) if self.replayed else None
                if record is not None:
                    replay = Replay(entry.compute, arguments.tensors, entry.written, record)
                    entry.take_replay(replay)
                if self.exact_noise:
                    self._check(entry, reference, arguments.tensors)

    def _check(self, entry: Entry, reference: Reference, tensors: list[Tensor]) -> None:
        fault = self._fault(entry, reference, tensors)
        if fault is not None:
            raise Refusal(
                f"the {entry.kind} graph isn't what eager Pyro does: {fault}",
                remedy="Run it with compile=False: it depends on something that the graph can't see.",
            )

    def _fault(self, entry: Entry, reference: Reference, tensors: list[Tensor]) -> str | None:
        """Runs the graph from the reference's state, undoes it, and says in what it differs."""
        with restored(reference.before):
            randomness.restore(reference.before, device_of(tensors))  # a recording has been rehearsed
            try:
                results = entry.run(tensors)
                written, after = reference.footprint.values(), randomness.state(device_of(tensors))
            finally:
                reference.footprint.undo()
        expected = [*reference.results, *reference.written]
        if len(results) != len(reference.results):
            return f"{len(results)} results instead of {len(reference.results)}"
        entry.difference = difference([*results, *written], expected)
        if not entry.difference <= tolerance(results):
            return f"loss, gradients or buffers differ by {entry.difference:.2g} of their size"
        if not same(after, reference.after):
            return "it draws other random numbers"
        return None


def _is_milestone(calls: int) -> bool:
    """Whether calls is 10, 100, 1000, ..."""
    return calls >= 10 and calls in (10, 100, 1000, 10**4, 10**5, 10**6, 10**7, 10**8)
