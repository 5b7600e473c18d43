"""Real data of every kind, all of them installed with scikit-learn and matplotlib."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from sklearn import datasets
from torch import Tensor

import pyrovae as pv

STEPS = 8  # of a sequence
Data = tuple[Tensor, ...]


@functools.cache
def digits() -> Data:
    """200 scans of 8 x 8 pixels, seventeen gray levels from 0 to 1, and which digits they are."""
    some = pv.data.load("digits").train.subset(range(200))
    return some.x, some.y


def binary() -> Tensor:
    return (digits()[0] > 0.4).float()


def specks(count: int) -> Tensor:
    """How many of so many specks of ink fall on each pixel: the darker it is, the likelier."""
    darkness = digits()[0].flatten(1)
    where = torch.multinomial(darkness, count, replacement=True, generator=torch.Generator().manual_seed(0))
    return torch.zeros_like(darkness).scatter_add_(1, where, torch.ones(where.shape))


def table(load: Any, **options: Any) -> Tensor:
    return torch.tensor(load(**options).data).float()


def standard(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)


def wine_with_gaps() -> Tensor:
    """A fifth of the entries is missing."""
    x = standard(table(datasets.load_wine))
    return x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.2, torch.nan)


def tumours() -> Tensor:
    """Each column from 0.01 to 0.99."""
    x = table(datasets.load_breast_cancer)
    return 0.01 + 0.98 * (x - x.amin(0)) / (x.amax(0) - x.amin(0))


def patients() -> Tensor:
    """With diabetes: first their sex, 0 or 1, then nine numbers."""
    x = table(datasets.load_diabetes, scaled=False)
    return torch.cat([x[:, 1:2] - 1, standard(x[:, [0, *range(2, 10)]])], 1)


def patches() -> Tensor:
    """Squares of 8 x 8 pixels of a photograph in colour, bytes divided by 255."""
    photo = torch.tensor(datasets.load_sample_image("china.jpg")[:424]).permute(2, 0, 1)
    squares = photo.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).flatten(0, 1)
    return squares[::20].float() / 255


def recorded(name: str, dtype: Any, *shape: int) -> Tensor:
    with get_sample_data(name) as file:
        return torch.tensor(np.fromfile(file, dtype)).float().reshape(-1, *shape)


# By name, each first what is observed, (n, ...), then what a prior may depend on.
DATA: dict[str, Any] = {
    "digits": lambda: (binary().flatten(1), digits()[1]),
    "digits as images": lambda: (binary(),),
    "digits by rows": lambda: (binary().squeeze(1),),
    "gray digits": lambda: (digits()[0].flatten(1),),
    "digits in 16ths": lambda: (16 * digits()[0].flatten(1),),
    "100 specks of ink": lambda: (specks(100),),
    "one speck of ink": lambda: (specks(1),),
    "photograph": lambda: (patches(),),
    "wine": lambda: (standard(table(datasets.load_wine)),),
    "wine with gaps": lambda: (wine_with_gaps(),),
    "tumours": lambda: (tumours(),),
    "patients": lambda: (patients(),),
    "membrane current": lambda: (recorded("membrane.dat", np.float32, 16)[::4],),
    "brain waves": lambda: (standard(recorded("eeg.dat", np.float64, STEPS, 4)),),
}
