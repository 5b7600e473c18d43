"""The gradients that an ELBO object of Pyro's convention draws, and how far they are from the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import pyro
import torch
from torch import Tensor

from truths.truth import Truth

ROUNDING = 1e-10
Program = Callable[..., None]


class Loss(Protocol):
    """What is needed of a ``pyro.infer.ELBO``."""

    def loss_and_grads(self, model: Program, guide: Program, *args: Tensor) -> float: ...


def sampled_gradients(
    truth: Truth,
    loss: Loss,
    draws: int,
    seed: int,
    *,
    repeats: int = 1,
    handler: Callable[[Program], Program] | None = None,
) -> dict[str, Tensor]:
    """The gradients of ``loss.loss_and_grads`` at the first values, ``(draws, *shape)`` by name.

    The parameter store and torch's generator are left as they were.

    Args:
        repeats: How often the data are repeated in one call; the gradients are divided by it. Cheap draws,
            for losses that treat each datum alone.
        handler: Wraps the guide, such as ``pyro.infer.config_enumerate``.
    """
    model, guide, parameters = truth.make()
    if handler is not None:
        guide = handler(guide)
    x = truth.data.repeat(repeats, 1)
    drawn: dict[str, list[Tensor]] = {name: [] for name in parameters}
    with pyro.get_param_store().scope(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(draws):
            loss.loss_and_grads(model, guide, x)
            for name, leaf in parameters.items():
                gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                drawn[name].append(gradient / repeats)
                leaf.grad = None
    return {name: torch.stack(gradients) for name, gradients in drawn.items()}


def z_scores(samples: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """(mean - exact) / standard error of each entry, by name.

    0 where the two agree to rounding, whatever the standard error; infinite where they don't and it is 0.

    Raises:
        KeyError: If a sampled name has no exact value.
    """
    scores = {}
    for name, drawn in samples.items():
        error = drawn.std(0) / len(drawn) ** 0.5
        difference = drawn.mean(0) - exact[name]
        agree = difference.abs() <= ROUNDING * (1 + exact[name].abs())
        scores[name] = torch.where(agree, torch.zeros_like(difference), difference / error)
    return scores
