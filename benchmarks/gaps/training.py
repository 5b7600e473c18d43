"""Training a guide on a known posterior, and what is measured on it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

import pyrovae as pv
from gaps import exact
from gaps.guides import Row, Setting
from gaps.problems import LATENT, Problem

HIDDEN = (64, 64)
TRAINED, BATCH = 2000, 250
BETAS = (0.9, 0.99)
"""Adam's; with its usual 0.999 the steep first gradients hold back all that follow in a short training."""
PARTICLES, TOGETHER = 1000, 100
"""Particles for each test datum, and how many of them make one importance weighted bound."""


class Known:
    """A problem's data and exact evidence; the first test datum is that of the picture."""

    def __init__(self, problem: Problem, *, tested: int = 200) -> None:
        self.problem = problem
        self.x = problem.data(TRAINED, seed=0)
        self.test = torch.cat((torch.tensor([problem.shown]), problem.data(tested - 1, seed=1)))
        self.log_evidence = exact.log_evidence(problem.model, self.test)

    @property
    def setting(self) -> Setting:
        """What guides are made for."""
        return Setting(self.problem.model, 2, LATENT, HIDDEN, len(self.test))

    def given(self, row: Row) -> tuple[Tensor, ...]:
        """What a guide is called with, for the test data."""
        return (self.test, torch.arange(len(self.test))) if row.given == "rows" else (self.test,)


def train(row: Row, known: Known, *, steps: int, seed: int, objective: Any = None) -> pv.Fit:
    """A guide of fresh weights after so many steps, its row's multiple; the model has no parameters."""
    torch.manual_seed(seed)
    guide = row.make(known.setting)
    data = (known.x,) if row.given == "data" else known.given(row)
    batch = min(BATCH, len(data[0]))
    epochs = max(1, row.longer * steps * batch // len(data[0]))
    return pv.fit(
        known.problem.model,
        guide,
        data,
        loss=objective or pv.objectives.ELBO(row.draws),
        optim=adam(row, guide),
        scheduler=functools.partial(CosineAnnealingLR, T_max=epochs),
        epochs=epochs,
        batch_size=batch,
        seed=seed,
        device="cpu",
        progress=False,
        compile="capture",
    )


def adam(row: Row, guide: Any) -> Callable[[Iterable[Tensor]], torch.optim.Adam]:
    """What makes a row's optimiser, with a rate of their own for the guide's ``learned`` parameters."""
    own = set() if row.own_rate is None else {id(parameter) for parameter in guide.learned.values()}

    def make(parameters: Iterable[Tensor]) -> torch.optim.Adam:
        parameters = list(parameters)
        groups: list[dict[str, Any]] = [{"params": [p for p in parameters if id(p) not in own]}]
        if own:
            groups.append({"params": [p for p in parameters if id(p) in own], "lr": row.own_rate})
        return torch.optim.Adam(groups, lr=row.learning_rate, betas=BETAS)

    return make


def measure(run: pv.Fit, row: Row, known: Known, *, seed: int) -> dict[str, float]:
    """The gap, and how good the guide's draws are as a proposal, means over the test data.

    Returns: ``gap``, log p(x) less the ELBO, with ``error``, the Monte Carlo standard error of that mean;
        ``short``, log p(x) less the importance weighted bound of 100 particles; ``effective``, the effective
        sample size by the number of particles; nats.
    """
    weights = pv.evaluate.log_weights(
        run, known.given(row), num_samples=PARTICLES, batch_size=len(known.test), seed=seed
    )
    of_groups = weights.view(-1, TOGETHER, weights.shape[1]).logsumexp(1) - math.log(TOGETHER)
    effective = (2 * weights.logsumexp(0) - (2 * weights).logsumexp(0)).exp() / PARTICLES
    return {
        "gap": (known.log_evidence - weights.mean(0)).mean().item(),
        "error": (weights.var(0).sum() / PARTICLES).sqrt().item() / weights.shape[1],
        "short": (known.log_evidence - of_groups.mean(0)).mean().item(),
        "effective": effective.mean().item(),
    }


def draws(run: pv.Fit, row: Row, known: Known, *, count: int = 200) -> Tensor:
    """Latents drawn for each test datum, ``(count, n, 2)``."""
    given, size = known.given(row), len(known.test)
    with run.evaluating() as (_, guide), pv.randomness.isolated("cpu"):
        torch.manual_seed(0)
        if row.given == "whole":
            return torch.stack([guide(*given)["z"] for _ in range(count)])
        many = guide(*(part.repeat(count, *[1] * (part.ndim - 1)) for part in given))
        z: Tensor = many["z"]
        return z.view(count, size, LATENT)


def lesser_mode(z: Tensor) -> float:
    """The share of the draws ``(count, n, 2)`` on the side of z1 = 0 that has fewer, the mean over data."""
    share = (z[..., 0] > 0).float().mean(0)
    return torch.minimum(share, 1 - share).mean().item()
