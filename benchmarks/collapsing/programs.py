"""Two decoders for one latent vector: one that can do without it, and one that can't.

The strong one is autoregressive, p(x | z) = prod_i p(x_i | x_1 .. x_{i-1}, z), by a masked network (MADE):
one pass gives the logits of all pixels. It is a density of x for every z, whether it uses z or not.
"""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import pyrovae as pv

LATENT = 16
HIDDEN = 256


class MaskedDecoder(nn.Module):
    r"""Logits of every pixel from the pixels before it, in raster order, and from z.

    .. math:: h = \mathrm{relu}\big((M_1 \circ A)\, x + B z + b\big), \qquad
        \ell = (M_2 \circ C)\, h + (M_3 \circ D)\, x + c

    A hidden unit of degree m sees the first m pixels, and is seen by those after them.

    Shapes: ``x`` is ``(..., pixels)``, ``z`` ``(..., latent)``, leading dimensions broadcast.

    References:
        Germain, Gregor, Murray and Larochelle, 2015, MADE: Masked Autoencoder for Distribution Estimation,
        https://arxiv.org/abs/1502.03509
    """

    enters: Tensor
    leaves: Tensor
    before: Tensor

    def __init__(self, pixels: int, hidden: int = HIDDEN, latent: int = LATENT) -> None:
        super().__init__()
        degree, place = 1 + torch.arange(hidden) % (pixels - 1), torch.arange(pixels)
        self.register_buffer("enters", (place < degree[:, None]).float(), persistent=False)
        self.register_buffer("leaves", (degree <= place[:, None]).float(), persistent=False)
        self.register_buffer("before", torch.ones(pixels, pixels).tril(-1), persistent=False)
        self.from_pixels = nn.Linear(pixels, hidden)
        self.from_latent = nn.Linear(latent, hidden, bias=False)
        self.to_logits = nn.Linear(hidden, pixels)
        self.directly = nn.Linear(pixels, pixels, bias=False)
        with torch.no_grad():  # what masks take away of the usual spread of the weights
            self.from_pixels.weight.mul_((pixels / degree[:, None]).sqrt())

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        x = 2 * x - 1
        hidden = F.linear(x, self.from_pixels.weight * self.enters, self.from_pixels.bias)
        hidden = F.relu(hidden + self.from_latent(z))
        logits = F.linear(hidden, self.to_logits.weight * self.leaves, self.to_logits.bias)
        return logits + F.linear(x, self.directly.weight * self.before)


class AutoregressiveVAE(nn.Module):
    """p(z) p(x | z) with a decoder that reads x itself; data are always given."""

    def __init__(self, decoder: MaskedDecoder, latent: int = LATENT) -> None:
        super().__init__()
        self.prior, self.decoder = pv.priors.StandardNormal(latent), decoder

    def forward(self, x: Tensor) -> None:
        pyro.module("autoregressive", self)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", self.prior())
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(x, z)).to_event(1), obs=x)


def pair(pixels: int, *, decoder: str = "autoregressive", head: Any = None, seed: int = 0) -> tuple[Any, Any]:
    """Model and guide, freshly initialised; ``decoder`` is "autoregressive" or "factorised"."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = pv.nets.MLP(pixels, HIDDEN, 2 * LATENT)
        if decoder == "autoregressive":
            model: Any = AutoregressiveVAE(MaskedDecoder(pixels))
        else:
            network = pv.nets.MLP(LATENT, HIDDEN, pixels)
            model = pv.models.VAE(pv.priors.StandardNormal(LATENT), network, pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, head or pv.heads.normal))
