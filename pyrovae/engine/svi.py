"""``SVI``: Pyro's, same arguments, same results; its steps are captured once, and then run as a graph."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyrovae import randomness
from pyrovae.engine.arithmetic import Precision, check_precision, denormals_flushed, precision
from pyrovae.engine.calls import calls
from pyrovae.engine.captured import Captured
from pyrovae.engine.footprint import Footprint
from pyrovae.engine.functions import LossFunction, StepFunction
from pyrovae.engine.launch import Launches
from pyrovae.engine.optimiser import Optim, Optimiser
from pyrovae.engine.policy import Mode, check_mode
from pyrovae.engine.reference import device_of
from pyrovae.engine.report import Report
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
        precision: of matrix products in steps: "float32", "tf32" or "bf16", see
            :func:`pyrovae.engine.arithmetic.precision`.

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
        precision: Precision = "float32",
    ) -> None:
        check_mode(compile)
        check_precision(precision)
        self.precision = precision
        self._optimiser = optim if isinstance(optim, Optimiser) else Optimiser(optim, check_finite=False)
        super().__init__(  # type: ignore[no-untyped-call]
            model, guide, self._optimiser, loss, loss_and_grads=loss_and_grads
        )
        self.optim = optim
        self._objective = loss
        if hasattr(loss, "left_out"):
            # Which parameters a step leaves out is no matter of tensors: it is done here, in update.
            loss.leaves_out = False
        self._is_ready = False
        self._step = StepFunction(self)
        self._loss = LossFunction(self)
        self._steps = Captured(self._step, compile, calls=steps, exact_noise=exact_noise, replayed=True)
        self._losses = Captured(self._loss, compile, calls=evaluations, exact_noise=exact_noise)
        self._launches = Launches(self._steps, self._step, self._optimiser)
        self._begun = self._pending = False

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """One step: :meth:`backward`, then :meth:`update`; returns the loss, a float, in nats.

        Raises:
            RuntimeError: under ``torch.no_grad()``, where there is no gradient to follow.
            Refusal: with ``compile=True`` or "capture", where the programs can't be captured.
        """
        loss = self.backward(*args, **kwargs)
        self.update()
        return loss

    def steps(self, *stacks: Tensor) -> list[float]:
        """A step for each slice of the stacks' first dimension; returns the losses, in nats.

        On CUDA, with a compiled graph and a torch optimiser made with ``capturable=True``, all of them,
        updates included, are one launch of one CUDA graph; elsewhere it is a loop over :meth:`step`.

        Arguments:
            stacks: ``(steps, batch, ...)``, one for each argument of the programs.
        """
        losses = None if hasattr(self._objective, "left_out") else self._launches(stacks)
        return losses if losses is not None else [self.step(*batch) for batch in zip(*stacks, strict=True)]

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
        with denormals_flushed(), self._arithmetic(args):
            self._look(args, kwargs)
            if self._pending:
                self._step.keep()
            self._pending = True
            if self._begun:
                return self._backward(args, kwargs)
            self._begun = True
            with calls() as called:
                called.keep = True
                loss = self._first(args, kwargs)
            self._check_names(called.modules)
            return loss

    def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Captures and compiles for batches like this one, which then are the main ones; takes no step.

        The random stream, buffers and parameters stay as they are; parameters that don't exist yet are made.

        Raises:
            Refusal: as in :meth:`step`.
        """
        self._look(args, kwargs)
        self._begun = True
        self._steps.prepare(args, kwargs)

    def update(self) -> None:
        """Steps the optimiser for the parameters of the last :meth:`backward`; clears their gradients."""
        with denormals_flushed():
            self._step.fill()
            for parameter in getattr(self._objective, "left_out", set)():
                parameter.grad = None
            self._optimiser(self._step.layout.parameters)
            self._step.clear()
        self._pending = False

    def evaluate_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The loss, a float, in nats; nothing is changed but the random stream."""
        with denormals_flushed():
            self._look(args, kwargs)
            results = self._losses(args, kwargs)
            if results is None:
                return super().evaluate_loss(*args, **kwargs)  # type: ignore[no-untyped-call]
            return self._loss.as_numbers(results)

    def explain(self) -> Report:
        """What has been captured so far, what that cost, what is eager, and why; prints as text."""
        return Report.of({"step": self._steps, "evaluate_loss": self._losses})

    def _look(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Lets an objective look at the pair before it is run in earnest, and undoes what that moved."""
        if self._is_ready:
            return
        self._is_ready = True
        prepare = getattr(self._objective, "prepare", None)
        if prepare is None:
            return
        with torch.autograd.set_multithreading_enabled(False), calls(), Footprint() as footprint:
            prepare(self.model, self.guide, *args, **kwargs)
        footprint.undo()

    def _arithmetic(self, args: tuple[Any, ...]) -> AbstractContextManager[None]:
        if self.precision == "float32":
            return nullcontext()
        return precision(self.precision, device_of([x for x in args if isinstance(x, Tensor)]))

    def _backward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        results = self._steps(args, kwargs)
        if results is None:
            return self._step.eager(args, kwargs)
        return self._step.put(results)

    def _check_names(self, modules: list[nn.Module]) -> None:
        """Every network that got a gradient must be the one that Pyro's store holds under its name.

        Raises:
            ValueError: when the store holds an earlier network of that name: this one would never be trained.
        """
        store: Any = pyro.get_param_store()
        stored = {id(parameter) for parameter in store._params.values()}
        idle = [name for name, p in store._params.items() if "$$$" in name and p.grad is None]
        for module in modules:
            for key, parameter in module._parameters.items():
                if parameter is None or parameter.grad is None or id(parameter) in stored:
                    continue
                namesakes = [n for n in idle if n.endswith(key) and store._params[n].shape == parameter.shape]
                if namesakes:
                    raise ValueError(
                        explain(
                            f"pyro.module, parameter {namesakes[0].replace('$$$', '.')!r}",
                            expected="the network of this program",
                            got="another one that Pyro's parameter store has kept under the same name",
                            remedy="Call pyro.clear_param_store() first, or give them different names; "
                            "pyrovae.fit has a store for each run.",
                        )
                    )

    def _first(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first call, which may make parameters and draw their initial values.

        A graph draws no initial values. So where the eager run has made something, that run is what counts,
        and the graph is for the next call.
        """
        if not self._steps.policy.captures_at_once:
            return self._backward(args, kwargs)
        store, device = pyro.get_param_store(), device_of([x for x in args if isinstance(x, Tensor)])
        names, before = set(store.keys()), randomness.state(device)
        with torch.autograd.set_multithreading_enabled(False), calls() as called, Footprint() as footprint:
            loss = self._step.eager(args, kwargs)
            called.keep = names != set(store.keys()) or bool(called.moved())
        # Parameters that were made just now are no leaves from before the run.
        layout = self._step.layout
        gradients = self._step.take([*footprint.reached(), *layout.parameters], footprint)
        if not called.keep:
            footprint.undo()
            randomness.restore(before, device)
            return self._backward(args, kwargs)
        self._steps.prepare(args, kwargs, calls=1)
        for leaf, gradient in gradients:
            leaf.grad = gradient
        self._step.layout = layout
        return loss
