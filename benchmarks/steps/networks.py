"""The networks of the torch sides: the same layers, made in the same order, for every one of them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from steps.problem import Problem
from steps.workloads import IMAGE, Workload


def mlp(*sizes: int, activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers of these sizes with an activation between each two."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def activation(work: Workload) -> type[nn.Module]:
    """Tanh in the IWAE, as its paper has it, and softplus as in Pyro's tutorial."""
    return nn.Tanh if work.particles > 1 else nn.Softplus


def encoder(work: Workload) -> nn.Sequential:
    """``(..., inputs)``, one-hot classes behind if there are any, to location and log scale of q(z | x)."""
    if work.channels:
        first, second = work.channels
        return nn.Sequential(
            nn.Unflatten(-1, (1, IMAGE, IMAGE)),
            nn.Conv2d(1, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second * (IMAGE // 4) ** 2, 2 * work.latent),
        )
    inputs = work.inputs + work.classes
    return mlp(inputs, *work.hidden, 2 * work.latent, activation=activation(work))


def decoder(work: Workload) -> nn.Sequential:
    """``(..., latent)``, with one-hot classes behind if there are any, to the logits of p(x | z)."""
    if work.channels:
        first, second = work.channels
        return nn.Sequential(
            nn.Linear(work.latent, second * (IMAGE // 4) ** 2),
            nn.ReLU(),
            nn.Unflatten(-1, (second, IMAGE // 4, IMAGE // 4)),
            nn.ConvTranspose2d(second, first, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1),
            nn.Flatten(),
        )
    inputs = work.latent + work.classes
    return mlp(inputs, *reversed(work.hidden), work.inputs, activation=activation(work))


class Networks(nn.Module):
    """Encoder and decoder, and a classifier where there are classes."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        self.work = work
        self.encoder = encoder(work)
        self.decoder = decoder(work)
        if work.classes:
            self.classifier = mlp(work.inputs, *work.hidden, work.classes, activation=activation(work))


def load(module: nn.Module, problem: Problem, prefix: str = "") -> None:
    """Gives a module the weights that all sides start from; ``prefix`` as in "encoder."."""
    weights = {
        name.removeprefix(prefix): torch.from_numpy(value)
        for name, value in problem.weights.items()
        if name.startswith(prefix)
    }
    module.load_state_dict(weights)


def tensors(problem: Problem, device: str) -> list[Tensor]:
    """The batches, ``(batch, inputs)`` each, where the step will run."""
    return [torch.from_numpy(x).to(device) for x in problem.batches]
