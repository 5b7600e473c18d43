"""What a caller hands over becomes NumPy numbers, or a complaint that says what was wrong with it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyrovae.errors import explain

Array: TypeAlias = Tensor | ArrayLike


def plain(value: Array, where: str) -> NDArray[Any]:
    """The value as an array of its own dtype, off the device and off the graph."""
    if isinstance(value, Tensor):
        tensor = value.detach().cpu()
        # NumPy has no bfloat16
        return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            explain(
                where,
                expected="an array or tensor",
                got=f"a {type(value).__name__} that is none ({error})",
                remedy="Give one tensor, all of whose rows have one length.",
            )
        ) from error


def numbers(value: Array, where: str) -> NDArray[Any]:
    """A non-empty array of real numbers, bytes and booleans among them."""
    array = plain(value, where)
    if array.dtype.kind not in "buif":
        raise TypeError(
            explain(
                where,
                expected="real numbers",
                got=f"{type(value).__name__} of dtype {array.dtype}",
                remedy="Give a tensor or an array of floats.",
            )
        )
    if array.size == 0:
        raise ValueError(
            explain(
                where,
                expected="at least one value",
                got=f"an empty array of shape {array.shape}",
                remedy="Check the selection that made it.",
            )
        )
    return array


def finite(value: Array, where: str) -> NDArray[np.float64]:
    """Numbers of which none is NaN or infinite."""
    array = numbers(value, where).astype(np.float64)
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise ValueError(
            explain(
                where,
                expected="finite numbers",
                got=f"NaN or infinity in {bad} of {array.size} values",
                remedy="Find the data that gave them, or leave those rows out.",
            )
        )
    return array
