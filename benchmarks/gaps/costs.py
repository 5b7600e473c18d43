"""What a step costs with each guide, by a step with the diagonal normal."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import torch
from measure import Clock, quartiles
from torch import Tensor

import pyrovae as pv
from gaps.guides import DIAGONAL, Row, Setting
from gaps.problems import LATENT, PROBLEMS
from gaps.training import BATCH, HIDDEN
from pyrovae.training.parameters import Parameters

PIXELS, WIDTH, DEEP = 784, 200, 16


class Side:
    """Steps with one guide, in a parameter store of its own."""

    def __init__(self, row: Row, setting: Setting, x: Tensor) -> None:
        torch.manual_seed(0)
        self.store = Parameters()
        guide = row.make(setting)
        optim = functools.partial(torch.optim.Adam, lr=1e-4)
        self.svi = pv.SVI(setting.model, guide, optim, pv.objectives.ELBO(), compile="capture")
        self.given = (x, torch.arange(len(x))) if row.given == "rows" else (x,)
        self.seconds(2)
        self.parameters = sum(p.numel() for p in self.store.unconstrained().values())

    def seconds(self, steps: int) -> float:
        """CPU seconds of so many steps."""
        with self.store.active():
            begun = Clock.now()
            for _ in range(steps):
                self.svi.step(*self.given)
            return Clock.now().since(begun).cpu


def small(num_data: int = BATCH) -> tuple[Setting, Tensor]:
    """The table's own size: two latents, where most of a step is the calls of its operations."""
    banana = PROBLEMS["banana"]
    return Setting(banana.model, 2, LATENT, HIDDEN, num_data), banana.data(num_data, seed=0)


def large(num_data: int = 128) -> tuple[Setting, Tensor]:
    """A VAE of MNIST's size, 784-200-200-16 and back, with random pixels."""
    torch.manual_seed(0)
    decoder = pv.nets.MLP(DEEP, WIDTH, WIDTH, PIXELS)
    model = pv.models.VAE(pv.priors.StandardNormal(DEEP), decoder, pv.heads.bernoulli)
    return Setting(model, PIXELS, DEEP, (WIDTH, WIDTH), num_data), (
        torch.rand(num_data, PIXELS) < 0.2
    ).float()


def costs(rows: list[Row], place: tuple[Setting, Tensor], *, rounds: int, steps: int) -> dict[str, Any]:
    """Quartiles of the ratio of each row's step to the diagonal's, in blocks that alternate, A B A B."""
    setting, x = place
    plain = Side(DIAGONAL, setting, x)
    found = {}
    for row in rows:
        side = Side(row, setting, x)
        times = [(side.seconds(steps), plain.seconds(steps)) for _ in range(rounds + 1)]
        ratios = [now[0] / ((now[1] + before[1]) / 2) for before, now in pairwise(times)]
        found[row.name] = quartiles(ratios) | {"parameters": side.parameters - _of_model(setting)}
    return found


def _of_model(setting: Setting) -> int:
    """The parameters that are the model's."""
    parameters = setting.model.parameters() if isinstance(setting.model, torch.nn.Module) else ()
    return sum(p.numel() for p in parameters)
