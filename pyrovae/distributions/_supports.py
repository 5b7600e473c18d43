"""Supports that torch has no constraint for: gray levels in [0, 1], the unit interval without its ends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from pyrovae.errors import explain

_OFF = 1e-2
"""How far from the grid, in steps, a value may lie: far more than float32 rounds of 65,536 levels."""


class Grid(Constraint):
    r"""The gray levels :math:`\{0, \tfrac{1}{L - 1}, \dots, 1\}`, up to rounding.

    Arguments:
        levels: L, from 2 on.

    Example:
        >>> import torch
        >>> Grid(4).check(torch.tensor([0.0, 1 / 3, 0.5, 1.0, 2.0]))
        tensor([ True,  True, False,  True, False])
    """

    is_discrete = True
    lower_bound, upper_bound = 0.0, 1.0

    def __init__(self, levels: int) -> None:
        self.levels = levels
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        steps = value * float(self.levels - 1)
        level = steps.round()
        return ((steps - level).abs() <= _OFF) & (level >= 0) & (level <= self.levels - 1)

    def __repr__(self) -> str:
        return f"Grid(levels={self.levels})"


class _OpenUnitInterval(Constraint):
    """The interval (0, 1), its ends left out."""

    lower_bound, upper_bound = 0.0, 1.0

    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1)


open_unit_interval = _OpenUnitInterval()


def level_of(value: Tensor, levels: int) -> Tensor:
    """Which level a value of the grid is, 0 to levels - 1, in a floating dtype."""
    return (value * float(levels - 1)).round()


def value_of(level: Tensor, levels: int) -> Tensor:
    """The value of a level, in [0, 1]."""
    return level / (levels - 1)


def all_values(levels: int, like: Tensor) -> Tensor:
    """The grid, ``(levels,)``, in the dtype and on the device of another tensor."""
    return value_of(torch.arange(levels, dtype=like.dtype, device=like.device), levels)


def check_levels(where: str, levels: int) -> None:
    """Raises ValueError for what is no number of levels."""
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
        raise ValueError(
            explain(
                f"{where}, levels",
                expected="a whole number of at least 2",
                got=repr(levels),
                remedy="Bytes have 256 levels.",
            )
        )
