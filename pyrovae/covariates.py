"""Covariates: what follows the data in a batch goes to the parts that ask for it.

A program is called as ``model(x, y, ...)``. A prior whose call takes arguments is given y; so is a network
that takes more than one. Nobody declares anything: the signature says it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.errors import explain

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def asked(part: Callable[..., Any], own: int) -> int:
    """How many covariates a part asks for: the arguments it can't do without, after ``own`` others.

    A part that takes any number may say it by an integer ``covariates``.

    Example:
        >>> asked(lambda: None, 0), asked(lambda z, y: None, 1), asked(lambda z, scale=1.0: None, 1)
        (0, 1, 0)
    """
    declared = getattr(part, "covariates", None)
    if isinstance(declared, int):
        return declared
    try:
        parameters = inspect.signature(part.forward if isinstance(part, nn.Module) else part).parameters
    except ValueError:  # written in C: nothing is known of it
        return 0
    needed = [p for p in parameters.values() if p.kind in _POSITIONAL and p.default is p.empty]
    return max(0, len(needed) - own)


def given_to(where: str, count: int, given: Sequence[Tensor | None]) -> list[Tensor]:
    """The first ``count`` of what followed the data.

    Raises:
        ValueError: when there are fewer.
    """
    found = [value for value in given[:count] if value is not None]
    if len(found) < count:
        raise ValueError(
            explain(
                where,
                expected=f"{count} tensor{'s' if count > 1 else ''} of covariates after x",
                got=str(len(found)) if found else "none",
                remedy="Pass them with the data, fit(model, guide, (x, y)) or model(x, y); to generate, "
                "model(None, y).",
            )
        )
    return found


def one_hot(where: str, y: Tensor, classes: int) -> Tensor:
    """Integer labels ``(n,)`` as booleans ``(n, classes)``; a label out of range is of no class.

    Raises:
        ValueError: for anything but integers in one dimension.
    """
    if y.is_floating_point() or y.ndim > 1:
        raise ValueError(
            explain(
                f"{where}, y",
                expected="integer labels of shape (n,)",
                got=f"{str(y.dtype).removeprefix('torch.')} of shape {tuple(y.shape)}",
                remedy="Pass y.long(); vectors (n, c) of numbers need no classes=.",
            )
        )
    # Not torch's one_hot, which reads the labels' values and so can't be captured.
    return y[..., None] == torch.arange(classes, device=y.device)
