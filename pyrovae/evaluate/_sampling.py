"""Particles for all data in bounded memory: chunks over data, and for each of them chunks over particles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pyro
import torch
from pyro import poutine

from pyrovae.data import as_batches
from pyrovae.data.batches import Batches
from pyrovae.engine.arithmetic import denormals_flushed
from pyrovae.engine.policy import Mode, check_mode
from pyrovae.errors import explain
from pyrovae.evaluate._measure import Measure
from pyrovae.evaluate._plan import Plan
from pyrovae.evaluate._repeated import Repeated
from pyrovae.randomness import isolated
from pyrovae.training import Fit
from pyrovae.training.parameters import takes_missing

_MEMORY = {"cpu": 2**26}
_MEMORY_ELSEWHERE = 2**30
"""Default budgets: a CPU is fastest while the work stays near its caches, an accelerator when it is wide."""

_READ = 1024
_PROBE = 3

Measured = TypeVar("Measured")


@contextmanager
def sampling(
    run: Fit,
    x: Any,
    measure: Measure[Measured],
    *,
    num_samples: int,
    batch_size: int | None,
    memory: int | None,
    seed: int,
    compile: Mode,
) -> Iterator[Iterator[Iterator[Measured]]]:
    """What is measured on the draws of a fitted pair: for each chunk of data, in order, one draw at a time.

    Inside, the pair is in evaluation mode with its own parameters, outer Pyro handlers see nothing of it, and
    the random generators are borrowed: afterwards they are as they were, and so is Pyro's validation.

    Arguments:
        measure: what is kept of a draw, which itself is dropped before the next is made.
        batch_size: how many data go together; None for as many as suit the memory.
        memory: the budget in bytes; None for 64 MiB on a CPU, 1 GiB elsewhere.
        compile: how all draws but the first of each chunk of data are run.
    """
    if not isinstance(run, Fit):
        raise TypeError(
            explain(
                "run",
                expected="a Fit",
                got=type(run).__name__,
                remedy="pyrovae.fit returns one; for a pair trained elsewhere, pyrovae.Fit(model, guide).",
            )
        )
    check_mode(compile)
    read = _READ if batch_size is None else batch_size
    budget = _MEMORY.get(run.device.type, _MEMORY_ELSEWHERE) if memory is None else memory
    for name, value in (("num_samples", num_samples), ("memory", budget), ("batch_size", read)):
        if not isinstance(value, int) or value < 1:
            remedy = "It is a number of bytes." if name == "memory" else "Try 1000."
            raise ValueError(explain(name, expected="a positive integer", got=repr(value), remedy=remedy))
    missing = takes_missing(run.model, run.guide)
    batches = as_batches(x, batch_size=read, device=run.device, shuffle=False, missing=missing)

    def chunks() -> Iterator[Iterator[Measured]]:
        repeated: Repeated[Measured] | None = None
        for batch in batches.epoch(0):
            taken = run.arguments(batch)
            if repeated is None:
                probe = taken if batch_size else tuple(values[:_PROBE] for values in taken)
                plan = Plan.of(model, guide, probe, measure, budget)
                width = batch_size or plan.width(num_samples)
                length = min(width, len(taken[0]))
                alike = _alike(batches, length)
                calls = None if alike is None else alike * plan.repetitions(length, num_samples)
                repeated = Repeated(plan, compile, calls)
            for chunk in zip(*(torch.split(values, width) for values in taken), strict=True):
                yield repeated.draws(chunk, num_samples)

    with (
        isolated(run.device, seed),
        pyro.validation_enabled(True),
        poutine.block(),
        denormals_flushed(),
        run.evaluating() as (model, guide),
    ):
        yield chunks()


def _alike(batches: Batches, length: int) -> int | None:
    """How many chunks have this length, which is the first one's; None where nobody knows."""
    if batches.size is None or batches.batch_size is None:
        return None
    whole, rest = divmod(batches.size, batches.batch_size)
    return whole * (batches.batch_size // length) + rest // length
