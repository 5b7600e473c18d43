"""The training loop: steps of ``SVI``, epoch by epoch, in a state that can be put down and taken up again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from pyrovae import randomness
from pyrovae.data import Batches
from pyrovae.engine import SVI
from pyrovae.engine.optimiser import NonFiniteGradient, Optimiser
from pyrovae.errors import explain
from pyrovae.objectives import Objective
from pyrovae.training import weights
from pyrovae.training.check import datum_scale
from pyrovae.training.fitted import Fit
from pyrovae.training.history import Epoch, History
from pyrovae.training.interrupt import Interrupt
from pyrovae.training.objective import (
    NonFiniteLoss,
    find_nonfinite,
    scalar,
    unweighted,
    weighted,
)
from pyrovae.training.progress import Bar
from pyrovae.training.recorder import Recorder
from pyrovae.training.settings import Settings
from pyrovae.types import Batch


@dataclass
class State:
    """Where a run stands; together with weights, optimiser and random generators it is all there is.

    Attributes:
        epoch: finished epochs.
        batch: finished steps of the epoch that is under way.
        step: optimiser steps so far.
        loss_sum: the sum of the losses of that epoch, nats.
        count: the data that it is over.
        spoken_for: the data that its losses speak for, scales of plates included.
        elbo: the sum of all unweighted ELBOs at the beginning of that epoch, where the loss tells them.
        random: the generators at the start of that epoch.
        best: epoch, validation loss and weights of the best epoch, or None.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    count: int = 0
    spoken_for: float = 0.0
    elbo: float = 0.0
    random: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    history: History = field(default_factory=History)


