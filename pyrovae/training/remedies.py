"""What a likelihood takes, in words, and what helps where the data are something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyro.distributions import constraints
from torch import Tensor

from pyrovae.distributions._supports import Grid, open_unit_interval

_BYTES = "Divide by 255: transform=pyrovae.data.Pixels() for bytes (dtype uint8), x / 255 otherwise."


@dataclass(frozen=True)
class Range:
    """What data are like, entries that are missing left out.

    Attributes:
        low, high: their ends.
        whole: whether all are whole numbers.
    """

    low: float
    high: float
    whole: bool

    @classmethod
    def of(cls, value: Tensor) -> Range:
        """That of a tensor."""
        if value.is_floating_point():
            value = value[~value.isnan()]
        if not value.numel():
            return cls(float("nan"), float("nan"), False)
        low, high = value.min().item(), value.max().item()
        return cls(low, high, bool((value == value.round()).all()))

    def within(self, low: float, high: float) -> bool:
        """Whether all lie between two bounds, these included."""
        return low <= self.low and self.high <= high


def in_words(support: Any) -> str:
    """What an entry has to be.

    Example:
        >>> in_words(constraints.integer_interval(0, 9))
        'whole numbers from 0 to 9'
    """
    if support is constraints.boolean:
        return "0 or 1"
    if isinstance(support, Grid):
        return f"gray levels k / {support.levels - 1}, k = 0, ..., {support.levels - 1}"
    if support is open_unit_interval:
        return "values between 0 and 1, the ends left out"
    if isinstance(support, constraints.interval) and _is_plain(support):
        return f"values in [{support.lower_bound:g}, {support.upper_bound:g}]"
    if isinstance(support, constraints.integer_interval) and _is_plain(support):
        return f"whole numbers from {support.lower_bound:g} to {support.upper_bound:g}"
    if support is constraints.nonnegative_integer:
        return "whole numbers from 0 on"
    if support is constraints.positive:
        return "positive values"
    if support is constraints.nonnegative:
        return "values from 0 on"
    return f"values in {support}"


def remedy(support: Any, found: Range) -> str:
    """What to do about data of such a range under a likelihood of such a support.

    Example:
        >>> remedy(constraints.unit_interval, Range(0.0, 255.0, True))
        'Divide by 255: transform=pyrovae.data.Pixels() for bytes (dtype uint8), x / 255 otherwise.'
    """
    if support is constraints.boolean:
        return _for_binary(found)
    if isinstance(support, Grid):
        return _for_levels(support.levels, found)
    if support is open_unit_interval:
        return _for_open_interval(found)
    if support is constraints.unit_interval or _has_bounds(support, 0, 1):
        return _for_unit_interval(found)
    if _has_bounds(support, -1, 1):
        return _for_waveforms(found)
    if isinstance(support, constraints.integer_interval) and _is_plain(support):
        return _for_codes(support, found)
    if support is constraints.nonnegative_integer:
        return (
            "Give counts as they were counted, from 0 on, before any logarithm or normalisation; for "
            "other values choose a likelihood with their support."
        )
    if support is constraints.positive and found.low == 0:
        return "A zero has no density under it: choose a likelihood that has zeros, or shift the data."
    return "Transform the data, or choose a likelihood with their support."


def _for_binary(found: Range) -> str:
    if found.within(0, 1):
        return (
            "Gray values have no density under it: binarise with transform=pyrovae.data.Binarize() (a fresh "
            "draw at every use) or pyrovae.data.Threshold(0.5), or take a likelihood of gray values: "
            "heads.ContinuousBernoulli, heads.DiscretisedLogistic."
        )
    return (
        "Scale to [0, 1] first (pyrovae.data.Pixels() for 0..255), then binarise with "
        "pyrovae.data.Binarize() or pyrovae.data.Threshold(0.5)."
    )


def _for_levels(levels: int, found: Range) -> str:
    if found.within(0, 1):
        return (
            f"They lie in [0, 1], but not all on multiples of 1/{levels - 1}: set levels= to the number of "
            "gray values that the data have, without Dequantize() or interpolation; or take a likelihood of "
            "any gray value, such as heads.ContinuousBernoulli."
        )
    if found.whole and found.within(0, levels - 1):
        return _BYTES if levels == 256 else f"Divide by {levels - 1}, so that they lie in [0, 1]."
    return _for_unit_interval(found)


def _for_open_interval(found: Range) -> str:
    if not found.within(0, 1):
        return _for_unit_interval(found)
    return (
        "At 0 and 1 its density is zero or infinite: spread gray levels with "
        "transform=pyrovae.data.Dequantize(levels=...), shrink proportions of n cases to "
        "(x * (n - 1) + 0.5) / n, or take heads.ContinuousBernoulli, which has the ends."
    )


def _for_unit_interval(found: Range) -> str:
    if found.within(-1, 1):
        return "Move them from [-1, 1] to [0, 1]: (x + 1) / 2."
    if found.within(0, 255):
        return _BYTES
    return "Scale them to [0, 1], or choose a likelihood of real values, such as heads.IsotropicNormal."


def _for_waveforms(found: Range) -> str:
    if found.whole and found.within(-32768, 32767):
        return "Divide 16-bit samples by 32768."
    return "Scale waveforms by their largest amplitude: x / x.abs().max()."


def _for_codes(support: Any, found: Range) -> str:
    low, high = support.lower_bound, support.upper_bound
    if found.whole and found.low >= low:
        return f"Categories are numbered from {low:g}: the likelihood needs {found.high - low + 1:g} of them."
    if found.whole:
        return f"Number the categories from {low:g} on; missing ones are NaN, under heads.Masked."
    if found.within(0, 1) and low == 0:
        return (
            f"Give the numbers of the categories; for gray levels in [0, 1] it is "
            f"heads.PixelCategorical(levels={high + 1:g})."
        )
    return f"Give the numbers of the categories, {low:g} to {high:g}."


def _has_bounds(support: Any, low: float, high: float) -> bool:
    return (
        isinstance(support, constraints.interval)
        and _is_plain(support)
        and (support.lower_bound, support.upper_bound) == (low, high)
    )


def _is_plain(support: Any) -> bool:
    """Whether its bounds are numbers, the same for each datum."""
    return not any(isinstance(bound, Tensor) for bound in (support.lower_bound, support.upper_bound))


def likewise(support: Any) -> str:
    """Which heads make posteriors of a support, as the end of a sentence.

    Example:
        >>> likewise(constraints.simplex)
        ': pyrovae.heads.LogisticNormal() or Dirichlet()'
    """
    for known, heads in _POSTERIORS:
        if support is known or getattr(support, "base_constraint", None) is known:
            return f": pyrovae.heads.{heads}"
    return ""


_POSTERIORS = (
    (constraints.sphere, "VonMisesFisher()"),
    (constraints.simplex, "LogisticNormal() or Dirichlet()"),
    (constraints.one_hot, "OneHot()"),
    (constraints.boolean, "Bernoulli()"),
    (constraints.unit_interval, "Beta() or RelaxedBernoulli(0.5)"),
)
