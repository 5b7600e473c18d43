"""Digits, photographs and a recorded current, each fitted by the likelihoods of its levels."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.cbook
import numpy as np
import pyro
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

import pyrovae as pv

heads = pv.heads


def fitted(head: Any, x: Tensor, channels: int | None = None) -> Any:
    """A small VAE of a head, on vectors or on images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = tuple(x.shape[1:])
        if channels is None:
            decoder: Any = pv.nets.MLP(4, 64, head.features(shape[0]))
            encoder: Any = pv.nets.MLP(shape[0], 64, 8)
        else:
            outputs = (head.features(shape[0]), *shape[1:])
            decoder = pv.nets.ConvDecoder(4, outputs, channels=(channels,))
            encoder = pv.nets.ConvEncoder(shape, 8, channels=(channels,))
        model = pv.models.VAE(pv.priors.StandardNormal(4), decoder, head)
        guide = pv.guides.Amortized(z=(encoder, heads.normal))
    run = pv.fit(
        model,
        guide,
        x,
        validation=x[:100],
        epochs=6,
        batch_size=64,
        optim=pyro.optim.Adam({"lr": 5e-3}),
        progress=False,
        compile=False,
    )
    first, last = run.history[0], run.history[-1]
    assert last.train_loss < first.train_loss - 1
    assert last.validation_loss < first.validation_loss
    return run


@pytest.mark.parametrize(
    "head",
    [
        heads.PixelCategorical(levels=17),
        heads.DiscretisedLogistic(levels=17),
        heads.LogisticMixture(3, levels=17),
    ],
    ids=repr,
)
def test_gray_heads_fit_digits_and_beat_the_uniform_distribution(head: Any) -> None:
    splits = pv.data.load("digits", transform=pv.data.Flatten())
    x = torch.cat([part.transformed() for part in splits])[:500]
    run = fitted(head, x)
    assert pv.evaluate.bits_per_dim(-run.history[-1].validation_loss, 64) < math.log2(17)
    z = run.model.prior().expand((9,)).sample()
    draws = run.model.likelihood(run.model.decoder(z)).sample()
    assert set((16 * draws).round().flatten().tolist()) <= set(map(float, range(17)))


def test_categories_are_fitted_by_their_numbers() -> None:
    """The quarters of each digit's pixels by gray, as codes 0, 1, 2 without order."""
    splits = pv.data.load("digits", transform=pv.data.Flatten())
    x = (3 * torch.cat([part.transformed() for part in splits])[:500]).floor().clamp(max=2)
    run = fitted(heads.Categorical(3), x)
    assert run.history[-1].validation_loss / 64 < math.log(3)


def patches(side: int = 8, count: int = 300) -> Tensor:
    """Squares of a photograph, ``(count, 3, side, side)``, in [0, 1]."""
    photo = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)
    squares = photo.unfold(1, side, side).unfold(2, side, side).flatten(1, 2).transpose(0, 1)
    chosen = torch.randperm(len(squares), generator=torch.Generator().manual_seed(0))[:count]
    return pv.data.Pixels()(squares[chosen].contiguous())


def test_the_mixture_fits_colour_photographs() -> None:
    x = patches()
    run = fitted(heads.LogisticMixture(3, event_dim=3), x, channels=8)
    assert pv.evaluate.bits_per_dim(-run.history[-1].validation_loss, 3 * 64) < 8
    reconstruction = pv.predict.reconstruct(run, x[:4])
    assert reconstruction.shape == (4, 3, 8, 8)
    assert ((reconstruction >= 0) & (reconstruction <= 1)).all()


@pytest.mark.parametrize(
    "head", [heads.DiscretisedLogistic(event_dim=3), heads.LogisticMixture(2, event_dim=3)]
)
def test_images_of_one_channel_are_fitted_too(head: Any) -> None:
    run = fitted(head, patches()[:, :1], channels=8)
    assert pv.evaluate.bits_per_dim(-run.history[-1].validation_loss, 64) < 8


def test_mu_law_fits_a_recorded_current() -> None:
    """Windows of a recording of a membrane's current, which jumps as a channel opens."""
    recording = np.fromfile(matplotlib.cbook.get_sample_data("membrane.dat", asfileobj=False), np.float32)
    x = torch.from_numpy(recording).unfold(0, 16, 16)[:600]
    x = (x - x.mean()) / (x - x.mean()).abs().max()
    run = fitted(heads.MuLaw(levels=64), x)
    uniform = -16 * math.log(2)
    assert -run.history[-1].validation_loss > uniform