class Session:
    """A run of ``fit``: a loop over ``SVI.step`` and what must happen around it.

    Arguments:
        run: the pair, on its device.
        loss: the objective.
        optimiser: bound to the pair's parameters.
        train, validation: where the batches come from.
        settings: how to go about it.
        recorder: where to write.
    """

    def __init__(
        self,
        run: Fit,
        loss: Any,
        optimiser: Optimiser,
        train: Batches,
        validation: Batches | None,
        settings: Settings,
        recorder: Recorder,
    ) -> None:
        self.run, self.optimiser, self.settings, self.recorder = run, optimiser, settings, recorder
        self.loss = loss
        self.train_data, self.validation_data = train, validation
        self.device = run.device
        self.state = State()
        self.kl_weight = torch.ones((), device=self.device)
        model, guide = run.model, run.guide
        if settings.kl_warmup:
            model, guide = weighted(model, self.kl_weight), weighted(guide, self.kl_weight)
        steps, checks = (self._planned(batches) for batches in (train, validation))
        self.svi = SVI(
            model, guide, optimiser, loss, compile=settings.compile, steps=steps, precision=settings.precision
        )
        self.validator = SVI(
            run.model,
            run.guide,
            optimiser,
            unweighted(loss),
            compile="auto" if settings.compile is True else settings.compile,
            evaluations=checks,
        )
        self._scales: dict[int, float] = {}
        self.objective = loss if isinstance(loss, Objective) else None

    def train(self) -> None:
        """Runs to the last epoch, or until patience ends, or Ctrl-C.

        Raises:
            KeyboardInterrupt: at the step after Ctrl-C, the run's state written first.
            ArithmeticError: when the loss or a gradient isn't finite.
        """
        epochs = self.settings.epochs
        # Full batches are the main ones, also in a run that is resumed at the last, short one of an epoch.
        self.svi.prepare(*self.run.arguments(self.train_data.first()))
        with Interrupt() as interrupt, Bar(epochs, self.state.epoch, self.settings.progress) as bar:
            self.recorder.checkpoint(self.snapshot)
            while self.state.epoch < epochs and not self._has_lost_patience():
                self._train_epoch(interrupt)
                self._end_epoch()
                bar.show(self.state.history[-1])
            self.recorder.checkpoint(self.snapshot)

    def snapshot(self) -> dict[str, Any]:
        """Everything that the run needs to go on as if it had never stopped."""
        state = {f.name: getattr(self.state, f.name) for f in dataclasses.fields(State)}
        return {
            **state,
            "history": [tuple(epoch) for epoch in self.state.history],
            "weights": weights.take(self.run.model, self.run.guide, self.run.parameters),
            "optimiser": self.optimiser.state(),
            "objective": {} if self.objective is None else self.objective.state_dict(),
            "generators": randomness.state(self.device),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Takes up a run from a snapshot."""
        self.state = State(**{f.name: snapshot[f.name] for f in dataclasses.fields(State)})
        self.state.history = History([Epoch(*row) for row in snapshot["history"]])
        weights.put(snapshot["weights"], self.run.model, self.run.guide, self.run.parameters)
        self.optimiser.load_state(snapshot["optimiser"])
        if self.objective is not None:
            self.objective.load_state_dict(snapshot["objective"])
        randomness.restore(snapshot["generators"], self.device)
        # Should the epoch have been left after its last step, its row tells that step's weight.
        self.kl_weight.fill_(self._weight(max(self.state.batch - 1, 0)))

    def _train_epoch(self, interrupt: Interrupt) -> None:
        state = self.state
        for batch in self._batches_left():
            args = self.run.arguments(batch)
            self.kl_weight.fill_(self._weight(state.batch))
            size = len(batch[0])
            scale = self._scale(size, args)
            state.loss_sum += self._step(args) / scale * size
            state.count += size
            state.spoken_for += scale
            state.batch += 1
            state.step += 1
            if interrupt.requested:
                self.recorder.checkpoint(self.snapshot)
                raise KeyboardInterrupt
            if self.recorder.is_due():
                self.recorder.checkpoint(self.snapshot)

    def _batches_left(self) -> Iterator[Batch]:
        """The batches of the epoch that are still to come.

        A resumed epoch is begun again with the generators of its start, so that whatever orders the data
        orders them as before; the batches already seen are passed over.
        """
        state = self.state
        batches = self.train_data.epoch(state.epoch)
        if state.random is None:
            state.random = randomness.state(self.device)
            yield from batches
            return
        here = randomness.state(self.device)
        randomness.restore(state.random, self.device)
        for _ in range(state.batch):
            next(batches)
        randomness.restore(here, self.device)
        yield from batches

    def _step(self, args: Batch) -> float:
        try:
            loss = scalar(self.svi.backward(*args))
            if not math.isfinite(loss):
                raise NonFiniteLoss
            self.svi.update()
            return loss
        except (NonFiniteLoss, NonFiniteGradient) as error:
            what = "loss" if isinstance(error, NonFiniteLoss) else "gradient"
            place = find_nonfinite(self.run.model, self.run.guide, args)
            raise FloatingPointError(
                explain(
                    f"step {self.state.step + 1} (epoch {self.state.epoch + 1})",
                    expected=f"a finite {what}",
                    got=f"NaN or infinity, first seen at {place}",
                    remedy=f"The parameters are as before the step{self.recorder.kept()}. "
                    "Lower the learning rate, set clip_norm=, or bound the scales of that site.",
                )
            ) from error

    def _end_epoch(self) -> None:
        state = self.state
        if not state.count:
            raise ValueError(
                explain(
                    "data",
                    expected="at least one batch an epoch",
                    got=f"none in epoch {state.epoch + 1}",
                    remedy="An iterable data set must start anew each time it is iterated over.",
                )
            )
        train_loss, rate = state.loss_sum / state.count, self.optimiser.learning_rate
        validation_loss = self._validate()
        weight = self._last_weight()
        elbo = self._train_elbo(train_loss)
        row = Epoch(state.epoch + 1, state.step, train_loss, validation_loss, weight, rate, elbo)
        state.history.append(row)
        self.optimiser.end_epoch(train_loss if math.isnan(validation_loss) else validation_loss)
        if validation_loss < (state.best["value"] if state.best else math.inf):
            kept = weights.take(self.run.model, self.run.guide, self.run.parameters)
            state.best = {"epoch": row.epoch, "value": validation_loss, "weights": kept}
        state.epoch, state.batch, state.random = row.epoch, 0, None
        state.loss_sum, state.count, state.spoken_for = 0.0, 0, 0.0
        if self.objective is not None:
            state.elbo = float(self.objective.state["elbo"])
        self.recorder.log(row, {} if self.objective is None else self.objective.values())

    def _validate(self) -> float:
        """The negative, unweighted ELBO per held-out datum, with the same noise at every epoch."""
        if self.validation_data is None:
            return math.nan
        total = count = 0.0
        with randomness.isolated(self.device, seed=self.settings.seed), self.run.evaluating():
            for batch in self.validation_data.epoch(0):
                args, size = self.run.arguments(batch), len(batch[0])
                loss = scalar(self.validator.evaluate_loss(*args))
                total += loss / self._scale(size, args) * size
                count += size
        return total / count

    def _scale(self, size: int, args: Batch) -> float:
        if size not in self._scales:
            with randomness.isolated(self.device), self.run.evaluating():
                self._scales[size] = datum_scale(self.run.model, args)
        return self._scales[size]

    def _planned(self, batches: Batches | None) -> int | None:
        """How many batches all epochs have, where that is known."""
        if batches is None or batches.steps is None:
            return None
        return batches.steps * self.settings.epochs

    def _weight(self, batch: int) -> float:
        """The KL weight of a step of this epoch; it rises by the epoch where their number is unknown."""
        if not self.settings.kl_warmup:
            return 1.0
        steps = self.train_data.steps
        passes = self.state.epoch + (batch / steps if steps else 0.0)
        return min(1.0, passes / self.settings.kl_warmup)

    def _last_weight(self) -> float:
        """The KL weight of the last step: the warm-up's, or the objective's own."""
        own = {} if self.objective is None else self.objective.values()
        return float(self.kl_weight) * own.get("beta", getattr(self.objective, "beta", 1.0))

    def _train_elbo(self, train_loss: float) -> float:
        """The unweighted ELBO of the epoch's steps, per datum; NaN where it isn't known."""
        if self.objective is not None:
            return (float(self.objective.state["elbo"]) - self.state.elbo) / self.state.spoken_for
        plain = unweighted(self.loss) is self.loss and not self.settings.kl_warmup
        return -train_loss if plain else math.nan

    def _warmup(self) -> float:
        """After how many epochs the weights stay as they are."""
        steps = self.train_data.steps
        length = self.objective.length / steps if self.objective is not None and steps else 0.0
        return max(self.settings.kl_warmup, length)

    def _has_lost_patience(self) -> bool:
        state, patience = self.state, self.settings.patience
        if patience is None or state.best is None:
            return False
        since = max(state.best["epoch"], math.ceil(self._warmup()))
        return state.epoch - since >= patience


def keep_best(session: Session) -> str:
    """Puts the weights of the best validated epoch in place; says which are in place."""
    best = session.state.best
    if best is None:
        return "last epoch"
    weights.put(best["weights"], session.run.model, session.run.guide, session.run.parameters)
    return f"epoch {best['epoch']}, the best of the validation"
