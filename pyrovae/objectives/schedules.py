"""Schedules: a weight, a temperature or a capacity as a function of the number of steps taken so far."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from pyrovae.errors import explain

Every = Literal["step", "epoch"]


class Schedule(ABC):
    r"""A number that changes from ``start`` to ``end`` while training goes on.

    .. math:: v(t) = \mathrm{start} + (\mathrm{end} - \mathrm{start})\, r(t / T)

    with :math:`r` from 0 to 1, :math:`t` the steps taken and :math:`T` the length. The count of steps is a
    tensor in the state of the objective, so that the value is computed inside the step: it is saved and
    resumed with the objective, and no change of it makes a captured step anew.

    Arguments:
        start, end: the first value and the last.
        steps: how many steps it takes; or
        epochs: how many passes over the data, where :func:`pyrovae.fit` trains, which knows their length.
        delay: how much is waited before it begins, in the same unit.
        every: "step" changes it at each step, "epoch" once a pass, at its beginning.

    Raises:
        ValueError: unless exactly one of ``steps`` and ``epochs`` is a positive number.
    """

    def __init__(
        self,
        start: float,
        end: float,
        *,
        steps: float | None = None,
        epochs: float | None = None,
        delay: float = 0.0,
        every: Every = "step",
    ) -> None:
        name = type(self).__name__
        length = epochs if steps is None else steps
        if (steps is None) == (epochs is None) or length is None or not 0 < length < math.inf:
            raise ValueError(
                explain(
                    name,
                    expected="a length, either steps or epochs, a positive number",
                    got=f"steps={steps}, epochs={epochs}",
                    remedy=f"Try {name}({start}, {end}, epochs=10).",
                )
            )
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError(
                explain(f"{name}", expected="finite values", got=f"{start}, {end}", remedy="Try 0.0, 1.0.")
            )
        if not (delay >= 0 and math.isfinite(delay)):
            raise ValueError(
                explain(f"{name}, delay", expected="0 or more", got=repr(delay), remedy="Leave it out.")
            )
        if every not in ("step", "epoch"):
            raise ValueError(
                explain(
                    f"{name}, every",
                    expected='"step" or "epoch"',
                    got=repr(every),
                    remedy="Leave it out for a change at every step.",
                )
            )
        self.start, self.end, self.steps, self.epochs = start, end, steps, epochs
        self.delay, self.every = delay, every
        self._steps_per_epoch: float | None = None
        self._check()

    def _check(self) -> None:  # noqa: B027 (most have nothing to check)
        """Refuses values that the curve can't join."""

    @property
    def needs_epochs(self) -> bool:
        """Whether it must know how many steps an epoch has."""
        return self.epochs is not None or self.every == "epoch"

    def begin(self, steps_per_epoch: float) -> None:
        """Tells how many steps a pass over the data takes."""
        self._steps_per_epoch = float(steps_per_epoch)

    @property
    def length(self) -> float:
        """How many steps it takes until nothing changes any more, the delay included."""
        return self._in_steps(self.epochs if self.steps is None else self.steps) + self._in_steps(self.delay)

    def at(self, step: Tensor) -> Tensor:
        """The value at a number of steps, a scalar tensor; differentiable in nothing.

        Raises:
            ValueError: when it counts epochs and doesn't know their length.
        """
        time = step.to(torch.get_default_dtype())
        if self.every == "epoch":
            per_epoch = self._in_steps(1.0, unit="epochs")
            time = torch.floor(time / per_epoch) * per_epoch
        length = self._in_steps(self.epochs if self.steps is None else self.steps)
        passed = ((time - self._in_steps(self.delay)) / length).clamp(min=0.0)
        return self.start + (self.end - self.start) * self.progress(passed)

    @abstractmethod
    def progress(self, passed: Tensor) -> Tensor:
        """From 0 to 1, for the part of the length that has passed, 0 or more."""

    def _in_steps(self, amount: float | None, unit: str | None = None) -> float:
        unit = unit or ("epochs" if self.steps is None else "steps")
        if unit == "steps":
            return float(amount or 0.0)
        if self._steps_per_epoch is None:
            raise ValueError(
                explain(
                    repr(self),
                    expected="to know how many steps an epoch has",
                    got="a schedule in epochs outside pyrovae.fit",
                    remedy="Give it in steps=, or call objective.begin(steps_per_epoch) first.",
                )
            )
        return float(amount or 0.0) * self._steps_per_epoch

    def __repr__(self) -> str:
        length = f"epochs={self.epochs}" if self.steps is None else f"steps={self.steps}"
        more = "".join(
            f", {name}={value!r}"
            for name, value in (("delay", self.delay), ("every", self.every))
            if value not in (0.0, "step")
        )
        return f"{type(self).__name__}({self.start}, {self.end}, {length}{more}{self._more()})"

    def _more(self) -> str:
        """Further arguments, for repr."""
        return ""


