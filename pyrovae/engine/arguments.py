"""The arguments of a call: their tensors, and a key that tells calls apart that need different graphs."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from pyrovae.engine.refusal import Refusal

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, Enum, range, slice)


class Arguments(NamedTuple):
    """Arguments taken apart.

    Attributes:
        tensors: all tensors in them, in lists and dictionaries too.
        key: equal for calls that one graph can serve: shapes, strides, types, devices and all plain values.
        structure: what puts them together again.
    """

    tensors: list[Tensor]
    key: Hashable
    structure: tuple[list[Any], TreeSpec] | int

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Takes arguments apart.

        Raises:
            Refusal: for an argument whose tensors can't be seen, such as an object of a class of one's own.
        """
        if not kwargs and all(type(x) is Tensor for x in args):
            tensors = list(map(_dense, args))
            return cls(tensors, (_surroundings(), *map(_kind, tensors)), len(args))
        leaves, spec = tree_flatten((args, kwargs))
        tensors = []
        key: list[Hashable] = [_surroundings(), spec]
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor):
                tensors.append(_dense(leaf))
                key.append(_kind(tensors[-1]))
                leaves[i] = _SLOT
            elif isinstance(leaf, _PLAIN):
                key.append((type(leaf), leaf if not isinstance(leaf, slice) else repr(leaf)))
            elif isinstance(leaf, nn.Module) or callable(leaf):
                key.append(id(leaf))
            else:
                raise Refusal(
                    f"an argument is a {type(leaf).__name__}, whose contents can't be watched",
                    remedy="Pass tensors, numbers, strings, or lists, tuples and dictionaries of them.",
                )
        return cls(tensors, tuple(key), (leaves, spec))

    def rebuild(self, tensors: list[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with other tensors in their places."""
        if isinstance(self.structure, int):
            return tuple(tensors), {}
        leaves, spec = self.structure
        given = iter(tensors)
        args, kwargs = tree_unflatten([next(given) if leaf is _SLOT else leaf for leaf in leaves], spec)
        return args, kwargs

    def describe(self) -> str:
        """The shapes, for people."""
        kinds = [(x.shape, str(x.dtype).removeprefix("torch.")) for x in self.tensors]
        return ", ".join(f"{'x'.join(map(str, shape)) or 'scalar'} {dtype}" for shape, dtype in kinds)


_SLOT = object()


def _dense(x: Tensor) -> Tensor:
    """The tensor, or a copy without gaps or overlaps, whose strides a graph's own copies have too."""
    if x.is_contiguous() or torch.empty_like(x, device="meta").stride() == x.stride():
        return x
    return x.contiguous()


def _kind(x: Tensor) -> Hashable:
    return x.shape, x.stride(), x.dtype, x.device, x.requires_grad


def _surroundings() -> Hashable:
    """Settings of the process that decide what operations a program is made of."""
    kinds = ("cpu", "cuda")
    if not any(map(torch.is_autocast_enabled, kinds)):
        return torch.get_default_dtype()
    casts = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds]
    return torch.get_default_dtype(), *casts
