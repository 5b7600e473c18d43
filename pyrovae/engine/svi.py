"""``SVI``: Pyro's, same arguments, same results; its steps are captured once, and then run as a graph."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer.util import torch_item
from torch import Tensor

from pyrovae import randomness
from pyrovae.engine.captured import Captured
from pyrovae.engine.footprint import Footprint
from pyrovae.engine.optimiser import Optim, Optimiser
from pyrovae.engine.policy import Mode, check_mode
from pyrovae.errors import explain
from pyrovae.types import Program

Loss = Any
"""A ``pyro.infer`` ELBO, or a callable ``loss(model, guide, *args)``."""


class SVI(pyro.infer.SVI):
    r"""Stochastic variational inference, a drop-in for ``pyro.infer.SVI``.

    A step estimates :math:`\nabla \mathrm{ELBO}` and updates the parameters. Eager Pyro interprets the two
    programs at each step; here loss and gradients are captured once, as a graph of tensor operations, and the
    graph is run: the same numbers from the same seed, to rounding. Before a graph is used, its loss,
    gradients, buffers and random stream are compared with eager Pyro's.

    Arguments:
        model, guide: any pair of Pyro programs.
        optim: a ``pyro.optim`` optimiser or schedule, a torch optimiser, or what makes one from parameters.
        loss: a ``pyro.infer`` ELBO, or a callable ``loss(model, guide, *args)``.
        compile: True: captured and compiled by Inductor, or an error; "capture": captured, which costs
            no compile time; False: eager; "auto": whatever pays, and eager, with one line in the log of
            ``pyrovae.engine``, where a program can't be captured.
        steps, evaluations: how many are planned, if that is known; "auto" then needn't wait and see.
        exact_noise: draw what eager Pyro draws; False lets Inductor draw its own, on the device, faster.

    Raises:
        TypeError, ValueError: for an unknown ``compile`` or something that is no optimiser.

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> from pyro.infer import Trace_ELBO
        >>> _ = torch.manual_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), pv.heads.normal))
        >>> svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO(), compile="capture")
        >>> x = (torch.rand(32, 16) < 0.2).float()
        >>> losses = [svi.step(x) for _ in range(20)]
        >>> losses[-1] < losses[0]
        True
    """

    def __init__(
        self,
        model: Program,
        guide: Program,
        optim: Optim,
        loss: Loss,
        loss_and_grads: Any = None,
        *,
        compile: Mode = "auto",
        steps: int | None = None,
        evaluations: int | None = None,
        exact_noise: bool = True,
    ) -> None:
        check_mode(compile)
        self._optimiser = optim if isinstance(optim, Optimiser) else Optimiser(optim, check_finite=False)
        super().__init__(  # type: ignore[no-untyped-call]
            model, guide, self._optimiser, loss, loss_and_grads=loss_and_grads
        )
        self.optim = optim
        self._step = _Step(self)
        self._loss = _Loss(self)
        self._steps = Captured(self._step, compile, calls=steps, exact_noise=exact_noise)
        self._losses = Captured(self._loss, compile, calls=evaluations, exact_noise=exact_noise)
        self._begun = False

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """One step: :meth:`backward`, then :meth:`update`; returns the loss, a float, in nats.

        Raises:
            RuntimeError: under ``torch.no_grad()``, where there is no gradient to follow.
            Refusal: with ``compile=True`` or "capture", where the programs can't be captured.
        """
        loss = self.backward(*args, **kwargs)
        self.update()
        return loss

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Adds the gradients of one batch to the parameters' ``grad``; returns its loss, a float, in nats.

        Several calls before :meth:`update` accumulate the gradient of several batches.
        """
        if not torch.is_grad_enabled():
            raise RuntimeError(
                explain(
                    "SVI.step",
                    expected="gradients to be enabled",
                    got="a call under torch.no_grad()",
                    remedy="Call evaluate_loss there: a step would move the weights by momentum alone.",
                )
            )
        if not self._begun:
            self._begun = True
            return self._first(args, kwargs)
        return self._backward(args, kwargs)

    def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Captures and compiles for batches like this one, which then are the main ones; takes no step.

        The random stream, buffers and parameters stay as they are; parameters that don't exist yet are made.

        Raises:
            Refusal: as in :meth:`step`.
        """
        self._begun = True
        self._steps.prepare(args, kwargs)

    def update(self) -> None:
        """Steps the optimiser for the parameters of the last :meth:`backward`; clears their gradients."""
        self._optimiser(self._step.parameters)
        for parameter in self._step.parameters:
            parameter.grad = None

    def evaluate_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The loss, a float, in nats; nothing is changed but the random stream."""
        results = self._losses(args, kwargs)
        if results is None:
            return super().evaluate_loss(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self._loss.as_numbers(results)

    def _backward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        results = self._steps(args, kwargs)
        if results is None:
            return self._step.eager(args, kwargs)
        return self._step.put(results)

    def _first(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first call, which may make parameters and draw their initial values.

        A graph draws no initial values. So where the first call made something, its eager run is what counts.
        """
        if not self._steps.policy.captures_at_once:
            return self._backward(args, kwargs)
        store, device = pyro.get_param_store(), "cuda" if torch.cuda.is_initialized() else "cpu"
        names, before = set(store.keys()), randomness.state(device)
        with torch.autograd.set_multithreading_enabled(False), Footprint() as footprint:
            loss = self._step.eager(args, kwargs)
        after, written = randomness.state(device), footprint.values()
        footprint.undo()
        randomness.restore(before, device)
        # Parameters that were made just now are no leaves from before the run.
        gradients = self._step.take([*footprint.reached(), *self._step.parameters], footprint)
        result = self._backward(args, kwargs)
        if names == set(store.keys()) and torch.equal(after["torch"], randomness.state(device)["torch"]):
            return result
        footprint.put(written)
        randomness.restore(after, device)
        for leaf, gradient in gradients:
            leaf.grad = gradient
        return loss


class _Step:
    """Loss and gradients as a function, ``[losses..., gradients...]``, that leaves every ``grad`` alone."""

    def __init__(self, svi: SVI) -> None:
        self.svi = svi
        self.parameters: list[Tensor] = []
        self.leaves: list[Tensor] = []
        self._reached: list[Tensor] = []
        self._losses: type | None = None
        self._count = 1

    def eager(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the objective as Pyro does, gradients into ``grad``; returns the loss."""
        svi = self.svi
        with poutine.trace(param_only=True) as capture:
            loss = svi.loss_and_grads(svi.model, svi.guide, *args, **kwargs)
        sites: list[Any] = list(capture.trace.nodes.values())
        parameters = [site["value"].unconstrained() for site in sites]
        self.parameters = list({id(p): p for p in parameters}.values())
        return type(loss)(map(torch_item, loss)) if isinstance(loss, tuple) else torch_item(loss)

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
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
        self._losses, self._count = type(loss) if isinstance(loss, tuple) else None, len(parts)
        self._reached = [leaf for leaf, gradient in gradients if gradient is not None]
        found = [_laid_out(gradient, leaf) for leaf, gradient in gradients if gradient is not None]
        return [*map(_as_tensor, parts), *found]

    def put(self, results: list[Tensor]) -> Any:
        """Adds gradients to those that are there; returns the loss."""
        for leaf, gradient in zip(self._reached, results[self._count :], strict=True):
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
        numbers = [part.item() for part in results[: self._count]]
        if any(map(math.isnan, numbers)):
            warnings.warn("Encountered NaN: loss", stacklevel=5)
        return numbers[0] if self._losses is None else self._losses(numbers)

    def learn(self, footprint: Footprint) -> bool:
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
        return [self.svi.model, self.svi.guide, self.svi.loss]


class _Loss:
    """The loss alone as a function: ``[losses...]``."""

    def __init__(self, svi: SVI) -> None:
        self.svi = svi
        self._losses: type | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        with torch.no_grad():
            loss = self.svi.loss(self.svi.model, self.svi.guide, *args, **kwargs)
        self._losses = type(loss) if isinstance(loss, tuple) else None
        return list(map(_as_tensor, loss if isinstance(loss, tuple) else (loss,)))

    def as_numbers(self, results: list[Tensor]) -> Any:
        """The loss as ``evaluate_loss`` returns it."""
        numbers = [part.item() for part in results]
        return numbers[0] if self._losses is None else self._losses(numbers)

    def learn(self, footprint: Footprint) -> bool:
        return False

    def programs(self) -> list[Any]:
        return [self.svi.model, self.svi.guide, self.svi.loss]


def _laid_out(gradient: Tensor, leaf: Tensor) -> Tensor:
    """The gradient with the strides of its parameter: fused optimisers take them to be the same."""
    if gradient.layout is not torch.strided or gradient.stride() == leaf.stride():
        return gradient
    return torch.empty_like(leaf).copy_(gradient)


def _as_tensor(loss: Any) -> Tensor:
    """A loss, a tensor while a graph is captured and a number otherwise, as a tensor."""
    return loss.detach() if isinstance(loss, Tensor) else torch.tensor(loss, dtype=torch.float64)
