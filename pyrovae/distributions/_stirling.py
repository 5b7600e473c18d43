"""Stirling's series of the log-gamma function, in place of the function itself.

Differences of log-gammas are taken by it for arguments that are moved up by a whole number first. So nothing
large is subtracted, and derivatives cost no digammas, one of which takes a CPU as long as a hundred products.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SINGLE = (2, (0.08333274523, -0.002757490388, 0.0006096064539))
"""By how much arguments are moved, and coefficients fitted to all from there on: within 4.1e-8."""
_DOUBLE = (
    8,
    (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400),
)
"""The same, with the series' own coefficients: within 1e-16."""


def series(dtype: torch.dtype) -> tuple[int, tuple[float, ...]]:
    """By how much arguments are to be moved, and the coefficients that then make it exact to rounding."""
    return _DOUBLE if dtype == torch.float64 else _SINGLE


def delta(z: Tensor, terms: tuple[float, ...]) -> Tensor:
    r"""What Stirling's formula :math:`(z - \frac12) \log z - z + \frac12 \log 2 \pi` lacks."""
    inverse = z.reciprocal()
    square = inverse.square()
    total = square * terms[-1] + terms[-2]
    for term in reversed(terms[:-2]):
        total = total * square + term
    return total * inverse
