"""Baselines: what is subtracted from the cost of a score-function site, which keeps its gradient's mean."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.objectives._state import State


@dataclass(frozen=True)
class Cost:
    """The cost of one site, and what a baseline may know of it.

    Attributes:
        value: the cost, ``(particles, plates...)``, nats, detached; enumerated dimensions to the left.
        particles: the dimension of the particles, counted from the right, and how many there are.
        data: the dimension of the data plate, counted from the right, or None.
        site: the name of the site.
        args: what the programs were called with.
    """

    value: Tensor
    particles: tuple[int, int]
    data: int | None
    site: str
    args: tuple[Any, ...]


class Baseline(ABC):
    """Predicts the cost of a score-function site without looking at its draw."""

    @abstractmethod
    def predict(self, cost: Cost, state: State, *, learn: bool) -> tuple[Tensor, Tensor | None]:
        """The prediction, broadcastable against the cost and detached, and a loss to train it by, or None."""

    def begin(self, site: str, state: State, device: torch.device) -> None:  # noqa: B027
        """Makes what it keeps; nothing, as a rule."""

    def check(self, particles: int) -> str | None:
        """Why it can't be used with so many particles, or None."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class LeaveOneOut(Baseline):
    r"""The mean cost of the other particles of the same datum.

    .. math:: b_k = \frac{1}{K - 1} \sum_{j \ne k} c_j

    It needs two particles at least, and no state.

    References:
        Mnih and Rezende, 2016, Variational Inference for Monte Carlo Objectives,
        https://arxiv.org/abs/1602.06725
        Kool, van Hoof and Welling, 2019, Buy 4 REINFORCE Samples, Get a Baseline for Free!
    """

    def predict(self, cost: Cost, state: State, *, learn: bool) -> tuple[Tensor, Tensor | None]:
        dim, count = cost.particles
        total = cost.value.sum(dim, keepdim=True)
        return (total - cost.value) / (count - 1), None

    def check(self, particles: int) -> str | None:
        return None if particles >= 2 else "it needs num_particles=2 or more"


class DecayingAverage(Baseline):
    r"""The decaying average of the costs of earlier steps, one number for all data.

    .. math:: m_t = \beta\, m_{t-1} + (1 - \beta)\, \bar c_t, \qquad b_t = m_{t-1} / (1 - \beta^{t-1})

    Arguments:
        decay: :math:`\beta`, in (0, 1).

    References:
        Mnih and Gregor, 2014, Neural Variational Inference and Learning in Belief Networks,
        https://arxiv.org/abs/1402.0030
    """

    def __init__(self, decay: float = 0.9) -> None:
        if not 0 < decay < 1:
            raise ValueError(
                explain("DecayingAverage", expected="a decay in (0, 1)", got=repr(decay), remedy="Try 0.9.")
            )
        self.decay = decay

    def begin(self, site: str, state: State, device: torch.device) -> None:
        for part in ("mean", "weight"):
            state.get(f"baseline.{site}.{part}", device)

    def predict(self, cost: Cost, state: State, *, learn: bool) -> tuple[Tensor, Tensor | None]:
        device = cost.value.device
        mean = state.get(f"baseline.{cost.site}.mean", device)
        weight = state.get(f"baseline.{cost.site}.weight", device)
        # Before the first step mean and weight are 0, and so is the baseline.
        prediction = (mean / weight.clamp(min=1e-12)).to(cost.value.dtype)
        if learn:
            with torch.no_grad():
                mean.mul_(self.decay).add_((1 - self.decay) * cost.value.mean().to(mean.dtype))
                weight.mul_(self.decay).add_(1 - self.decay)
        return prediction, None

    def __repr__(self) -> str:
        return f"DecayingAverage({self.decay})"


class NeuralBaseline(Baseline):
    r"""A network's prediction from the datum, trained beside the guide by least squares.

    .. math:: b(x) = f_\psi(x), \qquad \psi = \arg\min \mathbb E\,(c - f_\psi(x))^2

    Its parameters go the way of all others: to the optimiser by ``pyro.module``, and into checkpoints.

    Arguments:
        net: from the first argument of the programs, ``(n, ...)``, to ``(n,)`` or ``(n, 1)``.

    References:
        Mnih and Gregor, 2014, Neural Variational Inference and Learning in Belief Networks,
        https://arxiv.org/abs/1402.0030
    """

    def __init__(self, net: nn.Module) -> None:
        if not isinstance(net, nn.Module):
            raise TypeError(
                explain(
                    "NeuralBaseline",
                    expected="a network from the data to one number each",
                    got=repr(net),
                    remedy="Try NeuralBaseline(pyrovae.nets.MLP(784, 100, 1)).",
                )
            )
        self.net = net

    def __getstate__(self) -> dict[str, Any]:
        # Pyro hangs references on parameters that can't be pickled; copies have none.
        return {"net": copy.deepcopy(self.net)}

    def begin(self, site: str, state: State, device: torch.device) -> None:
        pyro.module(f"baseline_{site}", self.net.to(device))

    def predict(self, cost: Cost, state: State, *, learn: bool) -> tuple[Tensor, Tensor | None]:
        if cost.data is None:
            raise ValueError(
                explain(
                    f"site {cost.site!r}, NeuralBaseline",
                    expected='a plate "data", one prediction for each datum',
                    got="a site without one",
                    remedy="Use DecayingAverage, or put the site into the plate.",
                )
            )
        if learn:
            pyro.module(f"baseline_{cost.site}", self.net)
        raw = self.net(cost.args[0])
        size = cost.value.shape[cost.data]
        if raw.numel() != size:
            raise ValueError(
                explain(
                    f"site {cost.site!r}, NeuralBaseline",
                    expected=f"one number for each of {size} data",
                    got=f"a tensor of shape {tuple(raw.shape)}",
                    remedy="Give the network one output.",
                )
            )
        prediction = raw.reshape(size, *[1] * (-cost.data - 1))
        error = (cost.value - prediction).square()
        # One datum counts as in the bound: summed over data, averaged over particles and what is enumerated.
        share = size / error.numel()
        return prediction.detach(), error.sum() * share if learn else None

    def __repr__(self) -> str:
        return f"NeuralBaseline({type(self.net).__name__})"
