"""Likelihoods of independent entries: a line or two each."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from by_hand.normal import log_normal


def bernoulli(t: Tensor, x: Tensor) -> Tensor:
    """Nats, ``(n,)``, as all that follow."""
    return -F.binary_cross_entropy_with_logits(t, x, reduction="none").sum(-1)


def normal(t: Tensor, x: Tensor) -> Tensor:
    loc, log_variance = t.chunk(2, -1)
    return log_normal(x, loc, log_variance).sum(-1)


def laplace(t: Tensor, x: Tensor) -> Tensor:
    loc, log_scale = t.chunk(2, -1)
    return (-(x - loc).abs() * torch.exp(-log_scale) - log_scale - math.log(2)).sum(-1)


def categorical(t: Tensor, x: Tensor, categories: int) -> Tensor:
    """Codes ``(n, d)`` under logits ``(n, d K)``."""
    logits = t.view(-1, categories)
    return -F.cross_entropy(logits, x.long().flatten(), reduction="none").view(x.shape).sum(-1)


def continuous_bernoulli(t: Tensor, x: Tensor) -> Tensor:
    """With the constant by Taylor's series around 1/2, as in the authors' code."""
    p = torch.sigmoid(t).clamp(1e-4, 1 - 1e-4)
    near = (p - 0.5).abs() < 1e-2
    safe = torch.where(near, 0.4, p)
    exact = torch.log(torch.abs(2 * torch.atanh(1 - 2 * safe) / (1 - 2 * safe)))
    series = math.log(2) + 4 / 3 * (p - 0.5).square() + 104 / 45 * (p - 0.5).pow(4)
    likelihood = -F.binary_cross_entropy_with_logits(t, x, reduction="none")
    return (likelihood + torch.where(near, series, exact)).sum(-1)


def student_t(t: Tensor, x: Tensor, df: float) -> Tensor:
    loc, log_scale = t.chunk(2, -1)
    y = (x - loc) * torch.exp(-log_scale)
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(math.pi * df)
    return (constant - 0.5 * (df + 1) * torch.log1p(y.square() / df) - log_scale).sum(-1)


def beta(t: Tensor, x: Tensor) -> Tensor:
    a, b = torch.exp(t).chunk(2, -1)
    log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    return ((a - 1) * torch.log(x) + (b - 1) * torch.log1p(-x) - log_beta).sum(-1)


def pixel_categorical(t: Tensor, x: Tensor) -> Tensor:
    """Gray images ``(n, 1, H, W)`` in [0, 1] under ``(n, 256, H, W)``."""
    codes = (255 * x).round().long().squeeze(1)
    return -F.cross_entropy(t, codes, reduction="none").sum((1, 2))
