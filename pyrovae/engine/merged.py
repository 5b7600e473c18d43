"""One torch optimiser for all parameters of a Pyro optimiser, which by itself makes one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyro
import pyro.optim.adagrad_rmsprop
import pyro.optim.clipped_adam
import pyro.optim.dct_adam
import torch
from pyro.optim import PyroOptim
from pyro.optim.lr_scheduler import PyroLRScheduler
from pyro.optim.optim import _load_state_dict
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pyrovae.engine.fusing import FUSED_ON, States, is_fusible, lay_out, wants_fusing

_OF_PYRO = (
    pyro.optim.adagrad_rmsprop.AdagradRMSProp,
    pyro.optim.clipped_adam.ClippedAdam,
    pyro.optim.dct_adam.DCTAdam,
)

# LBFGS needs a closure; SparseAdam gradients of another layout.
_ALONE = (torch.optim.LBFGS, torch.optim.SparseAdam)

_MANY = 32
"""So many sets of parameters that are stepped together are remembered."""


class Clip:
    """Clips the gradient of one parameter, as Pyro does; its arguments can be read."""

    def __init__(self, function: Callable[..., None], arguments: dict[str, Any]) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self, parameter: Tensor) -> None:
        """Clips in place."""
        self.function(parameter, **self.arguments)


class Merged:
    """Steps a Pyro optimiser with one call for all parameters, instead of one for each.

    The Pyro optimiser stays what its owner knows: its ``optim_objs`` hold options and states, schedules
    step them, ``get_state`` and ``save`` read them. Only the arithmetic is done by one torch optimiser that
    shares their states; options are compared before each step. Where that can't be (closures, LBFGS, sparse
    gradients, step hooks, subclasses, options that are tensors) the Pyro optimiser is called as it is.

    Arguments:
        optim: the Pyro optimiser.
    """

    def __init__(self, optim: PyroOptim) -> None:
        self.optim = optim
        # A subclass may do anything at all in its own call.
        self.eligible = type(optim) in (PyroOptim, PyroLRScheduler)
        self.plans: dict[frozenset[int], _Plan] = {}
        self.last: _Plan | None = None

    def __call__(self, params: Iterable[Tensor], *args: Any, **kwargs: Any) -> None:
        """One update of these parameters, from their gradients."""
        params = list(params)
        if args or kwargs or not self.eligible:
            self.optim(params, *args, **kwargs)
            return
        plan, order = self.last, list(map(id, params))
        if plan is None or plan.order != order or plan.is_stale():
            if len(set(order)) != len(order):
                self.optim(params)
                return
            plan = self.last = self._plan(order, params)
        if not plan.step():
            self.optim(params)

    def meet(self, parameter: Tensor, state: dict[str, Any] | None = None) -> None:
        """Makes the parameter's own optimiser, as Pyro would at its first step, with a state or without."""
        optim: Any = self.optim
        own = optim.optim_objs[parameter] = optim._get_optim(parameter)
        if self.eligible:
            arguments = optim._get_grad_clip_args(parameter)
            optim.grad_clip[parameter] = Clip(optim._clip_grad, arguments) if arguments else None
        else:
            optim.grad_clip[parameter] = optim._get_grad_clip(parameter)
        if state is not None:
            _load_state_dict(own, state)

    def _plan(self, order: list[int], params: list[Tensor]) -> _Plan:
        chosen = frozenset(order)
        known = self.plans.get(chosen)
        if known is not None and not known.is_stale():
            known.order = order
            return known
        if known is not None or len(self.plans) >= _MANY:
            self.plans.clear()
        waiting = self.optim._state_waiting_to_be_consumed
        for parameter in params:
            if parameter not in self.optim.optim_objs:
                name = pyro.get_param_store().param_name(parameter)
                self.meet(parameter, waiting.pop(name, None))
        self.plans[chosen] = plan = _Plan(self.optim, params, order)
        return plan


