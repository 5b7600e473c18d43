"""The variance and the bias of the guide's gradient, and how sure these are, for one objective."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from truths import Truth, exact_gradient, sampled_gradients

from pyrovae import objectives as o


def drawn(truth: Truth, objective: o.Objective, draws: int, repeats: int = 1, seed: int = 0) -> Tensor:
    """Gradients of the guide's parameters as vectors, ``(draws, size)``, summed over the truth's data."""
    samples = sampled_gradients(truth, objective, draws, seed, repeats=repeats)
    return torch.cat([samples[name].reshape(draws, -1) for name in truth.guide_names], 1)


class Reference(NamedTuple):
    """What a gradient's mean is compared with.

    Attributes:
        mean: the guide's gradient, ``(size,)``.
        chance: the total variance that it has itself; 0 where it is exact.
    """

    mean: Tensor
    chance: float


def reference_of(truth: Truth, objective: o.Objective, draws: int, repeats: int) -> Reference:
    """The guide's exact gradient, or the doubly reparameterized mean for IWAE of normals."""
    if not isinstance(objective, o.IWAE):
        exact = exact_gradient(truth)
    elif truth.has_exact_bound:
        count = objective.num_particles
        exact = exact_gradient(truth, lambda p, x: truth.exact_iwae(p, x, count))
    else:
        double = o.IWAE(objective.num_particles, estimators=o.DoublyReparameterized())
        samples = drawn(truth, double, draws, repeats, seed=1)
        return Reference(samples.mean(0), samples.var(0).sum().item() / draws)
    return Reference(torch.cat([exact[name].flatten() for name in truth.guide_names]), 0.0)


def measured(
    truth: Truth, objective: o.Objective, draws: int, repeats: int, reference: Reference | None = None
) -> dict[str, Any]:
    """Variance per datum, signal to noise, and bias by the length of the reference.

    Each draw is a mean over ``repeats`` copies of the data, drawn apart, which makes its variance so many
    times smaller. The part that chance has in the squared bias is subtracted from it.
    """
    samples = drawn(truth, objective, draws, repeats)
    variance = samples.var(0).sum().item()
    found = {
        "variance": variance * repeats / len(truth.data),
        "signal_to_noise": _signal_to_noise(samples, repeats),
    }
    if reference is None:
        return found
    length = reference.mean.norm().item()
    chance = variance / draws + reference.chance
    square = (samples.mean(0) - reference.mean).square().sum().item()
    return found | {
        "bias": math.sqrt(max(square - chance, 0.0)) / length,
        "error": math.sqrt(chance) / length,
    }


def _signal_to_noise(samples: Tensor, repeats: int) -> float:
    """|mean| / standard deviation of a single draw, the mean over the parameters.

    References:
        Rainforth et al., 2018, Tighter Variational Bounds are Not Necessarily Better,
        https://arxiv.org/abs/1802.04537
    """
    deviation = samples.std(0) * repeats**0.5
    moving = deviation > 1e-12
    if not moving.any():
        return math.inf
    return (samples.mean(0).abs()[moving] / deviation[moving]).mean().item()