class Linear(Schedule):
    r"""In a straight line: :math:`r(u) = \min(u, 1)`.

    References:
        Bowman et al., 2016, Generating Sentences from a Continuous Space, https://arxiv.org/abs/1511.06349

    Example:
        >>> import torch
        >>> beta = Linear(0.0, 1.0, steps=100)
        >>> [round(beta.at(torch.tensor(step)).item(), 2) for step in (0, 25, 100, 500)]
        [0.0, 0.25, 1.0, 1.0]
    """

    def progress(self, passed: Tensor) -> Tensor:
        return passed.clamp(max=1.0)


class Sigmoid(Schedule):
    r"""Along a logistic curve, scaled to begin at 0 and end at 1.

    .. math:: r(u) = \frac{\sigma(k (u - 1/2)) - \sigma(-k/2)}{\sigma(k/2) - \sigma(-k/2)}, \quad k = 12

    References:
        Bowman et al., 2016, Generating Sentences from a Continuous Space, https://arxiv.org/abs/1511.06349

    Example:
        >>> import torch
        >>> beta = Sigmoid(0.0, 1.0, steps=100)
        >>> [round(beta.at(torch.tensor(step)).item(), 2) for step in (0, 25, 50, 100)]
        [0.0, 0.05, 0.5, 1.0]
    """

    steepness = 12.0

    def progress(self, passed: Tensor) -> Tensor:
        half = self.steepness / 2
        lowest = 1 / (1 + math.exp(half))
        curve = torch.sigmoid(self.steepness * (passed.clamp(max=1.0) - 0.5))
        return ((curve - lowest) / (1 - 2 * lowest)).clamp(min=0.0)


class Cyclical(Schedule):
    r"""Several rises, one after the other; after the last one it stays at the end.

    In each of ``cycles`` equal parts it rises in a straight line for ``rising`` of the part and stays for the
    rest: :math:`r = \min(c / \mathrm{rising}, 1)` with :math:`c` the part of the cycle that has passed.

    References:
        Fu et al., 2019, Cyclical Annealing Schedule, https://arxiv.org/abs/1903.10145

    Example:
        >>> import torch
        >>> beta = Cyclical(0.0, 1.0, steps=100, cycles=2)
        >>> [round(beta.at(torch.tensor(step)).item(), 2) for step in (0, 20, 40, 50, 60, 100)]
        [0.0, 0.8, 1.0, 0.0, 0.4, 1.0]
    """

    def __init__(
        self,
        start: float,
        end: float,
        *,
        steps: float | None = None,
        epochs: float | None = None,
        delay: float = 0.0,
        every: Every = "step",
        cycles: int = 4,
        rising: float = 0.5,
    ) -> None:
        super().__init__(start, end, steps=steps, epochs=epochs, delay=delay, every=every)
        if cycles < 1 or not 0 < rising <= 1:
            raise ValueError(
                explain(
                    "Cyclical",
                    expected="at least one cycle, and a rising part in (0, 1]",
                    got=f"cycles={cycles}, rising={rising}",
                    remedy="Try cycles=4, rising=0.5.",
                )
            )
        self.cycles, self.rising = cycles, rising

    def _more(self) -> str:
        return f", cycles={self.cycles}, rising={self.rising}"

    def progress(self, passed: Tensor) -> Tensor:
        cycle = torch.remainder(passed * self.cycles, 1.0) / self.rising
        return torch.where(passed >= 1.0, torch.ones_like(passed), cycle.clamp(max=1.0))


class Exponential(Schedule):
    r"""From one positive value to another by the same factor at each step, as temperatures are annealed.

    .. math:: v(t) = \mathrm{start}^{1 - u}\, \mathrm{end}^{u}, \qquad u = \min(t / T, 1)

    References:
        Jang, Gu and Poole, 2017, Categorical Reparameterization with Gumbel-Softmax,
        https://arxiv.org/abs/1611.01144

    Example:
        >>> import torch
        >>> temperature = Exponential(1.0, 0.25, steps=100)
        >>> [round(temperature.at(torch.tensor(step)).item(), 2) for step in (0, 50, 100)]
        [1.0, 0.5, 0.25]
    """

    def _check(self) -> None:
        if not (self.start > 0 and self.end > 0) or self.start == self.end:
            raise ValueError(
                explain(
                    "Exponential",
                    expected="two different positive values",
                    got=f"{self.start}, {self.end}",
                    remedy="Try Exponential(1.0, 0.5, epochs=20).",
                )
            )

    def progress(self, passed: Tensor) -> Tensor:
        value = self.start * torch.exp(passed.clamp(max=1.0) * math.log(self.end / self.start))
        return (value - self.start) / (self.end - self.start)


def weight(name: str, value: float | Schedule) -> float | Schedule:
    """A weight: 0 or more, or a schedule.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, Schedule):
        return value
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(
            explain(name, expected="a number, 0 or more, or a schedule", got=repr(value), remedy="Try 1.0.")
        )
    return float(value)
