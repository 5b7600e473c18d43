"""What autoregressive heads buy: digits scored better than by independent pixels."""

from __future__ import annotations

import functools
from typing import Any

import pyro
import pytest
import torch
from autoregressive_heads import H
from torch import Tensor

import pyrovae as pv


def vae(likelihood: Any, outputs: Any) -> tuple[Any, Any]:
    decoder = (
        pv.nets.ConvDecoder(4, (outputs, 8, 8), channels=(16, 8))
        if isinstance(likelihood, H.PixelCNN) or getattr(likelihood, "event_dim", 1) == 3
        else pv.nets.MLP(4, 32, outputs)
    )
    image = getattr(likelihood, "event_dim", 1) == 3
    encoder = pv.nets.ConvEncoder((1, 8, 8), 8, channels=(8, 16)) if image else pv.nets.MLP(64, 32, 8)
    return (
        pv.models.VAE(pv.priors.StandardNormal(4), decoder, likelihood),
        pv.guides.Amortized(z=(encoder, H.normal)),
    )


def bound(likelihood: Any, outputs: int, x: Tensor) -> tuple[Any, float]:
    """A fit of 75 steps, and its ELBO on digits that it hasn't seen, nats."""
    pyro.set_rng_seed(0)
    adam = functools.partial(torch.optim.Adam, lr=3e-3)
    model, guide = vae(likelihood, outputs)
    run = pv.fit(
        model, guide, x[:1000], epochs=3, batch_size=40, optim=adam, seed=0, progress=False, compile=False
    )
    assert run.history[-1].train_loss < 0.95 * run.history[0].train_loss
    return run, pv.evaluate.elbo(run, x[1000:1300], num_samples=2).mean().value


def test_pixel_vae_beats_independent_pixels(digits: Tensor) -> None:
    x = digits.reshape(-1, 1, 8, 8)
    _, independent = bound(H.Bernoulli(event_dim=3), 1, x)
    run, ordered = bound(H.PixelCNN(1, 8, width=12, layers=3), 8, x)
    assert ordered > independent + 2
    drawn = pv.predict.sample(run, 3)
    assert drawn.shape == (3, 1, 8, 8)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: H.MADE(64, 16, hidden=(96,)),
        lambda: H.GRU(64, 16, emission=H.Bernoulli(), hidden=32, word_dropout=0.1),
        lambda: H.Transformer(64, 16, emission=H.Categorical(2), width=16, blocks=1, heads=2),
    ],
    ids=["MADE", "GRU", "Transformer"],
)
def test_vectors_and_sequences_are_learned(make: Any, digits: Tensor) -> None:
    run, score = bound(make(), 16, digits)
    assert score > -64 * 0.6931
    assert pv.predict.sample(run, 2).shape == (2, 64)
