"""Autoregressive heads of every kind, small, and what their elements are given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

import pyrovae as pv

H = pv.heads
T = 5


class Recorded:
    """An emission that keeps what it was given."""

    def __init__(self, head: Any) -> None:
        self.head, self.event_dim = head, head.event_dim

    def features(self, d: int) -> int:
        return int(self.head.features(d))

    def __call__(self, t: Tensor) -> Any:
        self.t = t
        return self.head(t)


def normal(event_dim: int = 1) -> Recorded:
    return Recorded(H.Normal(event_dim=event_dim))


def categories(event_dim: int = 1) -> Recorded:
    return Recorded(H.Categorical(3, event_dim=event_dim))


# By what makes an emission of an event dim: a head, and the shape of its features.
MAKERS: dict[str, Callable[[Any], tuple[Any, tuple[int, ...]]]] = {
    "PixelCNN": lambda e: (H.PixelCNN(2, 3, emission=e(3), width=6, layers=4, kernel=3), (3, 5, 4)),
    "PixelCNN, wide": lambda e: (H.PixelCNN(1, 3, emission=e(3), width=6, layers=2, kernel=7), (3, 4, 6)),
    "MADE": lambda e: (H.MADE(T, 3, emission=e(), hidden=(14,), activation=nn.Tanh), (3,)),
    "MADE, deep": lambda e: (H.MADE(T, 3, emission=e(), hidden=(11, 17), activation=nn.Tanh), (3,)),
    "MADE, narrow": lambda e: (H.MADE(T, 3, emission=e(), hidden=(3, 2)), (3,)),
    "MADE, linear": lambda e: (H.MADE(T, 3, emission=e(), hidden=()), (3,)),
    "GRU": lambda e: (H.GRU(T, 3, emission=e(), hidden=6, word_dropout=0.5), (3,)),
    "GRU, vectors": lambda e: (H.GRU(T, 3, emission=e(), size=2, hidden=6), (3,)),
    "Transformer": lambda e: (H.Transformer(T, 3, emission=e(), width=8, heads=2, dropout=0.5), (3,)),
}
every = functools.partial(pytest.mark.parametrize, "name", MAKERS)


def made(name: str, emission: Any) -> tuple[Any, tuple[int, ...]]:
    head, features = MAKERS[name](emission)
    return head.double().eval(), features


def by_element(head: Any, t: Tensor) -> Tensor:
    """What an emission is given, ``(m, elements, outputs)`` in the order of the elements."""
    return t.flatten(2).transpose(1, 2) if head.event_dim == 3 else t


def entries(head: Any, x: Tensor) -> Tensor:
    """Events as ``(m, elements, entries)``."""
    if head.event_dim == 3:
        return x.flatten(2).transpose(1, 2)
    return x.unsqueeze(-1) if head.event_dim == 1 else x
