"""Batches of data that are not in memory as a whole: data sets, iterable ones too, and loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from pyrovae.data.batches import Batches
from pyrovae.data.tensors import as_tensor, require_finite
from pyrovae.errors import explain
from pyrovae.randomness import isolated
from pyrovae.types import Batch


class StreamBatches(Batches):
    """Batches of a ``DataLoader``: unpacked, checked for NaN and infinity, moved, transformed on the device.

    Arguments:
        loader: epoch number to the loader of that epoch.
        transform: what ``x`` goes through on the device; None for loaders whose data come as they should.
        source: what :func:`pyrovae.data.load` needs to make the data again.
        missing: whether NaN is welcome, as the mark of an entry that is missing.
    """

    def __init__(
        self,
        loader: Callable[[int], DataLoader[Any]],
        *,
        device: torch.device,
        transform: Callable[[Tensor], Tensor] | None = None,
        source: dict[str, Any] | None = None,
        missing: bool = False,
    ) -> None:
        example = loader(0)
        self._loader = loader
        self.transform = transform
        self._pending: tuple[Batch, Iterator[Any]] | None = None
        self.source, self.missing = source, missing
        self.device = device
        self.batch_size = example.batch_size
        self.size = _length(example.dataset)
        self.steps = _length(example)

    def epoch(self, k: int) -> Iterator[Batch]:
        """The batches of epoch ``k``.

        Raises:
            TypeError: items that are no tensors; the message names the batch.
            ValueError: a batch with NaN or infinity, or an epoch without a batch.
        """
        if self._pending is None:
            batches = self._ready(iter(self._loader(k)), k)
        else:
            (peeked, rest), self._pending = self._pending, None
            batches = chain([peeked], self._ready(rest, k, start=1))
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError(
                explain(
                    f"data, epoch {k}",
                    expected="at least one batch",
                    got="none",
                    remedy="The data are empty, or can be iterated only once: give an IterableDataset whose "
                    "__iter__ starts anew each time.",
                )
            )

    def first(self) -> Batch:
        """The first batch of a fresh iterator, generators put back; an iterator that can't be made afresh is
        kept and the next epoch goes on with it."""
        if self._pending is not None:
            return self._pending[0]
        loader = self._loader(0)
        own = [g for g in (loader.generator, getattr(loader.sampler, "generator", None)) if g is not None]
        states = [g.get_state() for g in own]
        with isolated(self.device):
            once = _is_once(loader)
            rest = iter(loader)
            batch = next(self._ready(rest, 0), None)
        for g, state in zip(own, states, strict=True):
            g.set_state(state)
        if batch is None:
            raise ValueError(
                explain("data", expected="at least one batch", got="none", remedy="Give some data.")
            )
        if once:
            self._pending = (batch, rest)
        return batch

    def _ready(self, items: Iterator[Any], k: int, start: int = 0) -> Iterator[Batch]:
        for number, item in enumerate(items, start):
            x, *others = self._moved(unpack(item, f"batch {number} of epoch {k}", missing=self.missing))
            yield (x if self.transform is None else self.transform(x), *others)

    def _moved(self, batch: Batch) -> Batch:
        ahead = self.device.type == "cuda"  # a copy from pinned memory need not be waited for
        return tuple(tensor.to(self.device, non_blocking=ahead) for tensor in batch)


def unpack(item: Any, where: str, *, missing: bool = False) -> Batch:
    """What a loader yields as a tuple of finite tensors of one length; NaN passes where it means missing.

    Raises:
        TypeError: a dict, or anything in it that is neither a tensor nor an array.
        ValueError: nothing in it, lengths that disagree, NaN or infinity.
    """
    if isinstance(item, Mapping):
        raise TypeError(
            explain(
                where,
                expected="a tensor or a tuple of tensors, which the model takes in that order",
                got=f"a dict of {', '.join(map(repr, item))}",
                remedy="Which of them is x? Say so in a collate_fn, or a Dataset, that returns a tuple.",
            )
        )
    items = item if isinstance(item, tuple | list) else (item,)
    batch = tuple(as_tensor(f"{where}, item {position}", part) for position, part in enumerate(items))
    lengths = {tensor.shape[0] if tensor.ndim else None for tensor in batch}
    if len(lengths) != 1 or not lengths.isdisjoint({None, 0}):
        raise ValueError(
            explain(
                where,
                expected="tensors of one length, batch leftmost, not empty",
                got=f"shapes {', '.join(str(tuple(tensor.shape)) for tensor in batch) or 'of nothing'}",
                remedy="Look at what the data set and its collate_fn return.",
            )
        )
    for position, tensor in enumerate(batch):
        require_finite(f"{where}, item {position}", tensor, missing=missing)
    return batch


def _is_once(loader: DataLoader[Any]) -> bool:
    """Whether iterating the loader moves a state of its own data, which a second iterator would go on from.

    That is so where ``__iter__`` hands out one iterator for ever; worker processes move copies instead.
    """
    data = loader.dataset
    return isinstance(data, IterableDataset) and loader.num_workers == 0 and iter(data) is iter(data)


def _length(sized: Any) -> int | None:
    try:
        return len(sized)
    except TypeError:  # a loader has a __len__ also where its data have none
        return None
