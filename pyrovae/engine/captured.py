"""A function of tensors that is run as it is at first, and as a graph once that pays."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from pyro.poutine.runtime import am_i_wrapped
from torch import Tensor, nn

from pyrovae import randomness
from pyrovae.engine.arguments import Arguments
from pyrovae.engine.capture import capture
from pyrovae.engine.check import difference, tolerance
from pyrovae.engine.entry import Entry
from pyrovae.engine.footprint import Footprint
from pyrovae.engine.inductor import compiled
from pyrovae.engine.policy import Kind, Mode, Policy
from pyrovae.engine.refusal import Refusal
from pyrovae.engine.surroundings import Surroundings, modules_called

_LOG = logging.getLogger("pyrovae.engine")
_REBUILDS = 8


class Function(Protocol):
    """What can be captured: it has no effects but on generators, and on tensors written in place."""

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The results."""

    def learn(self, footprint: Footprint) -> bool:
        """Is told what a run has touched; says whether another run would return more."""

    def programs(self) -> list[Any]:
        """The functions and networks that its results depend on."""


class Reference(NamedTuple):
    """An eager run, undone: what a graph must reproduce from the same state."""

    results: list[Tensor]
    written: list[Tensor]
    footprint: Footprint
    modules: list[nn.Module]
    before: dict[str, Any]
    after: dict[str, Any]


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
    """

    def __init__(
        self, function: Function, mode: Mode, *, calls: int | None = None, exact_noise: bool = True
    ) -> None:
        self.function, self.mode, self.exact_noise = function, mode, exact_noise
        self.policy = Policy(mode, calls)
        self.entries: dict[Hashable, Entry] = {}
        self.refusal: Refusal | None = None

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor] | None:
        """The function's results from a graph; None where the caller is to run it eagerly.

        Raises:
            Refusal: where there can be no graph, unless the mode is "auto".
        """
        if self.mode is False or self.refusal is not None:
            return None
        try:
            arguments, entry = self._entry(args, kwargs)
            entry.calls += 1
            kind = self.policy.kind(entry.calls, entry.graph, first=entry.first)
            if kind == "eager":
                return None
            self._make_ready(entry, kind, arguments)
            return entry.run(arguments.tensors)
        except Refusal as refusal:
            self._refuse(refusal)
            return None

    def prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Makes the graph for such arguments now, if one is wanted.

        Raises:
            Refusal: where there can be no graph, unless the mode is "auto".
        """
        if not self.policy.captures_at_once or self.refusal is not None:
            return
        try:
            arguments, entry = self._entry(args, kwargs)
            self._make_ready(entry, self.policy.kind(0, entry.graph, first=entry.first), arguments)
        except Refusal as refusal:
            self._refuse(refusal)

    def _entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, Entry]:
        if am_i_wrapped():
            raise Refusal(
                "effect handlers are active around the call", remedy="Wrap model and guide in them instead."
            )
        arguments = Arguments.of(args, kwargs)
        entry = self.entries.get(arguments.key)
        if entry is None:
            entry = self.entries[arguments.key] = Entry(arguments, first=not self.entries)
        return arguments, entry

    def _refuse(self, refusal: Refusal) -> None:
        if self.mode != "auto":
            raise refusal
        self.refusal = refusal
        _LOG.info("eager from here on: %s", refusal)

    def _make_ready(self, entry: Entry, kind: Kind, arguments: Arguments) -> None:
        """Sees to it that the entry has a graph of that kind which still holds."""
        changed = entry.surroundings.change() if entry.surroundings is not None else None
        if changed is None and entry.kind == kind and not _is_milestone(entry.calls):
            return
        # Copies, lest a tensor that the program also holds itself be taken for the argument.
        arguments = arguments._replace(tensors=[x.clone() for x in arguments.tensors])
        reference = self._reference(arguments)
        if changed is None and entry.graph is not None and entry.kind == kind:
            if self._fault(entry, reference, arguments.tensors) is None:
                return
            changed = "something that can't be watched"
        if changed is not None:
            entry.forget(changed)
            _LOG.info("captured again for %s: %s has changed", entry.shapes, changed)
            if len(entry.rebuilt) > _REBUILDS:
                raise Refusal(
                    f"{changed} keeps changing from call to call",
                    remedy="Make it a tensor and change it in place (fill_), or pass it as an argument.",
                )
        self._build(entry, kind, reference, arguments)

    def _build(self, entry: Entry, kind: Kind, reference: Reference, arguments: Arguments) -> None:
        """Captures, compiles where that is wanted, and compares with the eager run."""

        def function(*tensors: Tensor) -> list[Tensor]:
            args, kwargs = arguments.rebuild(list(tensors))
            return self.function(*args, **kwargs)

        surroundings = Surroundings(self.function.programs(), reference.modules)
        with _restored(reference.before):
            if entry.graph is None:
                begun = time.perf_counter()
                graph = capture(function, arguments.tensors, reference.footprint.free, reference.modules)
                entry.take(graph, time.perf_counter() - begun)
                surroundings.watch(graph.free)
                entry.surroundings = surroundings
                self._check(entry, reference, arguments.tensors)
                kind = self.policy.kind(entry.calls, entry.graph, first=entry.first)
            if kind == "compiled" and entry.graph is not None:
                begun = time.perf_counter()
                run = compiled(entry.graph, arguments.tensors, exact_noise=self.exact_noise)
                entry.take_compiled(run, time.perf_counter() - begun)
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
        with _restored(reference.before):
            try:
                results = entry.run(tensors)
                written, after = reference.footprint.values(), randomness.state(_device(tensors))
            finally:
                reference.footprint.undo()
        expected = [*reference.results, *reference.written]
        if len(results) != len(reference.results):
            return f"{len(results)} results instead of {len(reference.results)}"
        entry.difference = difference([*results, *written], expected)
        if not entry.difference <= tolerance(results):
            return f"loss, gradients or buffers differ by {entry.difference:.2g} of their size"
        if not _same(after, reference.after):
            return "it draws other random numbers"
        return None

    def _reference(self, arguments: Arguments) -> Reference:
        """Runs the function eagerly, and undoes it; tells it which tensors wanted a gradient."""
        args, kwargs = arguments.rebuild(arguments.tensors)
        if any(x.requires_grad for x in arguments.tensors):
            raise Refusal("an argument wants a gradient", remedy="Pass it detached.")
        device = _device(arguments.tensors)
        before = randomness.state(device)
        while True:
            footprint = Footprint(arguments.tensors)
            try:
                with modules_called() as modules, torch.autograd.set_multithreading_enabled(False), footprint:
                    results = self.function(*args, **kwargs)
                after, written = randomness.state(device), footprint.values()
            finally:
                footprint.undo()
                randomness.restore(before, device)
            if not self.function.learn(footprint):
                break
        for name, generator in (("numpy", "NumPy's"), ("python", "Python's")):
            if not _same({name: before[name]}, {name: after[name]}):
                raise Refusal(
                    f"the program draws from {generator} generator",
                    remedy="Draw with torch or pyro.sample: such numbers would be burnt into the graph.",
                )
        return Reference(results, written, footprint, modules, before, after)


def _is_milestone(calls: int) -> bool:
    """Whether calls is 10, 100, 1000, ..."""
    return calls >= 10 and calls in (10, 100, 1000, 10**4, 10**5, 10**6, 10**7, 10**8)


@contextmanager
def _restored(state: dict[str, Any]) -> Iterator[None]:
    device = "cuda" if "device" in state else "cpu"
    try:
        yield
    finally:
        randomness.restore(state, device)


def _device(tensors: list[Tensor]) -> torch.device:
    return next((x.device for x in tensors if x.device.type != "cpu"), torch.device("cpu"))


def _same(one: Any, other: Any) -> bool:
    """Whether two states of generators are equal."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
