"""Swap one part and nothing else: every prior, posterior, likelihood and guide, each on real data, in one script.

    python examples/swap_parts.py --prior VampPrior                     # under every posterior that it can have
    python examples/swap_parts.py --prior VampPrior --posterior IAF     # one cell of that table
    python examples/swap_parts.py --likelihood LogisticMixture          # on data of its own kind
    python examples/swap_parts.py --guide Hamiltonian
    python examples/swap_parts.py                                       # everything: a minute or two

`pair` puts the parts together, and asks the heads how wide the networks must be: nothing else knows which parts
they are. `swap` trains a pair for 50 steps, measures it and exports it. In the tables a part is a name and the
line that makes it; what stands there is what one would write. All data come with the installed packages.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from matplotlib.cbook import get_sample_data
from sklearn import datasets
from torch import Tensor

import pyrovae as pv
from pyrovae import flows, guides, heads, kernels, models, nets, priors

D, ROWS, WIDTH = 4, 8, 32  # latent dimensions (of each row where digits are read by rows), rows, hidden units


def pair(
    prior: Any = "StandardNormal", posterior: Any = "diagonal", likelihood: Any = "Bernoulli"
) -> tuple[Any, Any, tuple[Tensor, ...]]:
    """A model, a guide, and data that they can be fitted to, of the parts by their names in the tables."""
    on = next(latent for latent, table in PRIORS.items() if prior in table)
    name, make_likelihood = LIKELIHOODS["Steps" if on == "sequences" and likelihood == "Bernoulli" else likelihood]
    data, head, q = DATA[name](), make_likelihood(), POSTERIORS[on][posterior]()
    encoder = encoder_of(data[0], q.features(D))
    p = PRIORS[on][prior](encoder, q)
    if isinstance(p, priors.VampPrior):
        p.start_from(data[0])
    return models.VAE(p, decoder_to(data[0], head), head), guides.Amortized(z=(encoder, q)), data


def encoder_of(x: Tensor, outputs: int) -> Any:
    """A network from data to features: of images, of sequences, of vectors with gaps, or of vectors."""
    if x.ndim == 4:
        return nets.ConvEncoder(x.shape[1:], outputs, channels=(8, 16))
    if x.ndim == 3:
        return nets.Recurrent(x.shape[2], outputs, direction="backward")
    if x.isnan().any():
        return nets.Filled(nets.MLP(2 * x.shape[1], WIDTH, outputs))
    return nets.MLP(x.shape[1], WIDTH, outputs)


def decoder_to(x: Tensor, likelihood: Any) -> Any:
    """A network from a latent, or from the latent of each step, to what the likelihood takes."""
    if x.ndim == 4:
        return nets.ConvDecoder(D, (likelihood.features(x.shape[1]), *x.shape[2:]), channels=(16, 8))
    return nets.MLP(D, WIDTH, likelihood.features(x.shape[-1]))


class Found(NamedTuple):
    """What came of 50 steps, in nats per datum.

    Attributes:
        first, last: the bound, mean over the first and over the last five steps.
        noise: the standard error that the draws of the latents give such a mean.
        bound, evidence: after training, with their standard error by the draws in ``error``.
    """

    run: Any
    first: float
    last: float
    noise: float
    bound: float
    evidence: float
    error: float
    seconds: float


def swap(model: Any, guide: Any, data: tuple[Tensor, ...], *, export_to: Path, whole: bool = False) -> Found:
    """Trains 50 steps, measures, exports; the same lines for every cell of every table."""
    begun, n = time.monotonic(), len(data[0])
    adam = partial(torch.optim.Adam, lr=0.01)
    loss, (epochs, batch_size) = pv.objectives.ELBO(), (50, n) if whole else (10, -(-n // 5))
    run = pv.fit(model, guide, data, loss=loss, optim=adam, epochs=epochs, batch_size=batch_size, compile=False)
    bound = pv.evaluate.elbo(run, data, num_samples=10, compile=False)
    evidence = pv.evaluate.evidence(run, data, num_samples=50, compile=False)
    few = tuple(tensor if whole else tensor[:5] for tensor in data)
    pv.export.to_datatree(run, few, num_samples=2).to_netcdf(export_to, engine="h5netcdf")
    told = np.array(run.history.column("train_elbo")).reshape(10, -1).mean(1)
    of_mean, of_evidence = (float(each.standard_error.square().sum().sqrt()) / n for each in (bound, evidence))
    return Found(
        run,
        float(told[0]),
        float(told[-1]),
        of_mean * bound.num_samples**0.5,
        float(bound.elbo.mean()),
        float(evidence.log_evidence.mean()),
        float(np.hypot(of_mean, of_evidence)),
        time.monotonic() - begun,
    )


# Real data, without a download. ------------------------------------------------------------------------------


def digits() -> tuple[Tensor, Tensor]:
    """200 scans of 8 x 8 in seventeen gray levels from 0 to 1, and which digits they are."""
    some = pv.data.load("digits").train.subset(range(200))
    return some.x, some.y


def table(of: Any) -> Tensor:
    return torch.tensor(of(as_frame=False).data).float()


def standard(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)


def wine_with_gaps() -> Tensor:
    """A fifth of the entries is missing at random."""
    x = standard(table(datasets.load_wine))
    return x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.2, torch.nan)


def patients() -> Tensor:
    """Diabetes: first the sex, 0 or 1, then nine numbers."""
    x = table(partial(datasets.load_diabetes, scaled=False))
    return torch.cat([x[:, 1:2] - 1, standard(x[:, [0, *range(2, 10)]])], 1)


def patches() -> Tensor:
    """Of a photograph in colour, 8 x 8, bytes divided by 255."""
    photo = torch.tensor(datasets.load_sample_image("china.jpg")).permute(2, 0, 1)[:, :400, :640]
    return photo.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).flatten(0, 1)[::20].float() / 255


def waveform(name: str, dtype: Any, columns: int) -> Tensor:
    with get_sample_data(name) as file:
        return torch.tensor(np.fromfile(file, dtype)).float().reshape(-1, 16, columns)


DATA: dict[str, Any] = {
    "digits, 0 or 1": lambda: ((digits()[0] > 0.4).float().flatten(1), digits()[1]),
    "digits, gray": lambda: (digits()[0].flatten(1),),
    "digits, gray with noise": lambda: ((digits()[0].flatten(1) * 16 + torch.rand(200, 64)) / 17,),
    "digits, 0 to 16": lambda: (digits()[0].flatten(1) * 16,),
    "digits, images": lambda: ((digits()[0] > 0.4).float(),),
    "digits, rows": lambda: ((digits()[0] > 0.4).float().squeeze(1), digits()[1]),
    "digits, which": lambda: (torch.eye(10)[digits()[1]],),
    "photograph, patches": lambda: (patches(),),
    "wine": lambda: (standard(table(datasets.load_wine)),),
    "wine, a fifth missing": lambda: (wine_with_gaps(),),
    "cells, 0 to 1": lambda: (0.01 + 0.98 * table(datasets.load_breast_cancer).div(table(datasets.load_breast_cancer).amax(0)),),
    "patients": lambda: (patients(),),
    "membrane": lambda: (waveform("membrane.dat", np.float32, 1)[::4, :, 0],),
    "EEG": lambda: (waveform("eeg.dat", np.float64, 4),),
}
