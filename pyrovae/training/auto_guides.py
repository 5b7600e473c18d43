"""Pyro's AutoGuides: where a latent of each datum meets batches."""

from __future__ import annotations

from pyro import poutine
from pyro.infer.autoguide import AutoGuide
from pyro.poutine.util import site_is_subsample

from pyrovae.data import Batches
from pyrovae.errors import explain
from pyrovae.training.fitted import Fit
from pyrovae.types import Batch


def check_rows(run: Fit, train: Batches, first: Batch) -> None:
    """Refuses rows that would meet the wrong data: an AutoGuide keeps one for each place in the batch.

    Raises:
        ValueError: for an AutoGuide of a latent that each datum has, trained by several batches, or by a
            stream, of which the order is its own.
    """
    guide = run.guide
    if not isinstance(guide, AutoGuide) or (train.steps == 1 and train.in_memory):
        return
    with run.evaluating():
        sites = poutine.trace(run.model).get_trace(*first).nodes
    for name, site in sites.items():
        if site["type"] != "sample" or site["is_observed"] or site_is_subsample(site):
            continue
        if any(frame.name == "data" and frame.vectorized for frame in site["cond_indep_stack"]):
            raise ValueError(
                explain(
                    f"{type(guide).__name__}, site {name!r}",
                    expected="all data in one batch: it keeps a row for each place in the batch",
                    got=f"{_batches(train)}, so that a row would meet many data",
                    remedy="Pass tensors and batch_size=len(x), or take guides.PerDatum or guides.Amortized.",
                )
            )


def _batches(train: Batches) -> str:
    return f"{train.steps or 'several'} batches an epoch" if train.in_memory else "a loader of its own order"
