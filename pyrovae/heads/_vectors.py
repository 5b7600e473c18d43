"""A network's output for one vector, cut into parts of different sizes."""

from __future__ import annotations

from torch import Tensor

from pyrovae.errors import explain


def last(t: Tensor) -> int:
    """The size of the last dimension; 0 where there is none."""
    return t.shape[-1] if t.ndim else 0


def misfit(where: str, t: Tensor, needs: str, remedy: str) -> ValueError:
    """The complaint about an output of a wrong size.

    Arguments:
        needs: what is needed along the last dimension, with the reason.
    """
    return ValueError(
        explain(
            where,
            expected=f"a network output with {needs} entries along its last dimension",
            got=f"shape {tuple(t.shape)}",
            remedy=remedy,
        )
    )


def entries(where: str, d: int, least: int = 1) -> int:
    """The number of an event's entries, checked.

    Raises:
        ValueError: for fewer than the least, or what is no whole number.
    """
    if isinstance(d, bool) or not isinstance(d, int) or d < least:
        raise ValueError(
            explain(
                f"{where}.features",
                expected=f"a whole number of entries, {least} or more",
                got=repr(d),
                remedy="Pass the size of the latent vector.",
            )
        )
    return d
