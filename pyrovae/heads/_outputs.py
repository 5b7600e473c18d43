"""A network's output cut into what a head needs of it, and sizes checked."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyrovae.arguments import shown
from pyrovae.errors import explain
from pyrovae.types import Distribution


def check_event_dim(where: str, event_dim: int) -> int:
    """The number of dimensions of a datum, or ValueError."""
    if isinstance(event_dim, bool) or not isinstance(event_dim, int) or event_dim < 1:
        raise ValueError(
            explain(
                f"heads.{where}, event_dim",
                expected="how many dimensions make one datum, from 1 on",
                got=shown(event_dim),
                remedy="Give 1 for vectors, 3 for images (C, H, W).",
            )
        )
    return event_dim


def entries(where: str, t: Tensor, event_dim: int) -> Tensor:
    """A network's output of which each number is that of one entry."""
    if t.ndim < event_dim or not t.shape[-event_dim]:
        raise ValueError(_misfit(where, t, event_dim, 1, "a number"))
    return t


def parts(where: str, t: Tensor, count: int, *, event_dim: int, of: str) -> tuple[Tensor, ...]:
    """Equal parts along the first event dimension: first numbers of all entries, then second ones, ...

    Arguments:
        of: what an entry's numbers are, for the error.

    Raises:
        ValueError: where that dimension can't be divided.
    """
    size = t.shape[-event_dim] if t.ndim >= event_dim else 0
    if size % count or not size:
        raise ValueError(_misfit(where, t, event_dim, count, of))
    return tuple(t.chunk(count, dim=-event_dim))


def per_entry(where: str, t: Tensor, each: int, *, event_dim: int, of: str) -> Tensor:
    """``(..., d * each, *rest)`` as ``(..., d, *rest, each)``: the numbers of an entry side by side.

    Raises:
        ValueError: where the first event dimension can't be divided.
    """
    size = t.shape[-event_dim] if t.ndim >= event_dim else 0
    if size % each or not size:
        raise ValueError(_misfit(where, t, event_dim, each, of))
    return t.unflatten(-event_dim, (size // each, each)).movedim(-event_dim, -1)


def joined(independent: Any, event_dim: int) -> Distribution:
    """Independent entries as one event."""
    event: Distribution = independent.to_event(event_dim)
    return event


def _misfit(where: str, t: Tensor, event_dim: int, each: int, of: str) -> ValueError:
    times = {1: "", 2: " of even size"}.get(each, f" of a multiple of {each}")
    outputs = "d outputs" if each == 1 else f"{each} * d outputs"
    return ValueError(
        explain(
            f"heads.{where}",
            expected=f"a network output{times} along dimension -{event_dim} ({of} for each entry)",
            got=f"shape {tuple(t.shape)}",
            remedy=f"Give the network {outputs} for d entries along that dimension.",
        )
    )
