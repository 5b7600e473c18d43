"""What all objectives share: drawing particles, choosing estimators, and a loss that autograd can follow."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypedDict

import torch
from pyro import poutine
from pyro.infer import ELBO as PyroELBO
from pyro.infer.util import torch_item
from pyro.util import warn_if_nan
from torch import Tensor

from pyrovae import randomness
from pyrovae.errors import explain
from pyrovae.objectives._blame import nesting_explained, particles_explained
from pyrovae.objectives._choosing import Chooser
from pyrovae.objectives._draw import Choose, Draw, draw
from pyrovae.objectives._nesting import nesting_of
from pyrovae.objectives._state import State
from pyrovae.objectives._terms import Layout
from pyrovae.objectives._untouched import untouched
from pyrovae.objectives.estimators import Estimator, Pathwise
from pyrovae.objectives.explanation import Explanation, Row
from pyrovae.objectives.module import ObjectiveModule
from pyrovae.objectives.schedules import Schedule
from pyrovae.types import Program

Estimators = Estimator | Mapping[str, Estimator] | None


class Options(TypedDict, total=False):
    """The options that every objective has, see :class:`Objective`."""

    estimators: Estimators
    max_plate_nesting: float
    vectorize_particles: bool
    retain_graph: bool | None


class Outcome(NamedTuple):
    """What a draw came to.

    Attributes:
        loss: what is minimised, nats, summed over the data with the scales of the plates; a scalar.
        elbo: the unweighted ELBO of the same draw, in the same unit.
        surrogate: whose gradient is the estimate of the loss's; None where no gradient is wanted.
        learn: what the objective learns from the step for the next ones, if it learns anything.
    """

    loss: Tensor
    elbo: Tensor
    surrogate: Tensor | None
    learn: Callable[[], None] | None = None


class Objective(PyroELBO):
    r"""A bound that a pair of programs is trained by, with the estimator of its gradient chosen site by site.

    It is an ELBO of Pyro's kind: ``loss``, ``loss_and_grads`` and ``differentiable_loss`` give the negative
    bound *summed* over the data, times the scales of plates, as Pyro's own do, so that it can stand wherever
    one of these stands. ``per_datum`` gives the bound itself, in nats per datum.

    Arguments:
        num_particles: draws of the guide for each datum.
        estimators: of the gradient; one for every latent site, or by the site's name. The rest is chosen:
            sites marked ``infer={"enumerate": "parallel"}`` are enumerated, reparameterized ones pathwise,
            finite ones enumerated where they are few and the programs broadcast, others by score function.
        max_plate_nesting: how deep the programs' plates are nested, particles not counted; found out by a run
            of the pair where it isn't given.
        vectorize_particles: all particles in one run, in an outermost plate; otherwise a run for each.

    Raises:
        ValueError, TypeError: for an estimator that isn't one, or fewer than one particle.
    """

    enumerates = True
    """Whether sites of the guide can be enumerated."""

    def __init__(
        self,
        num_particles: int = 1,
        *,
        estimators: Estimators = None,
        max_plate_nesting: float = math.inf,
        vectorize_particles: bool = True,
        retain_graph: bool | None = None,
    ) -> None:
        name = type(self).__name__
        if not isinstance(num_particles, int) or num_particles < 1:
            raise ValueError(
                explain(
                    f"{name}, num_particles",
                    expected="a whole number of at least 1",
                    got=repr(num_particles),
                    remedy="Leave it out for the default.",
                )
            )
        super().__init__(num_particles=num_particles, retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        self.max_plate_nesting = self._nesting = max_plate_nesting
        self.vectorize_particles = vectorize_particles
        self.estimators = estimators
        self.state = State()
        self._chooser = Chooser(self, estimators)
        self._is_prepared = False

    def differentiable_loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Tensor:
        """The negative bound, summed over the data, whose gradient is the chosen estimate.

        A call with gradients enabled is a step: schedules and baselines go on. Without, nothing changes.

        Raises:
            ValueError: by site, where the pair is none that the objective is defined for.
        """
        self.prepare(model, guide, *args, **kwargs)
        learn = torch.is_grad_enabled()
        drawn = self._draw(model, guide, args, kwargs)
        outcome = self._outcome(drawn, learn=learn)
        loss = outcome.loss.detach()
        if outcome.surrogate is None:
            return loss
        with torch.no_grad():
            self._advance(loss.device, outcome)
        return loss + (outcome.surrogate - outcome.surrogate.detach())

    def __call__(self, model: Any, guide: Any) -> ObjectiveModule:
        """The loss of a pair of modules as a module, for loops of one's own and the Lightning Trainer."""
        return ObjectiveModule(model, guide, self, self._chooser.networks())

    def loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        """The negative bound, summed over the data; a float, in nats."""
        with torch.no_grad():
            loss: float = torch_item(self.differentiable_loss(model, guide, *args, **kwargs))
        warn_if_nan(loss, "loss")  # type: ignore[call-overload]
        return loss

    def loss_and_grads(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> float:
        """As :meth:`loss`; adds the gradient to the parameters' ``grad``."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        value: float = torch_item(loss)
        warn_if_nan(value, "loss")  # type: ignore[call-overload]
        return value

    def per_datum(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Tensor:
        """An estimate of the bound of each datum, ``(n,)``, in nats; nothing is learned, nothing changes.

        Of objectives that weigh the terms of the ELBO, and so are no bounds, it is the unweighted ELBO.

        Raises:
            ValueError: for latents that the data share; there is no bound of a single datum then.
        """
        with torch.no_grad():
            self.prepare(model, guide, *args, **kwargs)
            drawn = self._draw(model, guide, args, kwargs)
            drawn.check_local(type(self).__name__)
            return self._rows(drawn)

    def explain(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Explanation:
        """What is used at each latent site, and why; prints as a table."""
        with torch.no_grad(), poutine.block():
            self.prepare(model, guide, *args, **kwargs)
            with randomness.isolated(device_of(args)):
                drawn = self._draw(model, guide, args, kwargs)
        rows = []
        for latent in drawn.latents:
            term = self._term_of(drawn, latent)
            rows.append(
                Row(
                    latent.name,
                    latent.guide,
                    latent.prior,
                    latent.estimator,
                    self._is_unbiased(latent.estimator),
                    term,
                    latent.why,
                )
            )
        return Explanation(repr(self), tuple(rows))

    def prepare(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> None:
        """Looks at a pair once: its plates, the estimators of its sites. Random generators stay as they are.

        It is called at the first use; calling it before keeps that use free of it.

        Raises:
            ValueError: by site, where the pair is none that the objective is defined for.
        """
        if self._is_prepared:
            return
        device = device_of(args)
        for name, value in self._keeps().items():
            self.state.get(name, device, value)
        with torch.no_grad(), poutine.block(), randomness.isolated(device), untouched():
            if math.isinf(self.max_plate_nesting):
                self.max_plate_nesting = nesting_of(model, guide, args, kwargs)
            drawn = self._first_draw(model, guide, args, kwargs)
        for latent in drawn.latents:
            self._chooser.begin(latent, self.state, device)
        self._is_prepared = True

    def fresh(self) -> Self:
        """A copy that begins anew, no steps taken, no pair looked at; of baselines' networks too."""
        other = copy.deepcopy(self)
        other.state = State()
        other.max_plate_nesting = self._nesting
        other._chooser = Chooser(other, other.estimators)
        other._is_prepared = False
        return other

    def unweighted(self) -> Objective:
        """The plain ELBO of the same pair: what every objective is compared by."""
        from pyrovae.objectives.elbo import ELBO

        return ELBO(
            self.num_particles,
            max_plate_nesting=self.max_plate_nesting,
            vectorize_particles=self.vectorize_particles,
        )

    def values(self) -> dict[str, float]:
        """What its schedules were at the last step, and what its multipliers have come to, by name."""
        named = {name: value for name, value in vars(self).items() if isinstance(value, Schedule)}
        last = (self.state["step"] - 1.0).clamp(min=0.0)
        found = {name: float(value.at(last)) for name, value in named.items()}
        kept = self.state.state_dict()
        return {**found, **{name: float(value) for name, value in kept.items() if "multiplier" in name}}

    @property
    def length(self) -> float:
        """After how many steps its schedules have come to their ends."""
        return max((schedule.length for schedule in self.schedules()), default=0.0)

    def begin(self, steps_per_epoch: float) -> None:
        """Tells the schedules that count in epochs how many steps one has."""
        for schedule in self.schedules():
            schedule.begin(steps_per_epoch)

    def schedules(self) -> list[Schedule]:
        """Every schedule that it follows, its estimators' included."""
        return list(dict.fromkeys([*self._chooser.schedules(), *self._schedules()]))

    def state_dict(self) -> dict[str, Tensor]:
        """What it keeps from step to step: the count of steps, averages, multipliers; scalars by name."""
        return self.state.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes up a :meth:`state_dict`."""
        self.state.load_state_dict(state)

    @property
    def default_path(self) -> Estimator:
        """The estimator of reparameterized sites where none is chosen."""
        return Pathwise()

    @property
    def why_default(self) -> str:
        """Why that one is the default."""
        return "reparameterized: no bias, low variance"

    def refuses(self, estimator: Estimator) -> str | None:
        """Why an estimator is of no use for this objective, or None."""
        return None

    @abstractmethod
    def _outcome(self, drawn: Draw, *, learn: bool) -> Outcome:
        """Loss, unweighted ELBO and surrogate of a draw."""

    @abstractmethod
    def _rows(self, drawn: Draw) -> Tensor:
        """The bound for each datum, ``(n,)``."""

    def _term_of(self, drawn: Draw, latent: Any) -> str:
        """How the latent's term of the bound is computed, for the table."""
        return "Monte Carlo"

    def _is_unbiased(self, estimator: Estimator) -> bool:
        return estimator.unbiased

    def _keeps(self) -> dict[str, float]:
        """What is kept from step to step, and where it begins; the step count and the sum of the ELBOs."""
        return {"step": 0.0, "elbo": 0.0}

    def _schedules(self) -> Iterator[Schedule]:
        yield from ()

    def _check(self, drawn: Draw) -> None:
        """Refuses a pair that the objective isn't defined for."""

    def _advance(self, device: torch.device, outcome: Outcome) -> None:
        self.state.get("step", device).add_(1)
        self.state.get("elbo", device).add_(outcome.elbo.detach())
        if outcome.learn is not None:
            outcome.learn()

    def _at(self, value: float | Schedule, like: Tensor) -> Tensor | float:
        """A number, or what a schedule has come to."""
        if not isinstance(value, Schedule):
            return value
        return value.at(self.state.get("step", like.device)).to(like.dtype)

    def _draw(
        self,
        model: Program,
        guide: Program,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        choose: Choose | None = None,
    ) -> Draw:
        layout = Layout(int(self.max_plate_nesting), self.num_particles)
        step = self.state.get("step", device_of(args))
        how = {"vectorised": self.vectorize_particles, "choose": choose or self._chooser, "step": step}
        with nesting_explained(type(self).__name__, self.max_plate_nesting):
            return draw(model, guide, args, kwargs, layout=layout, **how)

    def _first_draw(
        self, model: Program, guide: Program, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Draw:
        """A draw by estimators that are settled by it."""
        self._chooser.check_names(poutine.trace(guide).get_trace(*args, **kwargs))
        plated = self.num_particles if self.vectorize_particles else 1
        with particles_explained(type(self).__name__, plated):
            return self._chooser.settle(
                lambda choose: self._draw(model, guide, args, kwargs, choose), self._try
            )

    def _try(self, drawn: Draw) -> None:
        """Uses a draw for what it is wanted for, to see whether it serves."""
        self._check(drawn)
        self._outcome(drawn, learn=False)

    def _get_trace(
        self, model: Program, guide: Program, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, Any]:
        """A run of the pair as Pyro's other tools read it: the traces of model and guide."""
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        return poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs), guide_trace

    def __repr__(self) -> str:
        options = [*self._options()]
        if self.estimators is not None:
            options.append(f"estimators={self.estimators!r}")
        return f"{type(self).__name__}({', '.join(options)})"

    def _options(self) -> list[str]:
        """The arguments that it was made with, for repr."""
        return [f"num_particles={self.num_particles}"] if self.num_particles > 1 else []


def device_of(args: tuple[Any, ...]) -> torch.device:
    """The device of the first tensor among the arguments."""
    return next((x.device for x in args if isinstance(x, Tensor)), torch.device("cpu"))
