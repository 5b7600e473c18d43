"""Data against the support of the site that observes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor
from torch.distributions import constraints

from pyrovae.distributions.missing import OrMissing
from pyrovae.distributions.mixed import Columns
from pyrovae.distributions.unwrapping import family, unwrapped
from pyrovae.errors import explain
from pyrovae.training.remedies import Range, in_words, likewise, remedy
from pyrovae.types import Batch


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
    problem = _outside(f"model, site {name!r}", family(fn), fn.support, value)
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
            expected=f"draws in the support of the model's {family(fn)}, {fn.support}",
            got=f"values from {value.min().item():.4g} to {value.max().item():.4g}",
            remedy=f"Give the guide a distribution with the prior's support{likewise(fn.support)}.",
        )
    )


def _is_unchecked(fn: Any) -> bool:
    """Whether the program said ``validate_args=False`` for this distribution."""
    return unwrapped(fn).__dict__.get("_validate_args") is False


def _outside(where: str, likelihood: str, support: Any, value: Tensor) -> ValueError:
    """Words what is wrong with data that are not all in a support."""
    support = _elementwise(support)
    if isinstance(support, Columns):
        for column, part, columns in support.parts(value):
            if not part.check(columns).all():
                return _outside(f"{where}, column {column!r}", likelihood, part, columns)
    missing = value.is_floating_point() and bool(value.isnan().any())
    if missing and not isinstance(support, OrMissing):
        return ValueError(
            explain(
                where,
                expected=f"data in the support of {likelihood}: {in_words(support)}",
                got="entries that are NaN",
                remedy="pyrovae.heads.Masked(head) marginalises missing entries out.",
            )
        )
    support = support.base if isinstance(support, OrMissing) else support
    found = Range.of(value)
    off_grid = ", not all of them whole" if support.is_discrete and not found.whole else ""
    return ValueError(
        explain(
            where,
            expected=f"data in the support of {likelihood}: {in_words(support)}",
            got=f"values from {found.low:.4g} to {found.high:.4g}{off_grid}",
            remedy=remedy(support, found),
        )
    )


def _elementwise(support: Any) -> Any:
    """The support of an entry, where an event's is that of its entries."""
    while isinstance(support, constraints.independent | constraints.MixtureSameFamilyConstraint):
        support = support.base_constraint
    return support


def _is_fixed(support: Any) -> bool:
    """Whether it is the same for each datum: made of plain numbers and of supports that are."""
    if constraints.is_dependent(support):
        return False
    return all(map(_is_plain, vars(support).values()))


def _is_plain(setting: Any) -> bool:
    if isinstance(setting, constraints.Constraint):
        return _is_fixed(setting)
    if isinstance(setting, Mapping):
        return all(map(_is_plain, setting.values()))
    if isinstance(setting, list | tuple):
        return all(map(_is_plain, setting))
    return setting is None or isinstance(setting, bool | int | float | str)


def supports_of(observed: dict[str, Any], batch: Batch) -> Iterator[Support]:
    """The observed sites whose support doesn't depend on the datum, with the tensor that they observe."""
    for name, site in observed.items():
        support = _elementwise(site["fn"].support)
        if support is constraints.real or not _is_fixed(support) or _is_unchecked(site["fn"]):
            continue
        for index, tensor in enumerate(batch):
            if _is_whole(site["value"], tensor, support):
                yield Support(index, name, support)


def _is_whole(value: Tensor, tensor: Tensor, support: Any) -> bool:
    """Whether a site observes a tensor of the batch as it is, and not some of its columns."""
    same = value.data_ptr() == tensor.data_ptr() and value.numel() == tensor.numel()
    return same and (support.event_dim == 0 or value.shape == tensor.shape)


def check_support(supports: tuple[Support, ...], batches: Iterator[Batch]) -> None:
    """Holds all data against the support of the site that observes them.

    Raises:
        ValueError: for the first batch with a value outside.
    """
    for batch in batches:
        for position, name, support in supports:
            if not support.check(batch[position]).all():
                raise _outside(f"model, site {name!r}", "its likelihood", support, batch[position])
