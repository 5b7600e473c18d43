"""The file that all sides start from: batches of binary data and the first weights.

Written once by the parent, read by every worker; reading needs NumPy alone, for not every side has torch.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from steps.workloads import IMAGE, PIXELS, Workload

WEIGHT = "weight:"


class Problem(NamedTuple):
    """A workload, its batches ``(count, batch, inputs)`` of zeros and ones, and weights by torch's names."""

    work: Workload
    batches: np.ndarray
    weights: dict[str, np.ndarray]

    def save(self, path: Path) -> None:
        named = {WEIGHT + name: value for name, value in self.weights.items()}
        np.savez(path, batches=self.batches, **named)

    @classmethod
    def load(cls, work: Workload, path: Path) -> Problem:
        with np.load(path) as stored:
            weights = {
                name.removeprefix(WEIGHT): stored[name] for name in stored.files if name.startswith(WEIGHT)
            }
            return cls(work, stored["batches"], weights)


def pose(work: Workload, *, batch: int, seed: int, sharpen: float = 1.0) -> Problem:
    """Draws batches and weights; with ``sharpen`` above 1 the first q is far from the prior, and narrower."""
    import torch

    from steps.networks import Networks

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = Networks(work)
    with torch.no_grad():
        networks.encoder[-1].weight.mul_(sharpen)
        networks.encoder[-1].bias[work.latent :].sub_(math.log(sharpen))  # the log scale's
    weights = {name: value.numpy().copy() for name, value in networks.state_dict().items()}
    # Several batches, taken in turn: a single one would soon be learned by heart.
    count = min(max(8192 // batch, 2), 32)
    return Problem(work, digits(work.inputs, (count, batch), np.random.default_rng(seed)), weights)


def digits(inputs: int, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Embedded digits, binarised by a draw, ``(*shape, inputs)``: all of 28 x 28 pixels, or a row of 8."""
    from sklearn.datasets import load_digits

    gray = load_digits().images[generator.integers(1797, size=shape)] / 16
    if inputs == PIXELS:
        nearest = np.arange(IMAGE) * 8 // IMAGE
        gray = gray[..., nearest[:, None], nearest]
    else:
        gray = gray[..., 3, :inputs]
    gray = gray.reshape(*shape, inputs)
    return (generator.random(gray.shape) < gray).astype(np.float32)
