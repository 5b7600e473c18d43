"""What ``to_event`` was called on."""

from __future__ import annotations

from typing import Any

from torch.distributions import Independent


def unwrapped(fn: Any) -> Any:
    """The distribution inside of those that only declare its dimensions to be one event.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> unwrapped(dist.Normal(torch.zeros(2, 3), 1.0).to_event(1).to_event(1))
        Normal(loc: torch.Size([2, 3]), scale: torch.Size([2, 3]))
    """
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return fn


def family(fn: Any) -> str:
    """What a distribution is called by those who don't mind how its parameters are kept.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogScaleNormal
        >>> family(LogScaleNormal(torch.zeros(3), torch.zeros(3)).to_event(1))
        'Normal'
    """
    base = unwrapped(fn)
    return getattr(base, "family", type(base).__name__)
