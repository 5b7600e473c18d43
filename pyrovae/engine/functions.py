"""What an ``SVI`` computes, as functions that can be captured: loss and gradients, or the loss alone."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.infer.util import torch_item
from torch import Tensor

from pyrovae.engine.footprint import Footprint


class Layout(NamedTuple):
    """What a step's results are.

    Attributes:
        losses: how many of them are losses, at the head.
        kind: the type of tuple that the objective returns, or None for a single loss.
        reached: the leaves whose gradients follow.
        parameters: all that the programs are made of, as the optimiser sees it.
    """

    losses: int = 1
    kind: type | None = None
    reached: tuple[Tensor, ...] = ()
    parameters: tuple[Tensor, ...] = ()


class StepFunction:
    """Loss and gradients as a function, ``[losses..., gradients...]``, that leaves every ``grad`` alone.

    Attributes:
        layout: what the last results are.
        leaves: all tensors that any run has left a gradient in, networks that Pyro doesn't know of included.
    """

    def __init__(self, svi: Any) -> None:
        self.svi = svi
        self.layout = Layout()
        self.leaves: list[Tensor] = []
        self._trained: set[Tensor] = set()

    def eager(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the objective as Pyro does, gradients into ``grad``; returns the loss."""
        svi = self.svi
        with poutine.trace(param_only=True) as capture:
            loss = svi.loss_and_grads(svi.model, svi.guide, *args, **kwargs)
        sites: list[Any] = list(capture.trace.nodes.values())
        parameters = [site["value"].unconstrained() for site in sites]
        self.layout = Layout(parameters=tuple({id(p): p for p in parameters}.values()))
        return type(loss)(map(torch_item, loss)) if isinstance(loss, tuple) else torch_item(loss)

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The losses and, for each leaf that has one, its gradient."""
        kept = [leaf.grad for leaf in self.leaves]
        for leaf in self.leaves:
            leaf.grad = None
        try:
            loss = self.eager(args, kwargs)
            gradients = [(leaf, leaf.grad) for leaf in self.leaves]
        finally:
            for leaf, gradient in zip(self.leaves, kept, strict=True):
                leaf.grad = gradient
        parts = loss if isinstance(loss, tuple) else (loss,)
        reached = tuple(leaf for leaf, gradient in gradients if gradient is not None)
        kind = type(loss) if isinstance(loss, tuple) else None
        self.layout = Layout(len(parts), kind, reached, self.layout.parameters)
        found = [_laid_out(gradient, leaf) for leaf, gradient in gradients if gradient is not None]
        return [*map(_as_tensor, parts), *found]

    def put(self, results: list[Tensor]) -> Any:
        """Adds gradients to those that are there; returns the loss."""
        self.deposit(results)
        layout = self.layout
        numbers = [part.item() for part in results[: layout.losses]]
        if any(map(math.isnan, numbers)):
            warnings.warn("Encountered NaN: loss", stacklevel=5)
        return numbers[0] if layout.kind is None else layout.kind(numbers)

    def deposit(self, results: list[Tensor]) -> None:
        """Adds gradients to those that are there."""
        for leaf, gradient in zip(self.layout.reached, results[self.layout.losses :], strict=True):
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient

    def fill(self) -> None:
        """Gives a zero gradient to parameters that had one in an earlier step, and none in this.

        Pyro clears gradients to zero: the optimiser's momentum moves a parameter that a step has named.
        """
        for parameter in self.layout.parameters:
            if parameter.grad is not None:
                self._trained.add(parameter)
            elif parameter in self._trained:
                parameter.grad = torch.zeros_like(parameter)

    def clear(self) -> None:
        """Forgets the parameters' gradients."""
        for parameter in self.layout.parameters:
            parameter.grad = None

    def keep(self) -> None:
        """Copies the gradients that are there, where the next replay would overwrite them."""
        for leaf in self.layout.reached:
            leaf.grad = None if leaf.grad is None else leaf.grad.clone()

    def learn(self, footprint: Footprint) -> bool:
        """Takes note of leaves not known yet; says whether there were any."""
        return bool(self.take(footprint.reached(), footprint))

    def take(self, leaves: list[Tensor], footprint: Footprint) -> list[tuple[Tensor, Tensor | None]]:
        """Takes note of leaves not known yet; returns them with their gradients, which it takes from them."""
        known = {id(leaf) for leaf in self.leaves}
        new = list({id(leaf): leaf for leaf in leaves if id(leaf) not in known}.values())
        self.leaves += new
        gradients = [(leaf, leaf.grad) for leaf in new]
        for leaf, gradient in gradients:
            if gradient is not None and footprint.is_born(gradient):
                leaf.grad = None
        return gradients

    def programs(self) -> list[Any]:
        """Model, guide and objective."""
        return [self.svi.model, self.svi.guide, self.svi.loss_and_grads]


class LossFunction:
    """The loss alone as a function, ``[losses...]``."""

    def __init__(self, svi: Any) -> None:
        self.svi = svi
        self.layout: type | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The losses."""
        with torch.no_grad():
            loss = self.svi.loss(self.svi.model, self.svi.guide, *args, **kwargs)
        self.layout = type(loss) if isinstance(loss, tuple) else None
        return list(map(_as_tensor, loss if isinstance(loss, tuple) else (loss,)))

    def as_numbers(self, results: list[Tensor]) -> Any:
        """The loss as ``evaluate_loss`` returns it."""
        numbers = [part.item() for part in results]
        return numbers[0] if self.layout is None else self.layout(numbers)

    def learn(self, footprint: Footprint) -> bool:
        """There is nothing to learn."""
        return False

    def programs(self) -> list[Any]:
        """Model, guide and objective."""
        return [self.svi.model, self.svi.guide, self.svi.loss]


def _laid_out(gradient: Tensor, leaf: Tensor) -> Tensor:
    """The gradient with the strides of its parameter: fused optimisers take them to be the same."""
    if gradient.layout is not torch.strided or gradient.stride() == leaf.stride():
        return gradient
    return torch.empty_like(leaf).copy_(gradient)


def _as_tensor(loss: Any) -> Tensor:
    """A loss, a tensor while a graph is captured and a number otherwise, as a tensor."""
    return loss.detach() if isinstance(loss, Tensor) else torch.tensor(loss, dtype=torch.float64)
