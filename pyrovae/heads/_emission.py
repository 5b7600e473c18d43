"""What autoregressive heads ask of their emission, the head of one element: its outputs, values and draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrovae.distributions.autoregressive import Pick
from pyrovae.errors import explain
from pyrovae.heads.bernoulli import Bernoulli
from pyrovae.heads.categorical import Categorical
from pyrovae.types import Distribution, Head


@dataclass(frozen=True)
class Elements:
    """What an emission makes.

    Attributes:
        outputs: how many of the network it takes for one element.
        low, high: the bounds of a value, None where there are none.
        categories: how many values there are, where they are 0, 1, ..., K - 1; else None.
        entrywise: whether each entry of an element has the same support, whatever the others.
    """

    outputs: int
    low: float | None
    high: float | None
    categories: int | None
    entrywise: bool

    def scaled(self, x: Tensor) -> Tensor:
        """Values as a network likes them: in [-1, 1] where they have bounds, by log where they have one."""
        if self.low is None:
            return x
        if self.high is None:
            return (x - self.low).log1p()
        slope = 2 / (self.high - self.low)
        return x * slope - (slope * self.low + 1)


def elements(where: str, emission: Head, size: int, *, event_dim: int) -> Elements:
    """Reads off an emission what its elements of ``size`` entries are.

    Raises:
        TypeError: no head.
        ValueError: a head of another event dim, or of elements of another size.
    """
    like = "heads.Bernoulli()" if event_dim == 1 else f"heads.Bernoulli(event_dim={event_dim})"
    if not (callable(emission) and hasattr(emission, "features") and hasattr(emission, "event_dim")):
        raise TypeError(
            explain(
                f"{where}, emission",
                expected="a head: what makes one element's distribution",
                got=repr(emission),
                remedy=f"Pass {like}, say.",
            )
        )
    if emission.event_dim != event_dim:
        raise ValueError(
            explain(
                f"{where}, emission",
                expected=f"a head with event_dim={event_dim}",
                got=repr(emission),
                remedy=f"Pass {like}, say.",
            )
        )
    outputs = emission.features(size)
    made = emission(torch.zeros(outputs, *[1] * (event_dim - 1)))
    if made.event_shape != (size, *[1] * (event_dim - 1)):
        raise ValueError(
            explain(
                f"{where}, emission",
                expected=f"a head of elements of size {size}",
                got=f"events of shape {tuple(made.event_shape)}",
                remedy="Give it the size of one element of the data.",
            )
        )
    entry = each(made.support)
    low, high = _bound(entry, "lower_bound"), _bound(entry, "upper_bound")
    if entry is constraints.boolean:
        low, high = 0.0, 1.0
    categories = None
    if isinstance(entry, constraints.integer_interval) and low == 0 and high is not None:
        categories = int(high) + 1
    return Elements(outputs, low, high, categories, entry.event_dim == 0)


def drawing(emission: Head, pick: Pick | None) -> Callable[[Tensor], Tensor]:
    """What makes an element ``(m, entries)`` of what the network gives for it, ``(m, outputs)``.

    Arguments:
        pick: from an element's distribution to the element; None draws it. The draws of the two commonest
            emissions cost a tenth of making their distributions, which would be felt in each pixel.
    """
    if pick is None and type(emission) is Bernoulli:
        return _zeros_and_ones
    if pick is None and type(emission) is Categorical:
        return partial(_codes, emission.categories)
    return partial(_picked, emission, pick or _sampled)


def _zeros_and_ones(logits: Tensor) -> Tensor:
    return torch.bernoulli(logits.sigmoid())


def _codes(categories: int, logits: Tensor) -> Tensor:
    return torch.multinomial(logits.reshape(-1, categories).softmax(-1), 1).reshape(len(logits), -1)


def _sampled(distribution: Distribution) -> Tensor:
    drawn: Tensor = distribution.sample()
    return drawn


def _picked(emission: Any, pick: Pick, outputs: Tensor) -> Tensor:
    places = [1] * (emission.event_dim - 1)
    return pick(emission(outputs.reshape(*outputs.shape, *places))).flatten(1)


def precise(outputs: Tensor) -> Tensor:
    """In single precision at least: under autocast a sum of many log probabilities would be rounded away."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def each(support: Any) -> Any:
    """The support of one entry, where all entries have the same; else the support as it is."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def _bound(support: Any, name: str) -> float | None:
    bound = getattr(support, name, None)
    if isinstance(bound, Tensor):
        return bound.item() if bound.numel() == 1 else None
    return None if bound is None else float(bound)
