"""What tests of posteriors share: extreme features, a posterior of two steps, and a pair with any of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import pyrovae as pv

EXTREMES = torch.tensor([-50.0, 0.0, 50.0])


def extreme(count: int, rows: int = 200) -> Tensor:
    """Features each of which is -50, 0 or 50."""
    return EXTREMES[torch.randint(3, (rows, count))].requires_grad_()


def assert_finite(d: Any, t: Tensor) -> None:
    """A draw, its density, and the gradients of both."""
    z = d.rsample()
    log_prob = d.log_prob(z)
    (grad,) = torch.autograd.grad(log_prob.sum() + z.sum(), t)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(grad).all()


def auxiliary(**heads: Any) -> pv.heads.Auxiliary:
    return pv.heads.Auxiliary(2, 3, pv.nets.MLP(3 + 4, 16, 4), pv.nets.MLP(2 + 4, 16, 6), context=4, **heads)


def own_pair(head: Any, prior: Any = None, d: int = 2) -> tuple[Any, Any]:
    model = pv.models.VAE(prior or pv.priors.StandardNormal(d), pv.nets.MLP(d, 16, 64), pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(pv.nets.MLP(64, 16, head.features(d)), head))
