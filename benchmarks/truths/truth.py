"""A pair of small Pyro programs whose ELBO, evidence and gradients are known, not estimated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pyro
import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]
Body = Callable[[Parameters, Tensor], None]
Exact = Callable[[Parameters, Tensor], Tensor]
Bound = Callable[[Tensor], Tensor]
Kind = Literal["reparameterized", "finite", "bernoulli vector"]


class Pair(NamedTuple):
    """Two Pyro programs of one argument, and the leaves that the parameter store holds once they have run."""

    model: Callable[[Tensor], None]
    guide: Callable[[Tensor], None]
    parameters: dict[str, Tensor]


class Programs(NamedTuple):
    """The bodies of the two programs: functions of their parameters and of the data."""

    model: Body
    guide: Body


class Values(NamedTuple):
    """Where the parameters start, float64 and unconstrained; no name is on both sides."""

    model: dict[str, Tensor]
    guide: dict[str, Tensor]


class Answers(NamedTuple):
    """What is known, ``(n,)`` nats each, differentiable in the parameters.

    Attributes:
        bound: E over K independent draws of a function of their log weights; None where no sum gives it.
    """

    elbo: Exact
    evidence: Exact
    bound: Callable[[Parameters, Tensor, int, Bound], Tensor] | None = None


@dataclass(frozen=True)
class Truth:
    """A model, a guide, four data, and what every correct estimator must agree with in mean.

    Attributes:
        data: ``(n, d)``, float64.
        kinds: What each latent site is, by name.
        max_plate_nesting: 1 where "data" is the only plate, at dim -1; 2 where it is at dim -2.
    """

    name: str
    data: Tensor
    kinds: dict[str, Kind]
    programs: Programs
    values: Values
    answers: Answers
    max_plate_nesting: int = 1

    @property
    def model_names(self) -> tuple[str, ...]:
        return tuple(self.values.model)

    @property
    def guide_names(self) -> tuple[str, ...]:
        return tuple(self.values.guide)

    def make(self) -> Pair:
        """The programs with leaves of their own: a second pair shares nothing with the first."""
        # Contiguous, or the store would hold a copy and not the leaf.
        sides = [
            {
                name: value.clone(memory_format=torch.contiguous_format).requires_grad_()
                for name, value in side
            }
            for side in (self.values.model.items(), self.values.guide.items())
        ]

        def program(body: Body, leaves: dict[str, Tensor]) -> Callable[[Tensor], None]:
            def run(x: Tensor) -> None:
                body({name: pyro.param(name, leaf) for name, leaf in leaves.items()}, x)

            return run

        model, guide = (program(*side) for side in zip(self.programs, sides, strict=True))
        return Pair(model, guide, sides[0] | sides[1])

    def exact_elbo(self, parameters: Parameters, x: Tensor) -> Tensor:
        """E_q [log p(x, z) - log q(z | x)] of each datum, ``(n,)`` nats."""
        return self.answers.elbo(parameters, x)

    def exact_evidence(self, parameters: Parameters, x: Tensor) -> Tensor:
        """log p(x) of each datum, ``(n,)`` nats."""
        return self.answers.evidence(parameters, x)

    def exact_bound(self, parameters: Parameters, x: Tensor, num_particles: int, function: Bound) -> Tensor:
        """The expectation of ``function(log_weights)`` over K independent draws of the guide, ``(n,)``.

        Args:
            function: From log weights ``(K, tuples, n)`` to ``(tuples, n)``.

        Raises:
            TypeError: If the latents are not finite: no sum gives this.
        """
        if self.answers.bound is None:
            raise TypeError(f"truth {self.name!r}: only finite latents have an exact bound of many particles")
        return self.answers.bound(parameters, x, num_particles, function)

    def exact_iwae(self, parameters: Parameters, x: Tensor, num_particles: int) -> Tensor:
        """E log (1/K) sum_k p(x, z_k) / q(z_k | x) of each datum, ``(n,)`` nats.

        Raises:
            TypeError: If the latents are not finite.
        """
        return self.exact_bound(
            parameters, x, num_particles, lambda weights: weights.logsumexp(0) - math.log(num_particles)
        )

    @property
    def has_exact_bound(self) -> bool:
        return self.answers.bound is not None

    def __repr__(self) -> str:
        return f"Truth({self.name!r}, {self.kinds})"


def exact_gradient(truth: Truth, answer: Exact | None = None) -> dict[str, Tensor]:
    """The gradient of the *negative* answer, summed over the data, by name: Pyro's convention for a loss.

    Args:
        answer: What to differentiate, from (parameters, x) to ``(n,)``; the exact ELBO by default.
    """
    parameters = truth.make().parameters
    loss = -(answer or truth.exact_elbo)(parameters, truth.data).sum()
    gradients: tuple[Any, ...] = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(parameters.items(), gradients, strict=True)
    }
