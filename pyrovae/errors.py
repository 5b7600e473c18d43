"""How pyrovae words a complaint: where, what was expected, what came, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def explain(where: str, *, expected: str, got: str, remedy: str) -> str:
    """One message of the house's form.

    Example:
        >>> explain("batch_size", expected="a positive integer", got="0", remedy="Try 128.")
        'batch_size: expected a positive integer, got 0. Try 128.'
    """
    return f"{where}: expected {expected}, got {got}. {remedy}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest known word, and all of them where none is close.

    Example:
        >>> nearest("bernouli", ["normal", "bernoulli"])
        "Did you mean 'bernoulli'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
