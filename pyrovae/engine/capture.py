"""Capture: one run of a function, written down as a graph of tensor operations.

The only file that knows ``make_fx``. The function is run on tensors without values (fake tensors), forward
and backward; every tensor that it meets on its way becomes an input of the graph: the arguments, and those
that were there before, such as parameters, buffers, and data in a closure. None is copied into the graph, so
the graph follows them when they change, and nothing else in it can change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from pyrovae.engine.footprint import Place, place
from pyrovae.engine.refusal import Refusal, blame, is_library
from pyrovae.engine.substitutes import values_unread

Pure = Callable[..., list[Tensor]]
"""A function of tensors that returns tensors, the same number each time."""


@dataclass(frozen=True)
class Graph:
    """What was captured: ``module(*free, *tensors)`` gives what the function gave for those tensors.

    Attributes:
        module: the operations, forward and backward; it must be run without autograd.
        free: the tensors that the function met beside its arguments.
    """

    module: GraphModule
    free: list[Tensor]

    @property
    def size(self) -> int:
        """How many operations the graph has."""
        return sum(node.op == "call_function" for node in self.module.graph.nodes)


def capture(function: Pure, tensors: list[Tensor], free: dict[Place, Tensor], holders: list[Any]) -> Graph:
    """Traces a function once; neither random generators nor any tensor's value change.

    Arguments:
        function: of the tensors; it may call ``backward``.
        tensors: its arguments; only their shapes, types and devices matter.
        free: the other tensors that an eager run has met.
        holders: networks and other objects that it uses, watched for what it leaves behind in them.

    Raises:
        Refusal: when the function can't be captured, with the site or operation that stands in the way.
    """
    places = list(free)

    def traced(*fakes: Tensor) -> list[Tensor]:
        with _StandIns(dict(zip(places, fakes, strict=False))), torch.enable_grad():
            return function(*fakes[len(places) :])

    inputs = [x.detach() for x in (*free.values(), *tensors)]
    try:
        with _unchanged(holders), values_unread(), torch.autograd.set_multithreading_enabled(False):
            module = make_fx(traced, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    except Exception as error:
        raise blame(error) from error
    _check_constants(module)
    _drop_detach(module)
    module.graph.eliminate_dead_code()
    used = _drop_unused(module, list(free.values()))
    module.recompile()
    return Graph(module, used)


class _StandIns(TorchDispatchMode):
    """Gives every operation the graph's inputs where the program gives it the tensors that they stand for.

    The tracer would execute what concerns real tensors only, and burn in what comes out.
    """

    def __init__(self, fakes: dict[Place, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fakes = fakes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return func(*tree_map(self._stand_in, args), **tree_map(self._stand_in, kwargs or {}))

    def _stand_in(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or isinstance(x, FakeTensor):
            return x
        return self.fakes.get(place(x), x)


def _check_constants(module: GraphModule) -> None:
    """The graph may hold what ``torch.tensor(...)`` has made of numbers, and nothing else."""
    lifts = (torch.ops.aten.lift_fresh_copy.default, torch.ops.aten.lift_fresh.default)
    for node in module.graph.nodes:
        if node.op != "get_attr" or all(user.target in lifts for user in node.users):
            continue
        value = getattr(module, str(node.target))
        if value.numel():
            raise Refusal(
                f"a tensor of shape {tuple(value.shape)} is made in the program where torch can't see it",
                remedy="Make it outside, or with torch.tensor(...), instead of from_numpy or torch.Tensor.",
            )


def _drop_unused(module: GraphModule, free: list[Tensor]) -> list[Tensor]:
    """Takes those inputs away that nothing in the graph uses."""
    nodes = [node for node in module.graph.nodes if node.op == "placeholder"][: len(free)]
    used = [tensor for tensor, node in zip(free, nodes, strict=True) if node.users]
    for node in nodes:
        if not node.users:
            module.graph.erase_node(node)
    return used


def _drop_detach(module: GraphModule) -> None:
    """Without autograd ``detach`` does nothing, and a graph that runs uncompiled pays for each."""
    for node in list(module.graph.nodes):
        is_result = any(user.op == "output" for user in node.users)
        if node.target is torch.ops.aten.detach.default and not is_result:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)


@contextmanager
def _unchanged(holders: list[Any]) -> Iterator[None]:
    """Puts back whatever the traced function wrote to the parameter store or into what it uses.

    Raises:
        Refusal: when it wrote anything there, for in a captured step it no longer would.
    """
    store: Any = pyro.get_param_store()
    places: list[tuple[str, bool, dict[Any, Any]]] = [("Pyro's parameter store", False, store._params)]
    for holder in holders:
        name, may_cache = type(holder).__name__, is_library(type(holder))
        places.append((name, may_cache, vars(holder)))
        if isinstance(holder, nn.Module):
            places += [(name, may_cache, place) for place in (holder._parameters, holder._buffers)]
    before = [dict(place) for *_, place in places]
    names, bounds = dict(store._param_to_name), dict(store._constraints)
    written: list[str] = []
    try:
        yield
    finally:
        for (name, may_cache, place), old in zip(places, before, strict=True):
            changed = [key for key in {**place, **old} if _differs(place, old, key)]
            if changed:
                place.clear()
                place.update(old)
            if not may_cache:
                written += [f"{key!r} of {name}" for key in changed]
        store._param_to_name, store._constraints = names, bounds
    if written:
        raise Refusal(
            f"the program assigns {', '.join(sorted(written)[:3])} while it runs",
            remedy="A captured step would not. Return such values, or change a buffer in place.",
        )


def _differs(place: dict[Any, Any], before: dict[Any, Any], key: Any) -> bool:
    if key not in before or key not in place:
        return True
    now = place[key]
    # Other things than tensors are watched by the guards.
    return now is not before[key] and any(isinstance(x, FakeTensor) for x in tree_leaves(now))
