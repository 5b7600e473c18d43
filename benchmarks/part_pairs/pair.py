"""A pair: one part's work twice, by pyrovae and by hand, with the same weights and the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

Work = Callable[[], tuple[Tensor, ...]]
"""Does the work once; gives values and gradients."""


class Pair(NamedTuple):
    """Both sides. They give the same tensors, up to rounding, after the same seed.

    Attributes:
        what: the work and its sizes, for the table.
        pyrovae, hand: the two sides.
        other: a third way by hand, for scale, and what it is called.
        tolerance: how far apart they may be in double precision: more where formulas by hand approximate.
    """

    what: str
    pyrovae: Work
    hand: Work
    other: tuple[str, Work] | None = None
    tolerance: float = 1e-9


Maker = Callable[[bool], Pair]


def graded(outputs: Callable[[], Tensor | tuple[Tensor, ...]], leaves: Iterable[Tensor]) -> Work:
    """Outputs, and the gradients of their sum by the leaves: forward and backward."""
    leaves = tuple(leaves)

    def work() -> tuple[Tensor, ...]:
        made = outputs()
        made = made if isinstance(made, tuple) else (made,)
        total = sum((part.sum() for part in made[1:]), start=made[0].sum())
        return (*(part.detach() for part in made), *torch.autograd.grad(total, leaves))

    return work


def drawn(sample: Callable[[], Tensor]) -> Work:
    """Draws alone."""
    return lambda: (sample(),)


def leaf(*shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers, with a gradient."""
    return (scale * torch.randn(*shape)).requires_grad_()


def alike(hand: Iterable[Tensor], pyrovae: Iterable[Tensor]) -> None:
    """Gives the parameters by hand the values of pyrovae's, which come in the same order."""
    with torch.no_grad():
        for mine, theirs in zip(hand, pyrovae, strict=True):
            if mine.shape != theirs.shape:
                raise ValueError(f"parameters of shapes {tuple(mine.shape)} and {tuple(theirs.shape)}")
            mine.copy_(theirs)


def roughened(module: nn.Module) -> nn.Module:
    """The same with numbers of size 0.2 in place of parameters that start at zero or nearly so."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.abs().max() < 0.02:
                parameter.normal_(std=0.2)
    return module
