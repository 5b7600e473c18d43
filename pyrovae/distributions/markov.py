"""A Markov chain of vectors as one event: drawn step by step, scored in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.types import Distribution

Transition = Callable[..., Distribution]
"""From the states before, ``(..., d)``, and what comes in at a step, ``(..., k)``, if anything does, to the
distribution of the states after, batch ``(...)``."""


class MarkovChain(TorchDistribution):
    r"""A sequence of vectors in which each depends on the one before, and on what comes in at its step.

    .. math:: p(z) = p(z_1) \prod_{t=2}^T p(z_t \mid z_{t-1}, u_t)

    Draws take T calls of the transition, one after the other; the log density takes one call, for all steps
    at once. So the transition must treat every leading dimension alike, as networks of this package do.
    There is no formula for the mean: average draws.

    Arguments:
        initial: :math:`p(z_1)`, event ``(d,)``, any batch.
        transition: ``transition(z)`` or, where there are inputs, ``transition(z, u)``: from states
            ``(..., d)`` and inputs ``(..., k)``, whose leading dimensions broadcast, to a distribution of the
            event ``(d,)``.
        length: T.
        inputs: u of the steps from the second on, ``(..., T - 1, k)``; their leading dimensions broadcast
            with the batch of ``initial``, and are not copied when the batch is expanded to the left.

    Shapes: an event is ``(T, d)``.

    Raises:
        ValueError: an initial distribution that isn't one of vectors, a length below one, inputs of another
            length, or (when it is drawn from or scored) a transition to other events.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> from pyrovae.distributions import MarkovChain
        >>> walk = MarkovChain(
        ...     dist.Normal(torch.zeros(2), 1.0).to_event(1), lambda z: dist.Normal(z, 0.1).to_event(1), 50
        ... )
        >>> walk
        MarkovChain(length=50, dim=2)
        >>> _ = torch.manual_seed(0)
        >>> z = walk.sample((4,))
        >>> z.shape, walk.log_prob(z).shape
        (torch.Size([4, 50, 2]), torch.Size([4]))
        >>> round((z[:, 1:] - z[:, :-1]).std().item(), 2)
        0.1
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(
        self,
        initial: Distribution,
        transition: Transition,
        length: int,
        *,
        inputs: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if len(initial.event_shape) != 1:
            raise ValueError(
                explain(
                    "MarkovChain, initial",
                    expected="a distribution of vectors, event shape (d,)",
                    got=f"event shape {tuple(initial.event_shape)}",
                    remedy="Declare the dimensions of a state by .to_event(1).",
                )
            )
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ValueError(
                explain(
                    "MarkovChain, length",
                    expected="a positive number of steps",
                    got=repr(length),
                    remedy="Count the first state too.",
                )
            )
        if inputs is not None and (inputs.ndim < 2 or inputs.shape[-2] != length - 1):
            raise ValueError(
                explain(
                    "MarkovChain, inputs",
                    expected=f"shape (..., {length - 1}, k), one input for each step but the first",
                    got=f"{tuple(inputs.shape)}",
                    remedy="The first state's goes into the initial distribution; pass inputs[..., 1:, :].",
                )
            )
        batch_shape = initial.batch_shape
        if inputs is not None:
            batch_shape = torch.broadcast_shapes(batch_shape, inputs.shape[:-2])
        self.initial = initial if batch_shape == initial.batch_shape else initial.expand(batch_shape)
        self.transition, self.inputs = transition, inputs
        self.has_rsample = bool(initial.has_rsample)
        event_shape = torch.Size((length, *initial.event_shape))
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    @property
    def length(self) -> int:
        """T, the number of states."""
        return self.event_shape[0]

    @constraints.dependent_property(event_dim=2)
    def support(self) -> Any:
        """That of the initial distribution, at each step."""
        return constraints.independent(self.initial.support, 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MarkovChain:
        new: MarkovChain = self._get_checked_instance(MarkovChain, _instance)  # type: ignore[no-untyped-call]
        batch_shape = torch.Size(batch_shape)
        new.initial = self.initial.expand(batch_shape)
        new.transition, new.inputs = self.transition, self.inputs
        new.has_rsample = self.has_rsample
        super(MarkovChain, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for sequences ``(..., T, d)``."""
        if self._validate_args:
            self._validate_sample(value)
        first: Tensor = self.initial.log_prob(value[..., 0, :])
        if self.length == 1:
            return first
        steps = self._step(value[..., :-1, :], self.inputs).log_prob(value[..., 1:, :])
        return first + steps.sum(-1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Sequences, ``sample_shape + (..., T, d)``, differentiable in all that they were made of."""
        return self._draw("rsample", torch.Size(sample_shape))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Sequences, ``sample_shape + (..., T, d)``, without gradients."""
        with torch.no_grad():
            return self._draw("sample", torch.Size(sample_shape))

    def _draw(self, method: str, sample_shape: torch.Size) -> Tensor:
        states: list[Tensor] = [getattr(self.initial, method)(sample_shape)]
        shape = sample_shape + self.batch_shape
        for t in range(self.length - 1):
            after = self._step(states[-1], None if self.inputs is None else self.inputs[..., t, :])
            # One that doesn't look at the state would draw once for all.
            states.append(getattr(after if after.batch_shape == shape else after.expand(shape), method)())
        return torch.stack(states, -2)

    def _step(self, states: Tensor, inputs: Tensor | None) -> Distribution:
        after = self.transition(states) if inputs is None else self.transition(states, inputs)
        if after.event_shape != self.event_shape[1:]:
            raise ValueError(
                explain(
                    "MarkovChain, transition",
                    expected=f"a distribution of the initial one's event shape {tuple(self.event_shape[1:])}",
                    got=f"event shape {tuple(after.event_shape)}",
                    remedy="Give its network the outputs that its head takes for so many dimensions.",
                )
            )
        return after

    def __repr__(self) -> str:
        shape = f", batch_shape={tuple(self.batch_shape)}" if self.batch_shape else ""
        return f"MarkovChain(length={self.length}, dim={self.event_shape[1]}{shape})"
