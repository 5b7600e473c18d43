"""Batches: the one thing that the training loop sees, whatever the data were; and those of data in memory."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pyrovae.data.memory import Data
from pyrovae.randomness import generator, isolated
from pyrovae.types import Batch


class Batches(ABC):
    """Epochs of batches on a device, made by :func:`pyrovae.data.as_batches`.

    Attributes:
        device: where the batches are.
        batch_size: how many data a batch has, the last one of an epoch perhaps fewer; None where unknown.
        size: how many data an epoch has; None where unknown.
        steps: how many batches an epoch has; None where unknown.
        data: the whole data set where it is in memory, else None.
        source: what :func:`pyrovae.data.load` needs to make the data again; None where unknown.
        transform: what ``x`` went through on its way into a batch; None where nothing, or unknown.
    """

    device: torch.device
    batch_size: int | None
    size: int | None
    steps: int | None
    data: Data | None = None
    source: dict[str, Any] | None = None
    transform: Callable[[Tensor], Tensor] | None = None

    @property
    def in_memory(self) -> bool:
        """Whether the data are in memory: checked whole already, and open to checks of the whole."""
        return self.data is not None

    @abstractmethod
    def epoch(self, k: int) -> Iterator[Batch]:
        """The batches of epoch ``k`` (from 0)."""

    @abstractmethod
    def first(self) -> Batch:
        """A batch to try programs on: no generator moves and no datum is lost to the epochs."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, batch_size={self.batch_size}, device={self.device})"


class MemoryBatches(Batches):
    """Batches of data in memory: moved to the device once, then indexed by whole batches.

    The order of epoch ``k`` is a permutation that depends on ``(seed, k)`` alone, so it is the same whenever
    and however often it is asked for.
    """

    def __init__(
        self, data: Data, *, batch_size: int, device: torch.device, shuffle: bool = True, seed: int = 0
    ) -> None:
        self.data: Data = data.to(device)
        self.source = data.source
        self.transform = data.transform
        self.device = device
        self.batch_size: int = batch_size
        self.size = len(data)
        self.steps = math.ceil(len(data) / batch_size)
        self.shuffle = shuffle
        self.seed = seed

    def epoch(self, k: int) -> Iterator[Batch]:
        data = self.data
        order = (
            torch.randperm(len(data), generator=generator("order", self.seed, k))
            if self.shuffle and len(data) > self.batch_size  # the order within one batch means nothing
            else torch.arange(len(data))
        )
        for index in torch.split(order.to(self.device), self.batch_size):
            yield data.take(index)

    def first(self) -> Batch:
        with isolated(self.device):
            return self.data.take(torch.arange(min(self.batch_size, len(self.data)), device=self.device))
