"""What a captured graph takes for granted beside its arguments, and whether it still holds."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Iterable, Mapping, Sequence
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pyro
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovae.engine.calls import SCALARS
from pyrovae.engine.refusal import Refusal, is_library

_WATCHED = (*SCALARS, Tensor, nn.Module, FunctionType)
_CONTAINERS = (dict, list, tuple)
_OF_MODULES = set(vars(nn.Module())) - {"training"}
_MISSING = object()
_FEW = 1000
"""So many entries of a list or a dictionary are watched; beyond that it is data, not settings."""


class Surroundings:
    """The state of programs, networks and parameters at the time of a capture.

    Attributes:
        holders: the objects met that keep attributes.
        fixed: whether the tensors must stay at their addresses.

    Arguments:
        programs: what was captured: model, guide, and the functions that they hold.
        modules: the networks that they call.
    """

    def __init__(self, programs: Iterable[Any], modules: Iterable[nn.Module]) -> None:
        self.slots: list[tuple[Mapping[Any, Any], Any, Any, str]] = []
        self.functions: list[tuple[Any, ...]] = []
        self.cells: list[tuple[Any, Any, str]] = []
        self.lists: list[tuple[Sequence[Any], tuple[Any, ...], str]] = []
        self.sizes: list[tuple[Any, int, str]] = []
        self.hooks: list[tuple[Mapping[int, Any], tuple[int, ...], str]] = []
        self.holders: list[Any] = []
        self.fixed = False
        self.stored: list[tuple[str, Tensor]] = []
        self.tensors: list[tuple[Tensor, int, bool, tuple[int, ...]]] = []
        self.kinds: list[tuple[Any, ...]] = []
        self._seen: set[int] = set()
        for program in programs:
            self._look(program)
        for module in modules:
            self._look(module)

    def watch(self, tensors: list[Tensor]) -> None:
        """Watches the graph's free tensors too, and their places in Pyro's store.

        Raises:
            Refusal: for a tensor that was computed, with a gradient, before the program ran.
        """
        self.tensors = [(x, x.data_ptr(), x.requires_grad, _hooks(x)) for x in tensors]
        self.kinds = [(x.shape, x.stride(), x.dtype, x.device) for x in tensors]
        held = {id(x) for x in tensors}
        store: Any = pyro.get_param_store()
        self.stored = [(name, value) for name, value in store._params.items() if id(value) in held]
        for x in tensors:
            if x.grad_fn is not None:
                raise Refusal(
                    f"a tensor of shape {tuple(x.shape)} was computed, with a gradient, outside the program",
                    remedy="Compute it inside, or detach it.",
                )

    def change(self) -> str | None:
        """What is no longer as it was, in words; None as long as the graph may be used."""
        for place, key, value, what in self.slots:
            now = place.get(key, _MISSING)
            if now is not value and not _equal(now, value):
                return what
        store: Any = pyro.get_param_store()  # which is given other dictionaries when it is cleared or scoped
        for name, value in self.stored:
            if store._params.get(name) is not value:
                return f"parameter {name!r}"
        for i, (x, pointer, wants_gradient, hooks) in enumerate(self.tensors):
            if x.requires_grad is not wants_gradient:
                return f"requires_grad of {self._name(x)}"
            if x.data_ptr() != pointer:
                if self.fixed:
                    return f"the address of {self._name(x)}"
                if (x.shape, x.stride(), x.dtype, x.device) != self.kinds[i]:
                    return f"shape, type or device of {self._name(x)}"
                self.tensors[i] = (x, x.data_ptr(), wants_gradient, hooks)
            if _hooks(x) != hooks:
                return f"hooks of {self._name(x)}"
        for cell, value, what in self.cells:
            if cell.cell_contents is not value and not _equal(cell.cell_contents, value):
                return what
        for function, *code in self.functions:
            if not all(map(operator.is_, _code(function), code)):
                return f"the code of {function.__qualname__}"
        for items, size, what in self.sizes:
            if len(items) != size:
                return what
        for place, keys, what in self.hooks:
            if len(place) != len(keys) or (keys and tuple(place) != keys):
                return what
        for sequence, values, what in self.lists:
            if not all(now is then or _equal(now, then) for now, then in zip(sequence, values, strict=True)):
                return what
        return None

    def _name(self, x: Tensor) -> str:
        name: Any = pyro.get_param_store().param_name(x)
        return f"parameter {name!r}" if name else f"a tensor of shape {tuple(x.shape)}"

    def _look(self, thing: Any, name: str = "") -> None:
        """Watches a thing, once, and what it holds."""
        if id(thing) in self._seen or isinstance(thing, (*SCALARS, Tensor, ModuleType, type)):
            return
        self._seen.add(id(thing))
        if isinstance(thing, nn.Module):
            self._look_at_module(thing)
        elif isinstance(thing, functools.partial):
            for part in (thing.func, *thing.args, *thing.keywords.values()):
                self._look(part)
        elif isinstance(thing, MethodType):
            self._look(thing.__func__)
            self._look(thing.__self__)
            self._look_at_object(thing.__self__)
        elif isinstance(thing, FunctionType):
            self._look_at_function(thing)
        elif isinstance(thing, dict | list | tuple):
            self._look_at_items(thing, name)
        elif isinstance(thing, Messenger) or not is_library(type(thing)):
            self._look_at_object(thing)
        elif hasattr(thing, "__dict__"):  # a distribution, a transform: they keep caches
            self.holders.append(thing)

    def _look_at_object(self, thing: Any) -> None:
        if isinstance(thing, nn.Module) or not hasattr(thing, "__dict__"):
            return
        self.holders.append(thing)
        self._watch(vars(thing), type(thing).__name__)
        self._look_at_class(type(thing))

    def _look_at_items(self, items: dict[Any, Any] | list[Any] | tuple[Any, ...], name: str) -> None:
        if len(items) > _FEW:
            return
        what = f"an entry of {name or 'a list or dictionary'}"
        self.sizes.append((items, len(items), what))
        if isinstance(items, dict):
            self.slots += [
                (items, k, v, f"{k!r} of {name}") for k, v in items.items() if isinstance(v, _WATCHED)
            ]
        elif all(isinstance(value, _WATCHED) for value in items):
            self.lists.append((items, tuple(items), what))
        for value in items.values() if isinstance(items, dict) else items:
            self._look(value, name)

    def _look_at_module(self, module: nn.Module) -> None:
        name = type(module).__name__
        for place in (module._parameters, module._buffers, module._modules):
            self.slots += [(place, key, value, f"{key!r} of {name}") for key, value in place.items()]
        self.holders.append(module)
        kinds = SCALARS if is_library(type(module)) else (*SCALARS, Tensor)  # theirs are caches
        values = {key: value for key, value in vars(module).items() if key not in _OF_MODULES}
        self._watch(values, name, vars(module), (*kinds, FunctionType, MethodType))
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
            self.hooks.append((hooks, tuple(hooks), f"hooks of {name}"))
        if not is_library(type(module)):
            self.sizes.append((vars(module), len(vars(module)), f"attributes of {name}"))
        self._look_at_class(type(module))

    def _look_at_class(self, kind: type) -> None:
        """Looks at what a user's class gives its objects: methods, which may be edited, and constants."""
        for owner in kind.__mro__:
            if owner is object or is_library(owner) or id(owner) in self._seen:
                continue
            self._seen.add(id(owner))
            for key, value in vars(owner).items():
                if isinstance(value, _WATCHED) and key not in ("__module__", "__doc__", "__qualname__"):
                    self.slots.append((vars(owner), key, value, f"{key!r} of {owner.__name__}"))
                    self._look(value)

    def _watch(
        self,
        values: dict[str, Any],
        name: str,
        place: dict[str, Any] | None = None,
        kinds: tuple[type, ...] = _WATCHED,
    ) -> None:
        place = values if place is None else place
        for key, value in values.items():
            if isinstance(value, kinds):
                self.slots.append((place, key, value, f"{key!r} of {name}"))
            if isinstance(value, (*_CONTAINERS, FunctionType, MethodType)) and not key.startswith("_pyro"):
                self._look(value, f"{key!r} of {name}")

    def _look_at_function(self, function: FunctionType) -> None:
        self.functions.append((function, *_code(function)))
        name = function.__qualname__
        for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            if isinstance(value, _WATCHED):
                self.cells.append((cell, value, f"{key!r} in {name}"))
            self._look(value, f"{key!r} in {name}")
        if is_library(function):
            return
        for key in _names(function.__code__):
            value = function.__globals__.get(key, _MISSING)
            if isinstance(value, _WATCHED):
                self.slots.append((function.__globals__, key, value, f"{key!r}, which {name} uses,"))
            if isinstance(value, _CONTAINERS) or not (isinstance(value, type) or is_library(value)):
                self._look(value, repr(key))


def _code(function: FunctionType) -> tuple[Any, ...]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


def _names(code: CodeType) -> set[str]:
    """The names of globals in a function, and in the functions inside it."""
    inner = [_names(constant) for constant in code.co_consts if inspect.iscode(constant)]
    return set(code.co_names).union(*inner)


def _equal(now: Any, then: Any) -> bool:
    return type(now) is type(then) and isinstance(now, SCALARS) and now == then


def _hooks(x: Tensor) -> tuple[int, ...]:
    return (*(x._backward_hooks or ()), *(getattr(x, "_post_accumulate_grad_hooks", None) or ()))
