"""Data that are missing: which are there, and what can stand in the place of those that are not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints, transform_to

from pyrovae.distributions.missing import OrMissing


def rows_present(x: Tensor) -> Tensor:
    """Which data of a batch are there, ``(n,)`` of ``(n, ...)``: all but those that are NaN throughout."""
    return ~x.isnan().reshape(len(x), -1).all(-1)


def without_missing(x: Tensor, present: Tensor, stand_in: Tensor | float = 0.0) -> Tensor:
    """The data, with a stand-in for each that is missing: of it no NaN can come, nor a gradient."""
    rows = present.reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(rows, x, torch.as_tensor(stand_in, dtype=x.dtype, device=x.device))


def typical(fn: Any, like: Tensor) -> Tensor:
    """Values in a distribution's support, in the shape of the data: their density, at least, is no NaN.

    Arguments:
        like: data ``(n, ...)``, to which the distribution broadcasts.
    """
    support = fn.support
    while isinstance(support, constraints.independent | OrMissing):
        support = support.base_constraint if isinstance(support, constraints.independent) else support.base
    if support.event_dim == 0 and support.is_discrete:
        lower = 0 if support is constraints.boolean else getattr(support, "lower_bound", None)
        if lower is not None:
            return torch.zeros_like(like) + lower
    try:
        transform = transform_to(fn.support if support.event_dim else support)
        value = transform(like.new_zeros(transform.inverse_shape(like.shape)))
    except NotImplementedError:
        # Of what is left (one-hot vectors, counts of a fixed total) a draw is the only value that is known.
        value = fn.sample().detach().to(like.dtype)
    return value.reshape(-1, *like.shape)[0]
