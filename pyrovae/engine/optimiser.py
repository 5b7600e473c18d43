"""One face for both families of optimisers, as ``pyro.infer.SVI`` wants to see it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pyro
import torch
from pyro.optim import PyroOptim
from pyro.optim.lr_scheduler import PyroLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pyrovae.engine.fusing import is_fusible, lay_out, lay_out_state
from pyrovae.engine.merged import Merged
from pyrovae.errors import explain

Optim: TypeAlias = PyroOptim | torch.optim.Optimizer | Callable[[Iterable[Tensor]], torch.optim.Optimizer]
"""A Pyro optimiser, a torch optimiser, or what makes one from parameters (``partial(SGD, lr=0.1)``)."""

Scheduler: TypeAlias = Callable[[torch.optim.Optimizer], LRScheduler]
"""What makes a learning-rate schedule for an optimiser (``partial(StepLR, step_size=10)``)."""


_NOT_THE_MATHS = ("params", "fused", "foreach", "capturable", "differentiable")


class NonFiniteGradient(ArithmeticError):
    """A gradient is NaN or infinite; no parameter was changed."""


class Optimiser(PyroOptim):
    """Clips, checks and applies gradients; steps the schedule once an epoch; saves and loads its state.

    Arguments:
        optim: see :data:`Optim`; None is Adam at a learning rate of 1e-3.
        scheduler: for torch optimisers; a Pyro schedule (``pyro.optim.StepLR``) is an optimiser itself.
        clip_norm: the largest norm of the whole gradient, that of a batch's summed loss; None: no limit.
        check_finite: refuse an update whose gradient is not finite; that costs a pass over the gradients.

    Raises:
        TypeError: when ``optim`` is none of these, or has a Pyro optimiser's schedule beside it.
        NonFiniteGradient: by a call, before anything is changed.
    """

    def __init__(
        self,
        optim: Optim | None,
        *,
        scheduler: Scheduler | None = None,
        clip_norm: float | None = None,
        check_finite: bool = True,
    ) -> None:
        # PyroOptim's own constructor makes an optimiser for each parameter: this class has none of those.
        self.clip_norm, self.make_scheduler, self.check_finite = clip_norm, scheduler, check_finite
        self.checked = check_finite or clip_norm is not None
        self.pyro: PyroOptim | None = optim if isinstance(optim, PyroOptim) else None
        self.merged: Merged | None = Merged(self.pyro) if self.pyro is not None else None
        self.torch: torch.optim.Optimizer | None = None
        self.make: Any = None
        self.scheduler: LRScheduler | None = None
        self.parameters: dict[str, Tensor] = {}
        self._known: set[int] = set()
        self._layout: list[Any] = []
        if isinstance(optim, torch.optim.Optimizer):
            self.torch = optim
        elif optim is None:
            self.make = _adam
        elif self.pyro is None:
            if not callable(optim):
                raise TypeError(
                    explain(
                        "optim",
                        expected="a pyro.optim or torch.optim optimiser, or a callable that makes one",
                        got=type(optim).__name__,
                        remedy='Try pyro.optim.Adam({"lr": 1e-3}) or partial(torch.optim.Adam, lr=1e-3).',
                    )
                )
            self.make = optim
        if self.pyro is not None and scheduler is not None:
            raise TypeError(
                explain(
                    "scheduler",
                    expected="none beside a Pyro optimiser",
                    got=repr(scheduler),
                    remedy='Use pyro.optim.ExponentialLR({"optimizer": ...}) as optim, or a torch optimiser.',
                )
            )

    def start(self, parameters: dict[str, Tensor]) -> None:
        """Binds the parameters, by their names in the store.

        Raises:
            ValueError: when a ready-made torch optimiser lacks some of them.
        """
        self.parameters = dict(sorted(parameters.items()))
        if self.make is not None:
            self.torch = self._made(_unique(self.parameters.values()))
        self._check_held()
        self._known = {id(p) for p in parameters.values()}
        if self.make_scheduler is not None and self.torch is not None:
            self.scheduler = self.make_scheduler(self.torch)

    def __call__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """One update, in the order of the parameters' names; nothing changes when a gradient isn't finite."""
        if self.merged is None or self.checked:
            params = list(params)
            given = set(map(id, params))
            if not given <= self._known:
                self._meet(params)
            if self.checked:
                params = [p for p in _unique(self.parameters.values()) if id(p) in given]
                self._check(params)
        if self.merged is not None:
            self.merged(params, *args, **kwargs)
        elif self.torch is not None:
            self._lay_out(self.torch)
            self.torch.step()

    def end_epoch(self, loss: float) -> None:
        """Steps the learning-rate schedule; ``loss`` is for those that wait for a plateau."""
        if isinstance(self.pyro, PyroLRScheduler):
            plateau = any(isinstance(s, ReduceLROnPlateau) for s in self.pyro.optim_objs.values())
            self.pyro.step(*((loss,) if plateau else ()))
        elif isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(loss)
        elif self.scheduler is not None:
            self.scheduler.step()

    @property
    def capturable(self) -> bool:
        """Whether an update can be recorded in a CUDA graph, by torch's option of that name."""
        groups = self.torch.param_groups if self.torch is not None and not self.checked else []
        return bool(groups) and all(group.get("capturable") for group in groups)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter; NaN before there is one."""
        optimiser: Any = self.torch
        if self.pyro is not None:
            optimiser = next(iter(self.pyro.optim_objs.values()), None)
            optimiser = getattr(optimiser, "optimizer", optimiser)
        options = optimiser.param_groups[0] if optimiser is not None else {}
        # AdagradRMSProp calls it eta.
        return float(options.get("lr", options.get("eta", math.nan)))

    def state(self) -> dict[str, Any]:
        """What is needed to go on as if nothing had happened."""
        if self.pyro is not None:
            return {"pyro": self.pyro.get_state()}
        if self.torch is None:
            return {}
        scheduler = None if self.scheduler is None else self.scheduler.state_dict()
        return {"torch": self.torch.state_dict(), "scheduler": scheduler}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`, after :meth:`start`."""
        if self.merged is not None:
            # Pyro would keep a state until the parameter's next step, and forget it in what is saved before.
            for name, parameter in self.parameters.items():
                self.merged.meet(parameter, state["pyro"].get(name))
        elif self.torch is not None:
            self.torch.load_state_dict(state["torch"])
            self._layout = []
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state["scheduler"])

    def describe(self) -> str:
        """One line for the run's configuration: which optimiser, with which options."""
        if self.pyro is not None:
            constructor = self.pyro.pt_optim_constructor
            return f"pyro.optim {getattr(constructor, '__name__', constructor)}({self.pyro.pt_optim_args})"
        group = self.torch.param_groups[0] if self.torch is not None else {}
        options = {name: value for name, value in group.items() if name not in _NOT_THE_MATHS}
        return f"torch.optim {type(self.torch).__name__}({options})"

    def _check(self, parameters: list[Tensor]) -> None:
        """Refuses a gradient that isn't finite, and limits the norm of one that is."""
        active = [p for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in active if p.grad is not None])
        if self.check_finite and not torch.isfinite(norm):
            raise NonFiniteGradient
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(active, self.clip_norm, norm)

    def _meet(self, params: list[Tensor]) -> None:
        """Takes in parameters that a program has made only now: at the first step, all of them."""
        store = pyro.get_param_store()
        names = {
            id(p): store.param_name(p) or f"parameter {len(self._known) + n}" for n, p in enumerate(params)
        }
        new = {names[id(p)]: p for p in params if id(p) not in self._known}
        if not self._known:
            self.start(new)
            return
        self.parameters = dict(sorted({**self.parameters, **new}.items()))
        if self.torch is not None and self.make is not None:
            # The new ones join the group there is, at the learning rate that its schedule has come to.
            made = self._made(p for _, p in sorted(new.items()))
            self.torch.state.update(made.state)
            groups = self.torch.param_groups
            # torch's fused SGD can't have momentum for a part of a group only.
            if len(groups) == len(made.param_groups) == 1 and not (
                isinstance(made, torch.optim.SGD) and groups[0]["fused"]
            ):
                groups[0]["params"] += made.param_groups[0]["params"]
            else:
                for group in made.param_groups:
                    self.torch.add_param_group(group)
        self._check_held()
        self._known |= {id(p) for p in new.values()}

    def _lay_out(self, optimiser: torch.optim.Optimizer) -> None:
        """Makes up for fused kernels, which don't look at strides."""
        fused = [p for group in optimiser.param_groups if group.get("fused") for p in group["params"]]
        if not fused:
            return
        layout = [p.stride() for p in fused]
        if layout != self._layout:
            for parameter in fused:
                lay_out_state(parameter, optimiser.state.get(parameter, {}))
            self._layout = layout
        lay_out(fused)

    def _made(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        made = self.make(list(parameters))
        if not isinstance(made, torch.optim.Optimizer):
            raise TypeError(
                explain(
                    "optim",
                    expected="a callable that returns a torch.optim.Optimizer",
                    got=type(made).__name__,
                    remedy="Try functools.partial(torch.optim.Adam, lr=1e-3).",
                )
            )
        return made

    def _check_held(self) -> None:
        """Refuses a torch optimiser, ready-made or from a callable, that lacks some of the parameters."""
        if self.torch is None:
            return
        held = {id(p) for group in self.torch.param_groups for p in group["params"]}
        missing = [name for name, parameter in self.parameters.items() if id(parameter) not in held]
        if missing:
            raise ValueError(
                explain(
                    "optim",
                    expected="an optimiser of all parameters of model and guide",
                    got=f"one without {missing[:3]}{' ...' if len(missing) > 3 else ''}",
                    remedy="Pass a callable, partial(torch.optim.Adam, lr=1e-3), and they are found for you.",
                )
            )


def _unique(parameters: Iterable[Tensor]) -> Iterable[Tensor]:
    """Each parameter once: two networks that share one name it twice."""
    return {id(p): p for p in parameters}.values()


def _adam(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    parameters = list(parameters)
    fusible = all(is_fusible(p, ("cpu", "cuda", "mps")) for p in parameters)
    return torch.optim.Adam(parameters, lr=1e-3, fused=fusible)
