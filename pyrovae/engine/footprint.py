"""What one eager run touches: the tensors that it meets on its way, and what it writes to, to be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Footprint(TorchDispatchMode):
    """Watches a run and remembers how everything was that it overwrote.

    Attributes:
        free: tensors from before the run that it met, by their place: parameters, buffers, data in a closure.
        written: those that it wrote to, such as the statistics of a batch norm.

    Arguments:
        arguments: the run's arguments, which aren't free.
    """

    def __init__(self, arguments: Sequence[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.free: dict[Place, Tensor] = {}
        self.written: list[Tensor] = []
        self._leaves: list[Tensor] = []
        self._arguments = {place(x) for x in arguments}
        self._before: list[Tensor] = []
        self._born: set[int] = set()
        self._known: set[int] = set()
        self._kept: set[Place] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if func is torch.ops.aten.lift_fresh.default:  # torch.tensor(...): made just now
            self._born.update(map(_storage, inputs))
        for x in inputs:
            if not self.is_born(x) and id(x) not in self._known:
                self._meet(x)
        for x in _targets(func, args, kwargs):
            if not self.is_born(x):
                self._keep(x)
        result = func(*args, **kwargs)
        old = set(map(_storage, inputs))
        self._born.update(
            _storage(x) for x in tree_leaves(result) if isinstance(x, Tensor) and _storage(x) not in old
        )
        return result

    def is_born(self, x: Tensor) -> bool:
        """Whether a tensor was made during the run."""
        return _storage(x) in self._born

    def reached(self) -> list[Tensor]:
        """The leaves from before the run that hold a gradient after it."""
        return [x for x in self._leaves if x.is_leaf and x.grad is not None]

    def values(self) -> list[Tensor]:
        """Copies of what was written to, as it is now."""
        return [x.clone() for x in self.written]

    def undo(self) -> None:
        """Gives everything that was written to its old values."""
        self.put(self._before)

    def put(self, values: list[Tensor]) -> None:
        """Gives everything that was written to the values of :meth:`values`."""
        with torch.no_grad():
            for x, value in zip(self.written, values, strict=True):
                x.copy_(value)

    def _meet(self, x: Tensor) -> None:
        self._known.add(id(x))
        if x.numel() and place(x) not in self._arguments:
            self.free.setdefault(place(x), x)
        if x.is_leaf and x.requires_grad:
            self._leaves.append(x)

    def _keep(self, x: Tensor) -> None:
        if place(x) not in self._kept:
            self._kept.add(place(x))
            self.written.append(x.detach())
            self._before.append(x.detach().clone())


Place: TypeAlias = tuple[Any, ...]


def place(x: Tensor) -> Place:
    """Where a tensor's values lie, and how: equal for two objects that are one tensor."""
    if x.layout is not torch.strided:
        return (id(x),)
    return _storage(x), x.storage_offset(), x.shape, x.stride(), x.dtype


def _storage(x: Tensor) -> int:
    return x.untyped_storage().data_ptr() if x.layout is torch.strided else id(x)


def _targets(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The tensors that an operation writes to."""
    found = []
    for i, declared in enumerate(func._schema.arguments):
        if declared.alias_info is not None and declared.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(declared.name)
            found += [x for x in tree_leaves(value) if isinstance(x, Tensor)]
    if "batch_norm" in func._schema.name:
        # Some kernels of batch normalisation update their statistics without declaring it.
        names = [declared.name for declared in func._schema.arguments]
        for name in ("running_mean", "running_var"):
            if name in names and names.index(name) < len(args):
                value = args[names.index(name)]
                found += [value] if isinstance(value, Tensor) else []
    return found
