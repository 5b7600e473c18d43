"""log p(x, z) and log q(z | x) of a truth's programs, as Pyro computes them, without an ELBO object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

from truths.truth import Pair, Truth

Choice = Callable[[Any], Tensor]


class Chosen(Messenger):
    """Gives latent sites values that are a function of their distributions, instead of draws."""

    def __init__(self, choices: Mapping[str, Choice]) -> None:
        super().__init__()
        self._choices = choices

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] in self._choices:
            msg["value"] = self._choices[msg["name"]](msg["fn"])
            msg["done"] = True


def log_densities(
    truth: Truth, pair: Pair, particles: int, *, choices: Mapping[str, Choice] | None = None
) -> tuple[Tensor, Tensor]:
    """log p(x, z) and log q(z | x), each ``(particles, n)``, differentiable in the pair's parameters.

    Args:
        choices: By site, from its distribution under the guide to a value with the particles in dim 0;
            draws of the guide without it.
    """
    plate = pyro.plate("particles", particles, dim=-truth.max_plate_nesting - 1)
    with pyro.get_param_store().scope(), plate:
        with Chosen(choices or {}):
            drawn = poutine.trace(pair.guide).get_trace(truth.data)
        played = poutine.trace(poutine.replay(pair.model, trace=drawn)).get_trace(truth.data)
        sums = []
        for trace in (played, drawn):
            trace.compute_log_prob()
            total = torch.zeros(particles, len(truth.data), dtype=truth.data.dtype)
            for name in {*truth.kinds, "x"} & set(trace.nodes):
                log_prob = trace.nodes[name]["log_prob"]
                total = total + (log_prob.sum(-1) if truth.max_plate_nesting == 2 else log_prob)
            sums.append(total)
    return sums[0], sums[1]
