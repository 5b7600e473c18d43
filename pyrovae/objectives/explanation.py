"""What an objective does at each latent site of a pair, as a table."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyrovae.distributions.unwrapping import family
from pyrovae.objectives.estimators import Estimator


class Row(NamedTuple):
    """One latent site.

    Attributes:
        site: its name.
        guide, prior: its distributions.
        estimator: of the gradient.
        unbiased: whether that estimate has the bound's gradient as its mean.
        term: how the site's term of the bound is computed.
        why: why the estimator was chosen.
    """

    site: str
    guide: Any
    prior: Any
    estimator: Estimator
    unbiased: bool
    term: str
    why: str


class Explanation(NamedTuple):
    """What is used at each latent site, and why.

    Attributes:
        objective: that was asked.
        rows: one for each latent site of the guide, in its order.
    """

    objective: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        head = ("site", "guide", "prior", "gradient", "unbiased", "term", "why")
        table = [
            (
                row.site,
                describe(row.guide),
                "-" if row.prior is None else describe(row.prior),
                repr(row.estimator),
                "yes" if row.unbiased else "no",
                row.term,
                row.why,
            )
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in (head, *table)) for i in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in (head, *table)
        ]
        return "\n".join([self.objective, *lines])


def describe(fn: Any) -> str:
    """A distribution's name and the shape of its event, ``Normal(8)``."""
    event = ", ".join(map(str, fn.event_shape))
    return f"{family(fn)}({event})"
