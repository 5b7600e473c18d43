"""The diagonal normal, as every VAE's code has it: with a log variance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_TAU = math.log(2 * math.pi)


def log_normal(x: Tensor, loc: Tensor, log_variance: Tensor) -> Tensor:
    """Of each entry, nats."""
    return -0.5 * (LOG_TAU + log_variance + (x - loc).square() * torch.exp(-log_variance))


def log_standard_normal(x: Tensor) -> Tensor:
    """Of each entry, nats."""
    return -0.5 * (LOG_TAU + x.square())


def draw(loc: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Draws ``(n, d)`` and their log densities, nats, ``(n,)``, for which the noise is known already."""
    noise = torch.randn_like(loc)
    z = loc + torch.exp(0.5 * log_variance) * noise
    return z, -0.5 * (LOG_TAU + log_variance + noise.square()).sum(-1)
