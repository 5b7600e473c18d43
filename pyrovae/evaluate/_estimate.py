"""A mean over data with its standard error."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A mean over data, and the standard error that the choice of the data gives it.

    Attributes:
        value: nats per datum.
        standard_error: the standard deviation over data over the square root of their number; NaN for one.

    Example:
        >>> Estimate(-98.21, 0.347)
        -98.210 ± 0.347
    """

    value: float
    standard_error: float

    @classmethod
    def over_data(cls, values: Tensor) -> Estimate:
        """Of per-datum values ``(n,)``."""
        error = torch.std(values) / math.sqrt(len(values)) if len(values) > 1 else torch.tensor(math.nan)
        return cls(values.mean().item(), error.item())

    def __repr__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f}"
