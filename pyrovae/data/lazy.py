"""Data too large for memory: items read when they are asked for, transformed as those in memory are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, default_collate

from pyrovae.data.memory import Data
from pyrovae.data.transforms import Transform, chained
from pyrovae.randomness import isolated
from pyrovae.types import Batch


class LazyData(Dataset[Any]):
    """A map-style data set under a transform: what :class:`~pyrovae.data.Data` is for data on disk.

    ``lazy[i]`` is one transformed datum, as any ``torch.utils.data.Dataset`` gives it. ``fit`` reads whole
    batches of ``raw`` and transforms them on the training device instead.

    Arguments:
        raw: a map-style data set of tensors, or of tuples ``(x, y, ...)``, each of one fixed shape.
        transform: what a batch of ``x`` goes through at every use.
        source: what :func:`pyrovae.data.load` needs to make the same data again.

    Raises:
        TypeError, ValueError: the transform can't take the first datum.

    Example:
        >>> from pyrovae.data import LazyData, Threshold
        >>> from torch.utils.data import TensorDataset
        >>> lazy = LazyData(TensorDataset(torch.tensor([[0.1, 0.9], [0.8, 0.2]])), Threshold())
        >>> lazy[1]
        (tensor([1., 0.]),)
        >>> lazy.take([1, 0])
        (tensor([[1., 0.],
                [0., 1.]]),)
    """

    def __init__(
        self,
        raw: Dataset[Any],
        transform: Callable[[Tensor], Tensor] | None = None,
        *,
        source: dict[str, Any] | None = None,
    ) -> None:
        self.raw = raw
        self.transform = transform
        self.source = source
        if isinstance(
            transform, Transform
        ):  # of data that are not all here, the first must speak for the rest
            transform.check(self._read([0])[0])

    @property
    def shape(self) -> torch.Size:
        """The shape of one datum after the transform."""
        with isolated():
            return self.take([0])[0].shape[1:]

    def __len__(self) -> int:
        return len(self.raw)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Batch:
        return tuple(tensor[0] for tensor in self.take([index]))

    def __repr__(self) -> str:
        return f"LazyData({len(self)} data, transform={self.transform!r})"

    def take(self, index: Tensor | Iterable[int]) -> Batch:
        """The data of these numbers as one batch in memory, ``x`` transformed."""
        x, *others = self._read(index)
        return (x if self.transform is None else self.transform(x), *others)

    def subset(self, index: Tensor | Sequence[int]) -> LazyData:
        """Some of the data, by their numbers."""
        rows = [int(i) for i in index]
        source = None if self.source is None else {**self.source, "subset": len(rows)}
        return LazyData(Subset(self.raw, rows), self.transform, source=source)

    def then(self, transform: Callable[[Tensor], Tensor]) -> LazyData:
        """The same data under one more transform, after those there are."""
        return LazyData(self.raw, chained(self.transform, transform), source=self.source)

    def read(self, index: Tensor | Sequence[int]) -> Data:
        """Some of the data read into memory, for whatever wants them whole."""
        data = Data.of(*self._read(index), transform=self.transform)
        data.source = self.subset(index).source
        return data

    def _read(self, index: Tensor | Iterable[int]) -> Batch:
        batch = default_collate([self.raw[int(i)] for i in index])
        return (batch,) if isinstance(batch, Tensor) else tuple(batch)
