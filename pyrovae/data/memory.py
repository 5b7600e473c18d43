"""Data in memory: tensors that share their first dimension, indexed by whole batches on their own device."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.tensors import as_tensor, require_finite, require_one_length
from pyrovae.data.transforms import Transform, chained
from pyrovae.errors import explain
from pyrovae.randomness import isolated, seed_of
from pyrovae.types import Batch

_CHUNK = 8192
"""How many data are checked at a time, so that a check needs little memory beside the data."""


class Data:
    """A data set in memory: ``x`` as it is kept, labels where there are any, and the transform of a batch.

    Everything is checked here, once, and not at every step: that there are data, that they are finite, that
    the lengths agree, that the transform can take them.

    Arguments:
        x: ``(n, ...)``. Of NumPy arrays floating ones take torch's default dtype and booleans become 0 and 1;
            tensors keep their dtype.
        y: ``(n, ...)``, labels or whatever else the model takes after ``x``; never transformed.
        transform: what a batch of ``x`` goes through at every use: a
            :class:`~pyrovae.data.Transform` or any callable of a tensor.
        source: what :func:`pyrovae.data.load` needs to make the same data again; None where unknown.
        missing: whether NaN marks entries that are missing (:class:`pyrovae.heads.Masked`); without it NaN is
            refused. Tensors that :func:`pyrovae.fit` is given need it not: there the model says so.

    Raises:
        TypeError: neither a tensor nor an array, or a dtype the transform can't take.
        ValueError: no data, lengths that disagree, NaN or infinity, values outside the transform's range, a
            transform that makes values of NaN or NaN of values.

    Example:
        >>> from pyrovae.data import Data, Threshold
        >>> data = Data(torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.7, 0.6]]), transform=Threshold())
        >>> data
        Data(3 x (2,), torch.float32, transform=Threshold(at=0.5))
        >>> data.take(torch.tensor([2, 0]))
        (tensor([[1., 1.],
                [0., 1.]]),)
    """

    def __init__(
        self,
        x: Tensor | np.ndarray[Any, Any],
        y: Tensor | np.ndarray[Any, Any] | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        *,
        source: dict[str, Any] | None = None,
        missing: bool = False,
    ) -> None:
        self.missing = missing
        self._set([x] if y is None else [x, y], transform, source)

    @classmethod
    def of(
        cls,
        *arrays: Tensor | np.ndarray[Any, Any],
        transform: Callable[[Tensor], Tensor] | None = None,
        missing: bool = False,
    ) -> Self:
        """Data of any number of tensors or arrays, for models that take more than ``x`` and ``y``."""
        data = cls.__new__(cls)
        data.missing = missing
        data._set(list(arrays), transform, None)
        return data

    def _set(
        self, arrays: list[Any], transform: Callable[[Tensor], Tensor] | None, source: dict[str, Any] | None
    ) -> None:
        names = ["x", "y", *(f"tensor {position}" for position in range(2, len(arrays)))]
        self.tensors: tuple[Tensor, ...] = tuple(
            as_tensor(name, array) for name, array in zip(names, arrays, strict=False)
        )
        self.transform = transform
        self.source = source
        require_one_length(dict(zip(names, self.tensors, strict=False)))
        for name, tensor in zip(names, self.tensors, strict=False):
            require_finite(name, tensor, missing=self.missing)
        if isinstance(transform, Transform):
            for part in torch.split(self.x, _CHUNK):
                transform.check(part)
        with isolated(self.device):
            self.shape: torch.Size = self._transformed(self.x[:1]).shape[1:]
            if self.missing and transform is not None:
                for part in torch.split(self.x, _CHUNK):
                    _check_gaps(part, self._transformed(part))

    @property
    def x(self) -> Tensor:
        """The data as they are kept, before the transform."""
        return self.tensors[0]

    @property
    def y(self) -> Tensor | None:
        """The labels, or None."""
        return self.tensors[1] if len(self.tensors) > 1 else None

    @property
    def device(self) -> torch.device:
        """Where the data are."""
        return self.x.device

    def __len__(self) -> int:
        return self.x.shape[0]

    def __repr__(self) -> str:
        labels = ", labelled" if self.y is not None else ""
        return (
            f"Data({len(self)} x {tuple(self.shape)}, {self.x.dtype}{labels}, transform={self.transform!r})"
        )

    def take(self, index: Tensor) -> Batch:
        """The data at an index tensor ``(batch,)`` on the data's device, ``x`` transformed."""
        x, *others = (tensor.index_select(0, index) for tensor in self.tensors)
        return (self._transformed(x), *others)

    def to(self, device: torch.device | str) -> Self:
        """The same data on a device."""
        return self._with(tuple(tensor.to(device) for tensor in self.tensors), self.source)

    def subset(self, index: Tensor | Sequence[int]) -> Self:
        """Some of the data, by their numbers.

        Raises:
            ValueError: no numbers.
            IndexError: a number that is not one of the data's.
        """
        rows = torch.as_tensor(index, dtype=torch.long, device=self.device)
        if not rows.numel():
            raise ValueError(
                explain("subset", expected="numbers of data", got="none", remedy="Name at least one.")
            )
        source = None if self.source is None else {**self.source, "subset": rows.numel()}
        return self._with(tuple(tensor.index_select(0, rows) for tensor in self.tensors), source)

    def then(self, transform: Callable[[Tensor], Tensor]) -> Self:
        """The same data under one more transform, after those there are."""
        data = copy.copy(self)
        data._set(list(self.tensors), chained(self.transform, transform), self.source)
        return data

    def transformed(self, seed: int = 0) -> Tensor:
        """All ``x`` transformed, ``(n, *shape)``, with noise of its own: the same seed, the same tensor.

        For evaluation: the global generators are neither read nor moved. CPU and GPU draw different noise.
        """
        with isolated(self.device, seed=seed_of("transformed", seed)):
            return self._transformed(self.x)

    def _transformed(self, x: Tensor) -> Tensor:
        return x if self.transform is None else self.transform(x)

    def _with(self, tensors: tuple[Tensor, ...], source: dict[str, Any] | None) -> Self:
        data = copy.copy(self)
        data.tensors, data.source = tensors, source
        return data


def _check_gaps(x: Tensor, transformed: Tensor) -> None:
    """Refuses a transform that makes values of what is missing: thresholds do, as NaN is not above them."""
    before, after = int(x.isnan().sum()), int(transformed.isnan().sum())
    if before != after:
        raise ValueError(
            explain(
                "transform",
                expected=f"NaN where it was, {before} times",
                got=f"{after} times after the transform",
                remedy="Put NaN back in it: torch.where(x.isnan(), x, transform(x)).",
            )
        )
