"""The one value that stands for a distribution: its mean, or what comes nearest to one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrovae.distributions import Autoregressive
from pyrovae.errors import explain

_NUMBERS_AT_ONCE = 10_000_000
"""How many numbers of a Monte Carlo mean are drawn at a time, so that memory stays bounded."""


def centre(distribution: Any, *, num_samples: int | None = None) -> Tensor:
    """The mean of each element of a batch of distributions.

    Where the mean is not finite or means nothing (Categorical, Cauchy), the mode. Where no formula for it is
    known (a flow, an autoregressive likelihood), the average of ``num_samples`` draws of the global
    generator: of 1000, or 64 where an event has more than 100 entries, or 16 where entries are drawn one
    after another, which is dear.

    Returns: ``(*batch_shape, *event_shape)``, detached.

    Raises:
        ValueError: there is neither a mean nor a mode.

    Example:
        >>> import pyro.distributions as dist
        >>> centre(dist.Bernoulli(torch.tensor([0.25, 0.5])))
        tensor([0.2500, 0.5000])
        >>> centre(dist.Categorical(torch.tensor([0.1, 0.2, 0.7])))
        tensor(2)
    """
    if num_samples is None:
        num_samples = _draws(distribution)
    try:
        mean: Tensor = distribution.mean
    except (NotImplementedError, AttributeError):
        return _average(distribution, num_samples)
    if bool(torch.isfinite(mean).all()):
        return mean.detach()
    try:
        mode: Tensor = distribution.mode
    except (NotImplementedError, AttributeError):
        raise ValueError(
            explain(
                f"{type(distribution).__name__}",
                expected="a distribution with a finite mean, or a mode",
                got="neither",
                remedy="Use its draws: posterior_predictive or sample.",
            )
        ) from None
    return mode.detach()


def _draws(distribution: Any) -> int:
    if isinstance(distribution, Autoregressive):
        return 16
    return 1000 if distribution.event_shape.numel() <= 100 else 64


def _average(distribution: Any, num_samples: int) -> Tensor:
    size = max(1, distribution.shape().numel())
    part = max(1, min(num_samples, _NUMBERS_AT_ONCE // size))
    sizes = [min(part, num_samples - start) for start in range(0, num_samples, part)]
    return torch.stack([distribution.sample((k,)).sum(0) for k in sizes]).sum(0).detach() / num_samples
