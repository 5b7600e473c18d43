"""The loc and scale of a diagonal normal, whatever is wrapped around it."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Normal

from pyrovae.distributions.unwrapping import family, unwrapped
from pyrovae.errors import explain
from pyrovae.types import Distribution


def loc_and_scale(where: str, distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Of a normal with an event ``(d,)``: both ``(..., d)``.

    Raises:
        TypeError: for any other distribution.
    """
    base = unwrapped(distribution)
    if not isinstance(base, Normal):
        raise TypeError(
            explain(
                where,
                expected="a diagonal normal",
                got=family(base),
                remedy="Take heads.normal, priors.StandardNormal or priors.DiagonalNormal.",
            )
        )
    if len(distribution.event_shape) != 1:
        raise TypeError(
            explain(
                where,
                expected="a normal of vectors, an event (d,)",
                got=f"event shape {tuple(distribution.event_shape)}",
                remedy="Flatten what makes it, and leave event_dim at 1.",
            )
        )
    return base.loc, base.scale
