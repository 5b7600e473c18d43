"""The mixture of discretised logistics as PixelCNN++ publishes it, for torch's order of the channels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def log_mass(x: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    """Of bytes in [-1, 1], nats; where a bin's mass is below 1e-5 by the density in its middle."""
    centred = x - loc
    inverse = torch.exp(-log_scale)
    plus, minus = inverse * (centred + 1 / 255), inverse * (centred - 1 / 255)
    mass = torch.sigmoid(plus) - torch.sigmoid(minus)
    middle = inverse * centred
    log_density = middle - log_scale - 2 * F.softplus(middle)
    inner = torch.where(mass > 1e-5, torch.log(torch.clamp(mass, min=1e-12)), log_density - math.log(127.5))
    return torch.where(x < -0.999, plus - F.softplus(plus), torch.where(x > 0.999, -F.softplus(minus), inner))


def colour(t: Tensor, x: Tensor, components: int) -> Tensor:
    """Images ``(n, 3, H, W)`` in [0, 1] under network outputs ``(n, 10 K, H, W)``: nats, ``(n,)``."""
    n, _, height, width = x.shape
    logits = t[:, :components]
    loc, log_scale, coefficients = t[:, components:].view(n, 3, 3, components, height, width).unbind(1)
    coefficients = torch.tanh(coefficients)
    x = (2 * x - 1).unsqueeze(2)
    green = loc[:, 1] + coefficients[:, 0] * x[:, 0]
    blue = loc[:, 2] + coefficients[:, 1] * x[:, 0] + coefficients[:, 2] * x[:, 1]
    loc = torch.stack([loc[:, 0], green, blue], 1)
    each = log_mass(x, loc, torch.clamp(log_scale, min=-7)).sum(1) + F.log_softmax(logits, 1)
    return torch.logsumexp(each, 1).sum((1, 2))


def gray(t: Tensor, x: Tensor, components: int) -> Tensor:
    """Images ``(n, 1, H, W)`` in [0, 1] under network outputs ``(n, 3 K, H, W)``: nats, ``(n,)``."""
    logits, loc, log_scale = t.split(components, 1)
    each = log_mass(2 * x - 1, loc, torch.clamp(log_scale, min=-7)) + F.log_softmax(logits, 1)
    return torch.logsumexp(each, 1).sum((1, 2))


def single(t: Tensor, x: Tensor) -> Tensor:
    """One logistic variable an entry: images ``(n, C, H, W)`` under ``(n, 2 C, H, W)``: nats, ``(n,)``."""
    loc, log_scale = t.chunk(2, 1)
    return log_mass(2 * x - 1, loc, torch.clamp(log_scale, min=-7)).sum((1, 2, 3))
