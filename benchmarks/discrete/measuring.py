"""A row measured: a training by ``pyrovae.fit``, and the test bounds of what it has led to."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from measure import Clock, mean_and_error
from torch import Tensor

import pyrovae as pv
from pyrovae import objectives as o
from pyrovae.randomness import isolated

BATCH = 128
LEARNING_RATE = 3e-3
COMPILE = "capture"
"""How steps are run: trainings this short don't earn Inductor's work back."""
PARTICLES = 100
"""Of the importance weighted bound."""
CHUNK = 512
"""So many data are evaluated at a time."""


def trained(
    model: Any, guide: Any, data: Any, loss: o.Objective | None, *, epochs: int, seed: int
) -> tuple[pv.Fit, dict[str, Any]]:
    """The pair at its best epoch by the validation ELBO, where there is one, and what the training took."""
    watch = _Watch()
    run = pv.fit(
        model,
        guide,
        data,
        loss=loss,
        optim=partial(torch.optim.Adam, lr=LEARNING_RATE),
        epochs=epochs,
        batch_size=BATCH,
        seed=seed,
        device="cpu",
        compile=COMPILE,
        progress=False,
        loggers=(watch,),
    )
    facts = {
        "objective": repr(loss),
        "particles": 1 if loss is None else loss.num_particles,
        "steps": run.history[-1].step,
        "cpu_seconds": watch.seconds[-1],
        "cpu_seconds_by_epoch": watch.seconds,
    }
    if isinstance(data, pv.data.Splits):
        facts["validation_elbo_by_epoch"] = [-epoch.validation_loss for epoch in run.history]
    return run, facts


class _Watch:
    """A logger that reads the CPU clock at the end of each epoch."""

    def __init__(self) -> None:
        self.begun, self.seconds = Clock.now(), list[float]()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.seconds.append(Clock.now().since(self.begun).cpu)


def bounds(run: pv.Fit, elbo: o.Objective, *data: Tensor, every: int) -> dict[str, Any]:
    """The ELBO of all test data; ELBO and importance weighted bound of every so many of them.

    All are of the discrete model: latents are drawn from the guide, 0 or 1, whatever has trained it.
    """
    with run.evaluating() as (model, guide), isolated(seed=0):
        parts = zip(*(tensor.split(CHUNK) for tensor in data), strict=True)
        of_all = torch.cat([elbo.per_datum(model, guide, *part) for part in parts])
    some = pv.data.Data.of(*(tensor[::every] for tensor in data))
    tight = pv.evaluate.log_evidence(run, some, num_samples=PARTICLES, compile=False)
    named = {"elbo": of_all, "elbo_of_some": of_all[::every], "iwae_of_some": tight}
    return {name: mean_and_error(values) for name, values in named.items()}
