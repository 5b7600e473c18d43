"""The eager run that a graph must reproduce: made, remembered, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import pyro
import torch
from torch import Tensor, nn

from pyrovae import randomness
from pyrovae.engine.arguments import Arguments
from pyrovae.engine.calls import calls
from pyrovae.engine.footprint import Footprint
from pyrovae.engine.refusal import Refusal


class Function(Protocol):
    """What can be captured: it has no effects but on generators, and on tensors written in place."""

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The results."""

    layout: Any
    """What the results of the last run mean; kept beside a graph, and set again with its results."""

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
    moved: list[str]
    before: dict[str, Any]
    after: dict[str, Any]


class MakesParameters(Exception):
    """The run makes parameters, which an eager call must do."""


def reference_run(function: Function, arguments: Arguments) -> Reference:
    """Runs a function eagerly, and undoes it; tells it which tensors wanted a gradient.

    Raises:
        Refusal: when it does what no graph can: assign parameters, draw from NumPy's or Python's generator.
        MakesParameters: when the parameters that it uses aren't there yet.
    """
    if any(x.requires_grad for x in arguments.tensors):
        raise Refusal("an argument wants a gradient", remedy="Pass it detached.")
    with _stored_as_before() as changed:
        reference = undone(function, arguments)
        while function.learn(reference.footprint):
            reference = undone(function, arguments)
    if changed["replaced"]:
        raise Refusal(
            f"the program assigns parameter {changed['replaced'][0]!r} while it runs",
            remedy="A captured step would not: a baseline that keeps a decaying average can't be captured, a "
            "neural one (nn_baseline) can.",
        )
    if changed["made"]:
        raise MakesParameters
    if reference.moved:
        raise Refusal(
            f"{reference.moved[0]} changes while the program runs",
            remedy="A captured step would not change it: keep it in a buffer, changed in place (add_).",
        )
    for name, generator in (("numpy", "NumPy's"), ("python", "Python's")):
        if not same({name: reference.before[name]}, {name: reference.after[name]}):
            raise Refusal(
                f"the program draws from {generator} generator",
                remedy="Draw with torch or pyro.sample: such numbers would be burnt into the graph.",
            )
    return reference


def undone(function: Function, arguments: Arguments) -> Reference:
    """Runs a function eagerly, and undoes it, but for parameters that it has made."""
    args, kwargs = arguments.rebuild(arguments.tensors)
    device = device_of(arguments.tensors)
    before, footprint = randomness.state(device), Footprint(arguments.tensors)
    try:
        with calls() as called, torch.autograd.set_multithreading_enabled(False), footprint:
            results = function(*args, **kwargs)
            moved = called.moved()
        after, written = randomness.state(device), footprint.values()
    finally:
        footprint.undo()
        randomness.restore(before, device)
    return Reference(results, written, footprint, called.modules, moved, before, after)


@contextmanager
def _stored_as_before() -> Iterator[dict[str, list[str]]]:
    """Puts Pyro's store back to what it held; names, afterwards, what had been made or replaced in it."""
    store: Any = pyro.get_param_store()
    parts = (store._params, store._param_to_name, store._constraints)
    before = [dict(part) for part in parts]
    changed: dict[str, list[str]] = {"made": [], "replaced": []}
    try:
        yield changed
    finally:
        for name, value in store._params.items():
            if before[0].get(name) is not value:
                changed["replaced" if name in before[0] else "made"].append(name)
        if any(changed.values()):
            for part, old in zip(parts, before, strict=True):
                part.clear()
                part.update(old)


@contextmanager
def restored(state: dict[str, Any]) -> Iterator[None]:
    device = "cuda" if "device" in state else "cpu"
    try:
        yield
    finally:
        randomness.restore(state, device)


def device_of(tensors: list[Tensor]) -> torch.device:
    return next((x.device for x in tensors if x.device.type != "cpu"), torch.device("cpu"))


def same(one: Any, other: Any) -> bool:
    """Whether two states of generators are equal."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
