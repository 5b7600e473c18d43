"""Arrays of any origin as tensors that a model can take, or an error that says what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrovae.errors import explain


def as_tensor(where: str, value: Any) -> Tensor:
    """A tensor as it is, a NumPy array as a tensor of its own memory.

    Floating arrays take torch's default dtype (NumPy computes in float64, networks seldom do), booleans
    become 0 and 1 of the same dtype, ``uint8`` stays (it is how images are kept) and other integers become
    ``int64``.

    Raises:
        TypeError: neither a tensor nor an array, or an array of objects, strings or complex numbers.
    """
    if isinstance(value, Tensor):
        return value.to(torch.get_default_dtype()) if value.dtype == torch.bool else value.detach()
    if not isinstance(value, np.ndarray):
        kind = type(value)
        raise TypeError(
            explain(
                where,
                expected="a torch tensor or a NumPy array",
                got=f"{kind.__module__}.{kind.__qualname__}",
                remedy="Convert it first, for example with torch.as_tensor(...) or numpy.asarray(...).",
            )
        )
    if value.dtype.kind in "fb":
        double = np.ascontiguousarray(value, dtype=np.float64 if value.dtype.itemsize > 4 else np.float32)
        return torch.tensor(double, dtype=torch.get_default_dtype())
    if value.dtype == np.uint8:
        return torch.tensor(np.ascontiguousarray(value))
    if value.dtype.kind in "iu":
        return torch.tensor(np.ascontiguousarray(value, dtype=np.int64))
    raise TypeError(
        explain(
            where,
            expected="an array of numbers",
            got=f"dtype {value.dtype}",
            remedy="Encode words as numbers with numpy.unique(a, return_inverse=True)[1]; split complex "
            "numbers into real and imaginary parts.",
        )
    )


def require_finite(where: str, x: Tensor, *, missing: bool = False) -> None:
    """Refuses NaN and infinity, and says how many there are and where the first one is.

    Arguments:
        missing: whether NaN is welcome, as the mark of an entry that is missing.

    Raises:
        ValueError: some entry is not finite.

    Example:
        >>> require_finite("x", torch.tensor([[0.0, 1.0], [0.5, float("nan")]]))
        Traceback (most recent call last):
            ...
        ValueError: x: expected finite values, got 1 not finite of 4, the first (nan) at [1, 1]. Remove ...
    """
    if not (x.is_floating_point() or x.is_complex()):
        return
    # A finite sum has finite terms, and needs no temporary as large as the data.
    if bool(torch.isfinite(x.nansum() if missing else x.sum())):
        return
    finite = torch.isfinite(x) | x.isnan() if missing else torch.isfinite(x)
    if bool(finite.all()):
        return
    bad = (~finite).nonzero()
    first = bad[0].tolist()
    raise ValueError(
        explain(
            where,
            expected="finite values" + (", or NaN for what is missing" if missing else ""),
            got=f"{len(bad)} not finite of {x.numel()}, the first ({x[tuple(first)].item()}) at {first}",
            remedy="Remove or impute those data before training."
            if missing
            else "Remove or impute those data; or, if NaN marks what is missing, take a likelihood that "
            "leaves it out, pyrovae.heads.Masked(head), and make pyrovae.data.Data with missing=True.",
        )
    )


def require_one_length(tensors: dict[str, Tensor]) -> None:
    """Refuses tensors without a first dimension, empty ones, and lengths that disagree.

    Raises:
        ValueError: any of these.
    """
    for name, tensor in tensors.items():
        if tensor.ndim == 0 or tensor.numel() == 0:
            raise ValueError(
                explain(
                    name,
                    expected="data of shape (n, ...), n of at least 1",
                    got=f"shape {tuple(tensor.shape)}",
                    remedy="Pass a tensor whose first dimension counts the data.",
                )
            )
    lengths = {name: tensor.shape[0] for name, tensor in tensors.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            explain(
                "data",
                expected="tensors of one length",
                got=", ".join(f"{name} of {length}" for name, length in lengths.items()),
                remedy="The first dimension counts the data and must agree.",
            )
        )
