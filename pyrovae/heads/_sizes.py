"""Sizes that the autoregressive heads are built with, checked."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyrovae.errors import explain


def positive(where: str, **sizes: int) -> None:
    """Raises ValueError for what is not a positive whole number."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(
                explain(
                    f"{where}, {name}",
                    expected="a positive whole number",
                    got=repr(size),
                    remedy=f"Try {where}(..., {name}=8).",
                )
            )


def check_features(where: str, d: int, own: int, context: int) -> int:
    """The number of features of a head whose events have a size of their own.

    Raises:
        ValueError: for events of another size.
    """
    if d != own:
        raise ValueError(
            explain(
                f"{where}.features",
                expected=f"events of first dimension {own}, for which it was built",
                got=str(d),
                remedy="Build it for the data's size.",
            )
        )
    return context


def check_context(where: str, t: Tensor, context: int) -> None:
    """Raises ValueError for what is no vector of that many features."""
    if t.ndim < 1 or t.shape[-1] != context:
        raise ValueError(
            explain(
                where,
                expected=f"features of shape (..., {context})",
                got=str(tuple(t.shape)),
                remedy="Let the decoder have as many outputs as the head has context.",
            )
        )


def require_entrywise(where: str, entrywise: bool, emission: Any) -> None:
    """Raises ValueError for an emission whose element isn't one number of a support of its own."""
    if not entrywise:
        raise ValueError(
            explain(
                f"{where}, emission",
                expected="a head of single numbers",
                got=repr(emission),
                remedy="Take an elementwise one, as heads.Bernoulli() is.",
            )
        )
