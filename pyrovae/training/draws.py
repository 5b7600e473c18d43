"""Draws from the posteriors of a run at one latent site."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor, nn

from pyrovae import randomness
from pyrovae.covariates import asked, given_to
from pyrovae.data import Batches, as_batches
from pyrovae.errors import explain
from pyrovae.training.fitted import Fit
from pyrovae.training.parameters import takes_missing
from pyrovae.types import Batch, Program

_BATCH = 1024
"""Draws at a time: more make a step dearer, and the gradient of a prior hardly less noisy."""


class Draw(NamedTuple):
    """A draw from the posterior of each datum of a batch.

    Attributes:
        batch: the data, whole.
        trace: of the guide.
        value: what it drew at the site.
    """

    batch: Batch
    trace: Any
    value: Tensor

    @classmethod
    def of(cls, run: Fit, batch: Batch, site: str) -> Draw:
        with run.evaluating() as (_, guide):
            trace = poutine.trace(guide).get_trace(*run.arguments(batch))
        value: Tensor = trace.nodes[site]["value"]  # type: ignore[assignment]
        return cls(batch, trace, value)

    @property
    def size(self) -> int:
        return len(self.batch[0])

    def score(self, run: Fit, site: str) -> float:
        """The log-likelihood of the draws under a pair's prior, summed over the data."""
        with run.evaluating() as (model, _):
            node: Any = _replayed(run, model, self).nodes[site]
            return float(node["fn"].log_prob(node["value"]).double().sum())

    def given(self, prior: nn.Module) -> list[Tensor]:
        """What the prior is called with."""
        return given_to("fit_prior, prior", asked(prior, 0), self.batch[1:])


def _replayed(run: Fit, model: Program, draw: Draw) -> Any:
    return poutine.trace(poutine.replay(model, trace=draw.trace)).get_trace(*run.arguments(draw.batch))


def latents(run: Fit, batch: Batch) -> dict[str, Any]:
    """The model's latent sites that the guide draws."""
    with run.evaluating() as (model, guide):
        drawn = poutine.trace(guide).get_trace(*run.arguments(batch))
        trace = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(*run.arguments(batch))
    return {
        name: node
        for name, node in trace.nodes.items()
        if node["type"] == "sample"
        and not node["is_observed"]
        and not isinstance(node["fn"], _Subsample)
        and name in drawn.nodes
    }


def forever(run: Fit, batches: Batches, site: str) -> Iterator[Draw]:
    """Draws of batch after batch, epoch after epoch."""
    for epoch in count():
        for batch in batches.epoch(epoch):
            yield Draw.of(run, batch, site)


def many(run: Fit, batches: Batches, site: str, enough: int) -> Tensor:
    """Draws of the site, ``(enough, ...)``."""
    found: list[Tensor] = []
    for draw in forever(run, batches, site):
        found.append(draw.value)
        if sum(map(len, found)) >= enough:
            break
    return torch.cat(found)[:enough]


def split(run: Fit, x: Any, held_out: Any, seed: int) -> tuple[Batches, Batches]:
    """Batches of equal size to fit to, and others to compare on."""
    missing = takes_missing(run.model, run.guide)

    def of(data: Any, **options: Any) -> Batches:
        return as_batches(data, batch_size=_BATCH, device=run.device, seed=seed, missing=missing, **options)

    train = of(x)
    if held_out is None:
        data = train.data
        if data is None or len(data) < 20:
            raise ValueError(
                explain(
                    "fit_prior, held_out",
                    expected="data to compare the priors on",
                    got=f"None, beside {'a stream of data' if data is None else f'{len(data)} data'}",
                    remedy="Pass held_out=validation data; of 20 data or more in memory a tenth is taken.",
                )
            )
        order = torch.randperm(len(data), generator=randomness.generator("held out", seed))
        train, held_out = of(data.subset(order[len(data) // 10 :])), data.subset(order[: len(data) // 10])
    if train.data is not None:
        # A short batch at the end of an epoch would count for as much as a whole one.
        size = math.ceil(len(train.data) / math.ceil(len(train.data) / _BATCH))
        train = as_batches(train.data, batch_size=size, device=run.device, seed=seed)
    return train, of(held_out, shuffle=False)