class _Plan:
    """How one set of parameters is stepped: which share options, and the torch optimiser of them all."""

    def __init__(self, optim: PyroOptim, parameters: list[Tensor], order: list[int]) -> None:
        self.optim, self.parameters, self.order = optim, parameters, order
        self.everyone, self.clips = [*optim.optim_objs.values()], [*optim.grad_clip.values()]
        owners = [optim.optim_objs[p] for p in parameters]
        self.holders: list[Optimizer] = [getattr(o, "optimizer", o) for o in owners]
        self.hooks: list[Any] = [h._optimizer_step_pre_hooks for h in self.holders]
        self.hooks += [h._optimizer_step_post_hooks for h in self.holders]
        self.kind = type(self.holders[0]) if self.holders else Optimizer
        self.mergeable = _is_known(self.kind) and all(
            isinstance(owner, Optimizer | LRScheduler) and type(holder) is self.kind and _is_plain(holder)
            for owner, holder in zip(owners, self.holders, strict=True)
        )
        self.states = States(self.kind, dict(zip(map(id, parameters), self.holders, strict=True)))
        self.merged: Optimizer | None = None
        self.seen: list[list[dict[str, Any]]] = []
        self._sort_clips()

    def is_stale(self) -> bool:
        """Whether the Pyro optimiser has other parts now than when this was planned."""
        now, clips = self.optim.optim_objs.values(), self.optim.grad_clip.values()
        return self.everyone != [*now] or self.clips != [*clips]

    def step(self) -> bool:
        """One update; False, with nothing changed, where each parameter must go its own way."""
        if not self.mergeable or any(self.hooks):
            return False
        if self.seen != [holder.param_groups for holder in self.holders]:
            self._gather()
        merged = self.merged
        if merged is None:
            return False
        if self.fused:
            if self.strides != [p.stride() for p in self.fused]:
                self._gather()
            try:
                alike = self.strides == [g if g is None else g.stride() for g in [p.grad for p in self.fused]]
            except RuntimeError:  # a sparse gradient has no strides
                alike = False
            if not alike and not lay_out(self.fused):
                return False
        for arguments, parameters in self.together:
            clip_each(parameters, **arguments)
        for clip, parameter in self.singly:
            clip(parameter)
        merged.step()
        if merged.param_groups != self.options:
            self._write_back(merged)
        return True

    def _gather(self) -> None:
        """Puts parameters of equal options in one group; ``merged`` is None where that can't be done."""
        self.seen = [[dict(group) for group in holder.param_groups] for holder in self.holders]
        groups: list[tuple[dict[str, Any], list[Tensor], list[Optimizer]]] = []
        self.fused: list[Tensor] = []
        for parameter, holder in zip(self.parameters, self.holders, strict=True):
            options, *others = (dict(group) for group in holder.param_groups)
            held = options.pop("params")
            if others or len(held) != 1 or held[0] is not parameter or _has_tensors(options.values()):
                self.merged = None
                return
            if wants_fusing(self.kind, options) and is_fusible(parameter, FUSED_ON[self.kind]):
                options["fused"] = True
            if options.get("fused"):
                self.fused.append(parameter)
            same = next((group for group in groups if group[0] == options), None)
            if same is None:
                groups.append(same := (options, [], []))
            same[1].append(parameter)
            same[2].append(holder)
            # What torch would note itself, were this optimiser's own step called: schedules look for it.
            holder._opt_called = True  # type: ignore[attr-defined]
        self.members = [holders for _, _, holders in groups]
        gathered = [{**options, "params": parameters} for options, parameters, _ in groups]
        if self.merged is None:
            kind: Any = self.kind
            self.merged = kind([dict(group) for group in gathered])
            self.merged.state = self.states
        self.merged.param_groups = gathered
        self.options = [dict(group) for group in gathered]
        self.strides = [p.stride() for p in self.fused]
        self.states.fused = set(map(id, self.fused))
        self.states.ready.clear()

    def _write_back(self, merged: Optimizer) -> None:
        """Gives the parameters' own optimisers the options that a step has changed (``ClippedAdam``: lr)."""
        for group, before, members in zip(merged.param_groups, self.options, self.members, strict=True):
            changed = {name: value for name, value in group.items() if value != before[name]}
            for holder in members:
                holder.param_groups[0].update(changed)
        self.options = [dict(group) for group in merged.param_groups]
        self.seen = [[dict(group) for group in holder.param_groups] for holder in self.holders]

    def _sort_clips(self) -> None:
        """Parameters of one device and type with the same limits are clipped in a few calls."""
        kept: dict[Any, tuple[dict[str, Any], list[Tensor]]] = {}
        self.singly: list[tuple[Callable[[Tensor], None], Tensor]] = []
        for parameter in self.parameters:
            clip = self.optim.grad_clip[parameter]
            if isinstance(clip, Clip) and clip.arguments.keys() <= {"clip_norm", "clip_value"}:
                key = (*sorted(clip.arguments.items()), parameter.device, parameter.dtype)
                kept.setdefault(key, (clip.arguments, []))[1].append(parameter)
            elif clip is not None:
                self.singly.append((clip, parameter))
        self.together = list(kept.values())


@torch.no_grad()
def clip_each(
    parameters: Sequence[Tensor], clip_norm: float | None = None, clip_value: float | None = None
) -> None:
    """Clips each gradient on its own, in place: first by its norm, then by value."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if any(g.is_sparse for g in gradients):
        for parameter in parameters:
            PyroOptim._clip_grad(parameter, clip_norm, clip_value)
        return
    if not gradients:
        return
    if clip_norm is not None:
        norms = torch.stack(torch._foreach_norm(gradients))
        factors = (clip_norm / (norms + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, list(factors.unbind()))
    if clip_value is not None:
        torch._foreach_clamp_min_(gradients, -float(clip_value))
        torch._foreach_clamp_max_(gradients, float(clip_value))


def _is_known(kind: type[Optimizer]) -> bool:
    ours = getattr(torch.optim, kind.__name__, None) is kind or kind in _OF_PYRO
    return ours and kind not in _ALONE and kind is not Optimizer


def _is_plain(holder: Optimizer) -> bool:
    """Whether the step is that of its class; a schedule's wrapper only notes that it was called."""
    step = vars(holder).get("step")
    return step is None or hasattr(step, "_wrapped_by_lr_sched")


def _has_tensors(values: Iterable[Any]) -> bool:
    return any(
        isinstance(part, Tensor)
        for value in values
        for part in (value if isinstance(value, tuple | list) else (value,))
    )
