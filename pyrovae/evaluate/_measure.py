"""What is kept of a draw, and how it is seen that something is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from pyrovae.errors import explain
from pyrovae.evaluate._draw import Draw

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Measure(Generic[Measured]):
    """A function of a draw, apart from the look at its values, which no graph can take.

    Attributes:
        compute: what is kept of a draw.
        is_suspect: whether something may be wrong, by what is kept alone.
        check: raises an error that names the site, if something is.
    """

    compute: Callable[[Draw], Measured]
    is_suspect: Callable[[Measured], bool]
    check: Callable[[Draw], None]

    def __call__(self, draw: Draw) -> Measured:
        """What is kept of a draw, looked at.

        Raises:
            ValueError: naming the site whose log-probability is NaN or an infinity that it must not be.
        """
        measured = self.compute(draw)
        if self.is_suspect(measured):
            self.check(draw)
        return measured


def _is_suspect(log_weight: Tensor) -> bool:
    return not (log_weight < math.inf).all()


def _check(draw: Draw) -> None:
    joint, guide = draw.log_probs()
    check_numbers(joint, math.inf)
    check_numbers(guide, -math.inf)


LOG_WEIGHT = Measure(Draw.log_weight, _is_suspect, _check)
"""log p(x, z) - log q(z | x): ``(particles, data)``."""


def check_numbers(terms: Mapping[str, Tensor], wrong: float = math.nan) -> None:
    """Complains of the first term that is NaN, or the infinity that is wrong for it.

    Raises:
        ValueError: naming the term.
    """
    for where, term in terms.items():
        bad = term.isnan() | (term == wrong)
        if bad.any():
            raise ValueError(
                explain(
                    where,
                    expected="log-probabilities that are numbers",
                    got=f"{term[bad][0].item()} for {int(bad.any(0).sum())} of the data",
                    remedy="Look for NaN in the data, and for weights that have diverged in training.",
                )
            )
