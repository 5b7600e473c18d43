"""Counts: scVI's negative binomial and zero-inflated one, formula by formula, and a multinomial."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-8


def negative_binomial(t: Tensor, x: Tensor) -> Tensor:
    """Counts ``(n, d)`` under log means and log inverse dispersions ``(n, 2 d)``: nats, ``(n,)``."""
    mu, theta = torch.exp(t).chunk(2, -1)
    log_sum = torch.log(theta + mu + EPS)
    each = (
        theta * (torch.log(theta + EPS) - log_sum)
        + x * (torch.log(mu + EPS) - log_sum)
        + torch.lgamma(x + theta)
        - torch.lgamma(theta)
        - torch.lgamma(x + 1)
    )
    return each.sum(-1)


def zero_inflated(t: Tensor, x: Tensor) -> Tensor:
    """The same with logits of dropping out, ``(n, 3 d)``."""
    m, r, pi = t.chunk(3, -1)
    mu, theta = torch.exp(m), torch.exp(r)
    softplus_pi = F.softplus(-pi)
    log_theta = torch.log(theta + EPS)
    log_sum = torch.log(theta + mu + EPS)
    pi_theta_log = -pi + theta * (log_theta - log_sum)
    zero = F.softplus(pi_theta_log) - softplus_pi
    other = (
        -softplus_pi
        + pi_theta_log
        + x * (torch.log(mu + EPS) - log_sum)
        + torch.lgamma(x + theta)
        - torch.lgamma(theta)
        - torch.lgamma(x + 1)
    )
    return torch.where(x < EPS, zero, other).sum(-1)


def poisson(t: Tensor, x: Tensor) -> Tensor:
    """Counts ``(n, d)`` under log rates: nats, ``(n,)``."""
    return (x * t - torch.exp(t) - torch.lgamma(x + 1)).sum(-1)


def multinomial(t: Tensor, x: Tensor) -> Tensor:
    """Counts of words ``(n, d)`` under logits: nats, ``(n,)``, the coefficient included."""
    coefficient = torch.lgamma(x.sum(-1) + 1) - torch.lgamma(x + 1).sum(-1)
    return coefficient + (x * F.log_softmax(t, -1)).sum(-1)
