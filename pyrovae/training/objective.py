"""What the loop minimises: the loss as given, its KL terms weighed during the warm-up, and a finite value."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from pyro import poutine
from pyro.infer import (
    ELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
)
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.objectives import Objective, Termwise
from pyrovae.types import Program

_ELBOS = (Trace_ELBO, TraceMeanField_ELBO, TraceGraph_ELBO, TraceEnum_ELBO, Termwise)


class KLWeight(Messenger):
    r"""Scales the latent sites of a program, and only those, by a weight.

    On both programs at once it makes of the ELBO

    .. math:: \mathbb E_q \log p(x \mid z) - \beta\, \mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big).

    On one side only it would not: a mean-field ELBO reads the guide's scale alone.

    References:
        Bowman et al., 2016, Generating Sentences from a Continuous Space, https://arxiv.org/abs/1511.06349
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and not isinstance(msg["fn"], _Subsample):
            msg["scale"] = msg["scale"] * self.weight


def weighted(program: Program, weight: Tensor) -> Program:
    """The program with its latent sites scaled by a weight, a tensor that may change between calls."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with KLWeight(weight):
            return program(*args, **kwargs)

    return run


def check_loss(loss: Any, *, warmup: bool) -> None:
    """Refuses what is no objective, and a KL warm-up of an objective in which it means nothing.

    Raises:
        TypeError: for something that is neither an ELBO of Pyro's kind nor a callable.
        ValueError: for a warm-up beside a loss that is not an ELBO.
    """
    if not (isinstance(loss, ELBO) or callable(loss)):
        raise TypeError(
            explain(
                "loss",
                expected="a pyro.infer ELBO, or a callable loss(model, guide, *args)",
                got=repr(loss),
                remedy="Try pyro.infer.Trace_ELBO().",
            )
        )
    if warmup and not isinstance(loss, _ELBOS):
        raise ValueError(
            explain(
                "kl_warmup",
                expected="a loss that is an ELBO, the only one with a KL term to weigh",
                got=type(loss).__name__,
                remedy="A weighted KL makes no bound of it: set kl_warmup=0, or take an ELBO.",
            )
        )


def check_paths(loss: Any, without: tuple[str, ...]) -> None:
    """Refuses the mean-field ELBO of a guide that it would train by its KL terms alone.

    Raises:
        ValueError: by site, for draws that have no gradient.
    """
    if without and isinstance(loss, TraceMeanField_ELBO):
        raise ValueError(
            explain(
                f"guide, site {without[0]!r}",
                expected=f"draws with a gradient, under {type(loss).__name__}",
                got="a distribution without rsample, that the likelihood would teach nothing",
                remedy="Take pyrovae.objectives.ELBO(), or Trace_ELBO().",
            )
        )


def unweighted(loss: Any) -> Any:
    """The objective of validation: the given loss if it is an ELBO, otherwise a Monte Carlo ELBO."""
    if isinstance(loss, Objective):
        return loss.unweighted()
    return loss if isinstance(loss, _ELBOS) else Trace_ELBO()


def with_plates(loss: Any, nesting: int) -> Any:
    """The loss with its plate nesting known, where it would have to guess it; at the beginning of a run."""
    if isinstance(loss, Objective):
        loss = loss.fresh()
        if math.isinf(loss.max_plate_nesting):
            loss.max_plate_nesting = nesting
    elif isinstance(loss, ELBO) and math.isinf(loss.max_plate_nesting):
        loss = copy.copy(loss)
        # Pyro counts the plate of the particles in, as its constructor does.
        loss.max_plate_nesting = nesting + int(loss.vectorize_particles and loss.num_particles > 1)
    return loss


def scalar(loss: Any) -> float:
    """A loss as a number; of a pair (reweighted wake-sleep) the model's."""
    return float(loss[0] if isinstance(loss, tuple) else loss)


class NonFiniteLoss(ArithmeticError):
    """The loss is NaN or infinite; no parameter was changed."""


def find_nonfinite(model: Program, guide: Program, args: tuple[Tensor, ...]) -> str:
    """Where the first value that isn't finite shows: a site of the guide, a site of the model, or nowhere."""
    with torch.no_grad(), poutine.block():
        guide_trace = poutine.trace(guide).get_trace(*args)
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args)
    traces: list[tuple[str, Any]] = [("guide", guide_trace), ("model", model_trace)]
    for role, trace in traces:
        for name, site in trace.nodes.items():
            if site["type"] == "param" and not torch.isfinite(site["value"]).all():
                return f"parameter {name!r} of the {role}"
            if site["type"] != "sample" or isinstance(site["fn"], _Subsample):
                continue
            observed = site["is_observed"] and site["fn"].support.check(site["value"]).all()
            if not (observed or torch.isfinite(site["value"]).all()):
                return f"site {name!r} of the {role} (its value)"
            if not torch.isfinite(site["fn"].log_prob(site["value"])).all():
                return f"site {name!r} of the {role} (its log density)"
    return "no site at a second draw: a gradient, or a rare sample"
