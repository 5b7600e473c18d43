"""Whatever holds the user's data, as batches."""

from __future__ import annotations

from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from pyrovae.data.batches import Batches, MemoryBatches
from pyrovae.data.lazy import LazyData
from pyrovae.data.loading import Splits
from pyrovae.data.memory import Data
from pyrovae.data.streams import StreamBatches
from pyrovae.errors import explain
from pyrovae.randomness import generator

Array: TypeAlias = Tensor | np.ndarray[Any, Any]
DataLike: TypeAlias = (
    Data | LazyData | Array | tuple[Array, ...] | list[Array] | Dataset[Any] | DataLoader[Any]
)
"""What :func:`as_batches` takes, and with it everything that asks for data."""


def as_batches(
    data: DataLike,
    *,
    batch_size: int,
    device: torch.device | str,
    shuffle: bool = True,
    seed: int = 0,
    workers: int = 0,
    missing: bool = False,
) -> Batches:
    """Any data as :class:`Batches` on a device.

    ============================================  ==========================================================
    :class:`Data`, tensor, array, tuple of them,  in memory on the device; no generator moves but those that
    ``TensorDataset``, a ``Subset`` of one        random transforms draw from
    :class:`LazyData`, any map-style ``Dataset``  read item by item, in an order that ``(seed, epoch)`` fixes
    ``IterableDataset``                           in its own order; ``shuffle`` does not apply
    ``DataLoader``                                as it is: its own batch size and order. ``iter(loader)``
                                                  draws from the global generator, or from its own
    ============================================  ==========================================================

    Items are tensors or tuples of them, passed to the programs in that order; a dict has no order that means
    anything and is refused. A run resumes exactly where the order depends on ``(seed, epoch)`` or on torch's
    global generator; a loader with a generator of its own, or whose workers draw noise that it does not seed,
    does not.

    Arguments:
        batch_size: how many data make a batch; the last one of an epoch may be smaller.
        shuffle: whether each epoch has an order of its own.
        seed: which orders.
        workers: how many processes read items of a ``Dataset``; for other data they mean nothing.
        missing: whether NaN is welcome, as the mark of an entry that is missing; :class:`Data` say so
            themselves.

    Raises:
        TypeError: data of a kind that is not in the table, or options that are not whole numbers.
        ValueError: ``batch_size`` below 1, or data that :class:`Data` refuses.

    Example:
        >>> batches = as_batches(torch.arange(5.0), batch_size=2, device="cpu", seed=0)
        >>> batches
        MemoryBatches(size=5, batch_size=2, device=cpu)
        >>> batches.steps, [len(x) for (x,) in batches.epoch(0)]
        (3, [2, 2, 1])
    """
    batch_size = _whole("batch_size", batch_size, at_least=1)
    workers = _whole("workers", workers, at_least=0)
    seed, device = _whole("seed", seed), torch.device(device)
    held = _in_memory(data, missing)
    if held is not None:
        return MemoryBatches(held, batch_size=batch_size, device=device, shuffle=shuffle, seed=seed)
    if isinstance(data, DataLoader):
        return StreamBatches(lambda _: data, device=device, missing=missing)
    if not isinstance(data, Dataset):
        raise _refusal(data)
    raw = data.raw if isinstance(data, LazyData) else data

    def loader(k: int) -> DataLoader[Any]:
        return DataLoader(
            raw,
            batch_size=batch_size,
            shuffle=None if isinstance(raw, IterableDataset) else shuffle,
            generator=generator("order", seed, k),  # else iter(loader) would draw from the global one
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )

    if isinstance(data, LazyData):
        return StreamBatches(
            loader, device=device, transform=data.transform, source=data.source, missing=missing
        )
    return StreamBatches(loader, device=device, missing=missing)


def _in_memory(data: Any, missing: bool) -> Data | None:
    """The data as :class:`Data` where they are in memory already."""
    if isinstance(data, Data):
        return data
    if isinstance(data, Tensor | np.ndarray):
        return Data(data, missing=missing)
    if isinstance(data, tuple | list) and data and not isinstance(data, Splits):
        return Data.of(*(array for array in data if array is not None), missing=missing)
    if type(data) is TensorDataset:  # a subclass may do more than index
        return Data.of(*data.tensors, missing=missing)
    if type(data) is Subset and type(data.dataset) is TensorDataset:
        return Data.of(*data.dataset.tensors, missing=missing).subset(data.indices)
    return None


def _refusal(data: Any) -> TypeError:
    kind = type(data)
    remedies = {
        Splits: "Pass one of its parts: splits.train, splits.validation or splits.test.",
        str: "Load it first: pyrovae.data.load(name_or_path).train.",
    }
    return TypeError(
        explain(
            "data",
            expected="Data, a tensor, a NumPy array, a tuple of them, a torch Dataset or a DataLoader",
            got=f"{kind.__module__}.{kind.__qualname__}",
            remedy=remedies.get(
                kind, "Tables: frame.to_numpy(). Generators: wrap them in an IterableDataset."
            ),
        )
    )


def _whole(name: str, value: Any, at_least: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(explain(name, expected="a whole number", got=repr(value), remedy="128 is an int."))
    if at_least is not None and value < at_least:
        raise ValueError(
            explain(name, expected=f"at least {at_least}", got=str(value), remedy="Give a larger number.")
        )
    return int(value)
