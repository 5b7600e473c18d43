"""Whether programs that run when a site is enumerated also compute what they would, value by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Latent, Term
from pyrovae.objectives.estimators import Drawn, Estimator, Setting


class _Given(Estimator):
    """A value that is there already."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        value, shape = self.value, fn.shape()
        while value.dim() > len(shape) and value.shape[0] == 1:
            value = value.squeeze(0)
        return Drawn(value.expand(shape))


def disagreement(drawn: Draw, redrawn: Callable[[Any], Draw]) -> str | None:
    """Why a draw with enumerated sites can't be trusted, or None.

    The last of all combinations is taken out of it, the programs are run on those values alone, and the terms
    are compared.

    Arguments:
        redrawn: draws again, with another choice of estimators.
    """
    places = {latent.enumerated: _count(latent) - 1 for latent in drawn.latents if latent.enumerated}
    given = {
        latent.name: _Given(_picked(latent.value, places, len(latent.guide.event_shape)))
        for latent in drawn.latents
    }
    alone = redrawn(lambda name, fn, infer: (given[name], "given"))
    for one, other in zip(_ordered(drawn), _ordered(alone), strict=True):
        together = _picked(one.value, places, 0)
        if not torch.allclose(together, other.value.expand(together.shape), rtol=1e-3, atol=1e-4):
            return f"site {one.name!r} comes out otherwise for one value alone"
    return None


def _ordered(drawn: Draw) -> list[Term]:
    return [*drawn.likelihood, *drawn.priors.values(), *drawn.posteriors.values()]


def _count(latent: Latent) -> int:
    dim = latent.enumerated or 0
    return latent.value.shape[dim - len(latent.guide.event_shape)]


def _picked(value: Tensor, places: dict[int, int], event_dim: int) -> Tensor:
    """One entry along each enumerated dimension, of size one then."""
    for dim, place in places.items():
        at = dim - event_dim
        if -at <= value.dim():
            value = value.narrow(at, place if value.shape[at] > 1 else 0, 1)
    return value
