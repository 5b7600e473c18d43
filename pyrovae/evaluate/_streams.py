"""Means over particles that arrive in chunks, in float64 and constant memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def double(values: Tensor) -> Tensor:
    """On the CPU, in float64 (not every device has it)."""
    return values.cpu().double()


class LogMeanExp:
    r"""The log of a mean of weights given by their logs, ``(particles, n)`` at a time.

    Kept are the largest log-weight m so far and the sums of :math:`e^{w - m}` and :math:`e^{2 (w - m)}`,
    brought to the new m whenever it grows.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = torch.tensor(-math.inf, dtype=torch.float64)
        self.first = self.second = torch.tensor(0.0, dtype=torch.float64)

    def add(self, log_weight: Tensor) -> None:
        """Takes another chunk of log-weights in."""
        log_weight = double(log_weight)
        largest = torch.maximum(self.largest, log_weight.amax(0))
        # Where all weights so far are zero the shift is arbitrary; -inf - -inf would be NaN.
        shift = torch.where(largest == -math.inf, 0.0, largest)
        shrink = (self.largest - shift).exp()
        relative = (log_weight - shift).exp()
        self.first = self.first * shrink + relative.sum(0)
        self.second = self.second * shrink**2 + relative.square().sum(0)
        self.largest, self.count = largest, self.count + len(log_weight)

    @property
    def value(self) -> Tensor:
        """log (1/K) sum w, ``(n,)``."""
        return self.largest + self.first.log() - math.log(self.count)

    @property
    def effective_sample_size(self) -> Tensor:
        """(sum w)^2 / sum w^2, ``(n,)``, between 1 and K."""
        return self.first.square() / self.second

    @property
    def standard_error(self) -> Tensor:
        """The delta method's standard error of the value: the coefficient of variation of the mean weight."""
        if self.count < 2:
            return torch.full_like(self.first, math.nan)
        return ((self.count / self.effective_sample_size - 1).clamp(min=0) / (self.count - 1)).sqrt()


class Mean:
    """A mean and its standard error, ``(particles, ...)`` at a time.

    Kept are the first and second moment about the first chunk's mean, so that little cancels.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shift = self.first = self.second = torch.tensor(0.0, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Takes another chunk in."""
        values = double(values)
        if not self.count:
            self.shift = values.mean(0)
        centred = values - self.shift
        self.first = self.first + centred.sum(0)
        self.second = self.second + centred.square().sum(0)
        self.count += len(values)

    @property
    def value(self) -> Tensor:
        """The mean."""
        return self.shift + self.first / self.count

    @property
    def standard_error(self) -> Tensor:
        """The standard error of the mean, NaN for a single value."""
        if self.count < 2:
            return torch.full_like(self.first, math.nan)
        variance = (self.second - self.first.square() / self.count).clamp(min=0) / (self.count - 1)
        return (variance / self.count).sqrt()
