"""What stationary kernels have in common: positive numbers, one for all dimensions or one for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.errors import explain

Positive = float | Sequence[float]
"""A number for all latent dimensions, or a sequence with one for each."""


class Stationary(nn.Module):
    """A kernel of the difference of two times, whose numbers are learned on the log scale, or stay.

    Arguments:
        learn: whether the numbers are parameters, or buffers.
        numbers: positive ones by name; of each, ``log_<name>`` holds the logarithm.
    """

    def __init__(self, learn: bool, **numbers: Positive) -> None:
        super().__init__()
        self.learn = learn
        self._names = tuple(numbers)
        for name, number in numbers.items():
            kept = _positive(f"{type(self).__name__}, {name}", number)
            setattr(self, name, kept)
            log = torch.tensor(kept).log()
            if learn:
                self.register_parameter(f"log_{name}", nn.Parameter(log))
            else:
                self.register_buffer(f"log_{name}", log)
        sizes = {len(getattr(self, name)) for name in numbers if not isinstance(getattr(self, name), float)}
        if len(sizes) > 1:
            raise ValueError(
                explain(
                    type(self).__name__,
                    expected="as many numbers of each kind, one for each dimension",
                    got=f"{sorted(sizes)}",
                    remedy="A single number serves all dimensions.",
                )
            )

    def now(self, name: str, difference: Tensor) -> Tensor:
        """A number as it is now, with so many dimensions at its end that it multiplies the differences."""
        log: Tensor = getattr(self, f"log_{name}")
        return log.exp().reshape(log.shape + (1,) * difference.ndim)

    def extra_repr(self) -> str:
        numbers = (f"{name}={_shown(getattr(self, f'log_{name}').exp())}" for name in self._names)
        return f"{', '.join(numbers)}, learn={self.learn}"


def _positive(where: str, number: Any) -> float | tuple[float, ...]:
    several = isinstance(number, Sequence) and not isinstance(number, str)
    values = list(number) if several else [number]
    if not values or not all(_is_positive(value) for value in values):
        raise ValueError(
            explain(
                where,
                expected="a positive number, or a sequence with one for each latent dimension",
                got=repr(number),
                remedy="Give it in the units of the times, such as 1.0 or [1.0, 10.0].",
            )
        )
    return tuple(map(float, values)) if several else float(values[0])


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value > 0 and math.isfinite(value)


def _shown(values: Tensor) -> str:
    numbers = [f"{value:.4g}" for value in values.reshape(-1).tolist()]
    return numbers[0] if values.ndim == 0 else f"[{', '.join(numbers)}]"
