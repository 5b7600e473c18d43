"""What priors are given, checked: sizes, positive numbers, and draws to start from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import explain


def size(where: str, value: Any, least: int = 1) -> int:
    """A whole number of dimensions or components.

    Raises:
        ValueError: for anything else, or less than the least.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            explain(where, expected=f"a whole number, {least} or more", got=repr(value), remedy="Try 8.")
        )
    return value


def positive(where: str, value: float, below: float = math.inf, remedy: str = "Try 1.0.") -> float:
    """A positive and finite number, less than ``below``.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, bool) or not (0 < value < below):
        limit = "finite" if below == math.inf else f"less than {below:g}"
        raise ValueError(
            explain(where, expected=f"a positive number, {limit}", got=repr(value), remedy=remedy)
        )
    return value


def draws(where: str, z: Tensor, dim: int, least: int = 2) -> Tensor:
    """Latent vectors to start a prior from, ``(n, dim)``, in double precision.

    Raises:
        ValueError: for another shape, too few of them, or values that aren't finite.
    """
    z = torch.as_tensor(z).detach()
    if z.ndim != 2 or z.shape[1] != dim or len(z) < least:
        raise ValueError(
            explain(
                where,
                expected=f"{least} or more latent vectors, (n, {dim})",
                got=f"shape {tuple(z.shape)}",
                remedy="Pass draws of the posterior, or its means, one row a datum.",
            )
        )
    if not torch.isfinite(z).all():
        raise ValueError(
            explain(where, expected="finite numbers", got="NaN or infinity", remedy="Look at the guide.")
        )
    # Where there is no double precision, the CPU has it.
    return z.cpu().double() if z.device.type == "mps" else z.double()


def varied(where: str, spread: Tensor) -> Tensor:
    """A measure of spread in each dimension, ``(d,)``.

    Raises:
        ValueError: when there is none in one of them.
    """
    if not (spread > 0).all():
        raise ValueError(
            explain(
                where,
                expected="draws that vary in every dimension",
                got=f"the same value throughout in dimension {int(spread.argmin())}",
                remedy="Start from draws of the posterior, not from a constant.",
            )
        )
    return spread


def keep(parameter: Tensor, value: Tensor) -> None:
    """Puts a value into a parameter, on its device and in its precision."""
    with torch.no_grad():
        parameter.copy_(value.to(parameter.device, parameter.dtype))
