"""What networks do beside computing: statistics, dropout, normalisation, noise, frozen weights."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from engine_pairs import PIXELS, Pair, family, guide_of, model_of, net, normal, normal_prior
from torch import nn


@family("trace", "trace 2", "iwae")
def batch_normalisation():
    encoder = nn.Sequential(
        nn.Linear(PIXELS, 10, bias=False), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 6)
    )
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder), watched=(encoder,))


@family(refused={"trace": "value is read in Python.*engine_pairs_networks"})
def batch_normalisation_by_a_plain_mean():
    """Its weight is one over the count of batches, a Python number."""
    encoder = nn.Sequential(nn.BatchNorm1d(PIXELS, momentum=None), net(PIXELS, 6))
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder), watched=(encoder,))


@family("trace")
def batch_normalisation_of_images():
    encoder = nn.Sequential(
        nn.Unflatten(-1, (1, 2, 4)),
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(32, 6),
    )
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder), watched=(encoder,))


@family("insomnia")
def guide_that_takes_what_was_dreamt():
    encoder = net(PIXELS, 10, 6)

    def guide(x, observations=None):
        pyro.module("encoder", encoder)
        x = x if observations is None else observations["x"]
        with pyro.plate("data", x.shape[-2]):
            pyro.sample("z", normal(encoder(x)))

    return Pair(model_of(), guide)


@family("energy")
def likelihood_with_a_gradient():
    encoder, decoder = net(PIXELS, 10, 6), net(3, 10, PIXELS)

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            pyro.sample("x", dist.Normal(decoder(z), 0.5).to_event(1), obs=x)

    return Pair(model, guide_of(lambda x: normal(encoder(x)), encoder))


@family("trace 3v")
def dropout():
    encoder = nn.Sequential(nn.Dropout(0.3), nn.Linear(PIXELS, 10), nn.Tanh(), nn.Linear(10, 6))
    decoder = nn.Sequential(nn.Linear(3, 10), nn.Tanh(), nn.AlphaDropout(0.2), nn.Linear(10, PIXELS))
    return Pair(model_of(decoder=decoder), guide_of(lambda x: normal(encoder(x)), encoder))


@family("trace")
def normalisations_and_attention():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.norm, self.out = nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 6)
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            words = self.norm(self.up(x.unflatten(-1, (4, 2))))
            words, _ = self.attention(words, words, words, need_weights=False)
            return self.out(words.mean(1))

    encoder = Encoder()
    decoder = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 10)), nn.GELU(), net(10, PIXELS)
    )
    return Pair(model_of(decoder=decoder), guide_of(lambda x: normal(encoder(x)), encoder))


@family("trace")
def spectral_norm():
    encoder = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(PIXELS, 10)), nn.Tanh(), net(10, 6)
    )
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder), watched=(encoder,))


@family("trace")
def noise_of_ones_own():
    encoder = net(PIXELS, 10, 6)
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x + 0.1 * torch.randn_like(x))), encoder))


@family("trace")
def frozen_encoder():
    encoder = net(PIXELS, 10, 6)
    encoder[0].requires_grad_(False)
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder))


@family("trace")
def frozen_guide():
    encoder = net(PIXELS, 10, 6).requires_grad_(False)
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder))
