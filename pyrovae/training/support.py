"""Data against the support of the site that observes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor
from torch.distributions import Independent, constraints

from pyrovae.errors import explain
from pyrovae.types import Batch

_FIXED = (
    constraints.boolean,
    constraints.unit_interval,
    constraints.nonnegative_integer,
    constraints.nonnegative,
    constraints.positive,
)


class Support(NamedTuple):
    """What a tensor of the batch has to satisfy, whatever the datum.

    Attributes:
        position: the tensor's, in the batch.
        site: the site that observes it.
        constraint: the support of that site's distribution, entry by entry.
    """

    position: int
    site: str
    constraint: Any


def check_observed(name: str, site: Any) -> None:
    """Holds one batch against its site: the shape of the likelihood, and its support.

    Raises:
        ValueError: when one of them does not fit.
    """
    fn, value = site["fn"], site["value"]
    if tuple(fn.shape()) != tuple(value.shape):
        raise ValueError(
            explain(
                f"model, site {name!r}",
                expected=f"data of the likelihood's shape {tuple(fn.shape())}",
                got=f"data of shape {tuple(value.shape)}",
                remedy="Make the decoder's output as large as a datum, and mind .to_event of images.",
            )
        )
    if fn.support.check(value).all():
        return
    problem = _outside(name, type(_base(fn)).__name__, fn.support, value)
    if _is_unchecked(fn):
        warnings.warn(f"{problem} (It was told validate_args=False.)", stacklevel=2)
    else:
        raise problem


def check_latent(name: str, site: Any) -> None:
    """Holds what the guide has drawn against the support of the model's site.

    Raises:
        ValueError: when the guide leaves it; the ELBO would be minus infinity there.
    """
    fn, value = site["fn"], site["value"]
    if fn.support.check(value).all() or _is_unchecked(fn):
        return
    raise ValueError(
        explain(
            f"guide, site {name!r}",
            expected=f"draws in the support of the model's {type(_base(fn)).__name__}, {fn.support}",
            got=f"values from {value.min().item():.4g} to {value.max().item():.4g}",
            remedy="Give the guide a distribution with the prior's support.",
        )
    )


def _base(fn: Any) -> Any:
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return fn


def _is_unchecked(fn: Any) -> bool:
    """Whether the program said ``validate_args=False`` for this distribution."""
    return _base(fn).__dict__.get("_validate_args") is False


def _outside(name: str, likelihood: str, support: Any, value: Tensor) -> ValueError:
    low, high = value.min().item(), value.max().item()
    binary = _elementwise(support) is constraints.boolean
    if binary and low >= 0 and high <= 1:
        remedy = (
            "Gray values have no density under it: binarise with transform=pyrovae.data.Binarize() (a fresh "
            "draw at every use) or pyrovae.data.Threshold(0.5)."
        )
    elif binary:
        remedy = (
            "Scale to [0, 1] first (pyrovae.data.Pixels() for 0..255), then binarise with "
            "pyrovae.data.Binarize() or pyrovae.data.Threshold(0.5)."
        )
    else:
        remedy = "Transform the data, or choose a likelihood with their support."
    kind = "0 or 1" if binary else f"values in {support}"
    return ValueError(
        explain(
            f"model, site {name!r}",
            expected=f"data in the support of {likelihood}: {kind}",
            got=f"values from {low:.4g} to {high:.4g}",
            remedy=remedy,
        )
    )


def _elementwise(support: Any) -> Any:
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def supports_of(observed: dict[str, Any], batch: Batch) -> Iterator[Support]:
    """The observed sites whose support doesn't depend on the datum, with the tensor that they observe."""
    for name, site in observed.items():
        support = _elementwise(site["fn"].support)
        if not any(support is constraint for constraint in _FIXED) or _is_unchecked(site["fn"]):
            continue
        for index, tensor in enumerate(batch):
            same = tensor.untyped_storage().data_ptr() == site["value"].untyped_storage().data_ptr()
            if same:
                yield Support(index, name, support)


def check_support(supports: tuple[Support, ...], batches: Iterator[Batch]) -> None:
    """Holds all data against the support of the site that observes them.

    Raises:
        ValueError: for the first batch with a value outside.
    """
    for batch in batches:
        for position, name, support in supports:
            if not support.check(batch[position]).all():
                raise _outside(name, "its likelihood", support, batch[position])
