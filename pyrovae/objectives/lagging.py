"""Aggressive inference training: the guide takes many steps for each of the model's."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from pyro import poutine
from torch import Tensor

from pyrovae import randomness
from pyrovae.errors import explain
from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.objective import device_of
from pyrovae.objectives.schedules import Schedule
from pyrovae.objectives.termwise import TermOptions
from pyrovae.types import Program


class Lagging(ELBO):
    r"""The ELBO, of which at first the model sees only every so many steps.

    While the posterior of the guide lags behind that of the model, the model learns to do without its
    latents. So in a first phase the guide takes ``inner`` steps, each on a new batch, before model and guide
    take one together. In a step of the guide alone the model's parameters, those that both share included,
    are left out of the update, momentum and all.

    Arguments:
        inner: steps of the guide alone before each joint one.
        steps: how long the phase is, in steps; or
        epochs: in passes over the data, where :func:`pyrovae.fit` trains.
        num_particles, beta, options: as of :class:`ELBO`.

    ``pyro.infer.SVI``, ``pyrovae.SVI`` and ``pyrovae.fit`` need nothing more. A loop of one's own, or
    Lightning's, clears the gradients of :meth:`left_out` before its optimiser steps.

    In the paper the phase ends when the mutual information of data and latents stops rising; here it has a
    length.

    References:
        He et al., 2019, Lagging Inference Networks and Posterior Collapse in Variational Autoencoders,
        https://arxiv.org/abs/1901.05534
    """

    def __init__(
        self,
        inner: int = 10,
        *,
        steps: int | None = None,
        epochs: float | None = None,
        num_particles: int = 1,
        beta: float | Schedule = 1.0,
        **options: Unpack[TermOptions],
    ) -> None:
        super().__init__(num_particles, beta=beta, **options)
        if not isinstance(inner, int) or inner < 1:
            raise ValueError(
                explain("Lagging, inner", expected="1 or more", got=repr(inner), remedy="Try 10.")
            )
        length = epochs if steps is None else steps
        if (steps is None) == (epochs is None) or length is None or not 0 <= length < math.inf:
            raise ValueError(
                explain(
                    "Lagging",
                    expected="a length of the phase, either steps or epochs",
                    got=f"steps={steps}, epochs={epochs}",
                    remedy="Try epochs=5.",
                )
            )
        self.inner, self.steps, self.epochs = inner, steps, epochs
        self.leaves_out = True
        self._end = None if steps is None else float(steps)
        self._of_model: set[Tensor] = set()

    def begin(self, steps_per_epoch: float) -> None:
        super().begin(steps_per_epoch)
        if self.epochs is not None:
            self._end = self.epochs * steps_per_epoch

    @property
    def length(self) -> float:
        return max(super().length, self._end or 0.0)

    def left_out(self) -> set[Tensor]:
        """The parameters that the step that was just taken leaves as they are."""
        if self._end is None:
            raise ValueError(
                explain(
                    "Lagging(epochs=)",
                    expected="to know how many steps an epoch has",
                    got="training outside pyrovae.fit",
                    remedy="Give steps=, or call objective.begin(steps_per_epoch) first.",
                )
            )
        taken = int(self.state["step"]) - 1
        alone = taken < self._end and (taken + 1) % (self.inner + 1) != 0
        return self._of_model if alone else set()

    def loss_and_grads(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        loss = super().loss_and_grads(model, guide, *args, **kwargs)
        if self.leaves_out:
            for parameter in self.left_out():
                parameter.grad = None
        return loss

    def __getstate__(self) -> dict[str, Any]:
        # Parameters are another process's own: it looks at its pair anew.
        return {**vars(self), "_of_model": set(), "_is_prepared": False}

    def prepare(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> None:
        if self._is_prepared:
            return
        super().prepare(model, guide, *args, **kwargs)
        with torch.no_grad(), poutine.block(), randomness.isolated(device_of(args)):
            guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
            model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs)
        sites: list[Any] = [site for site in model_trace.nodes.values() if site["type"] == "param"]
        self._of_model = {site["value"].unconstrained() for site in sites}

    def _options(self) -> list[str]:
        length = f"epochs={self.epochs}" if self.steps is None else f"steps={self.steps}"
        return [*super()._options(), f"inner={self.inner}", length]
