"""Pyro optimisers of every kind, and runs of them on gradients that are always the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pyro
import pyro.optim
import torch
from pyro.optim import PyroOptim
from torch import Tensor

SHAPES = [(4, 3), (3,), (), (2, 3, 2)]
SCHEDULED = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}}


def own_arguments(name: str) -> dict[str, Any]:
    return {"lr": 0.1 if name.endswith("1") else 0.01, "betas": (0.8, 0.99)}


def own_by_module(module: str, name: str) -> dict[str, Any]:
    return {"lr": 0.1 if (module, name) == ("net", "p1") else 0.02}


def limits(module: str, name: str) -> dict[str, float]:
    return {} if name == "p0" else {"clip_norm": 0.7} if name == "p1" else {"clip_value": 0.3}


MAKERS: dict[str, Callable[[], PyroOptim]] = {
    "Adam": lambda: pyro.optim.Adam({"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    "AdamW": lambda: pyro.optim.AdamW({"lr": 0.05}),
    "ClippedAdam": lambda: pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.9, "clip_norm": 0.5}),
    "SGD": lambda: pyro.optim.SGD({"lr": 0.05}),
    "SGD momentum": lambda: pyro.optim.SGD({"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "SGD dampening": lambda: pyro.optim.SGD({"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    "Adagrad": lambda: pyro.optim.Adagrad({"lr": 0.05, "lr_decay": 0.1}),
    "RMSprop": lambda: pyro.optim.RMSprop({"lr": 0.05, "momentum": 0.5}),
    "AdagradRMSProp": lambda: pyro.optim.AdagradRMSProp({"eta": 0.5}),
    "DCTAdam": lambda: pyro.optim.DCTAdam({"lr": 0.05, "lrd": 0.95}),
    "foreach": lambda: pyro.optim.Adam({"lr": 0.05, "foreach": True}),
    "fused": lambda: pyro.optim.Adam({"lr": 0.05, "fused": True}),
    "by name": lambda: pyro.optim.Adam(own_arguments),
    "by module": lambda: pyro.optim.Adam(own_by_module),
    "norm": lambda: pyro.optim.Adam({"lr": 0.05}, {"clip_norm": 0.7}),
    "value": lambda: pyro.optim.SGD({"lr": 0.05}, {"clip_value": 0.3}),
    "norm and value": lambda: pyro.optim.SGD({"lr": 0.05}, {"clip_norm": 0.9, "clip_value": 0.3}),
    "limits by name": lambda: pyro.optim.SGD({"lr": 0.05}, limits),
    "exponential": lambda: pyro.optim.ExponentialLR({**SCHEDULED, "gamma": 0.8}),
    "step": lambda: pyro.optim.StepLR({**SCHEDULED, "step_size": 3, "gamma": 0.5}),
    "one cycle": lambda: pyro.optim.OneCycleLR({**SCHEDULED, "max_lr": 0.1, "total_steps": 30}),
    "plateau": lambda: pyro.optim.ReduceLROnPlateau({**SCHEDULED, "patience": 1, "factor": 0.5}),
}


def gradients_of(step: int, dtype: torch.dtype, count: int) -> list[Tensor]:
    noise = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=noise, dtype=dtype) for shape in SHAPES[:count]]


def parameters_of(dtype: torch.dtype = torch.float64, count: int = len(SHAPES)) -> list[Tensor]:
    """New parameters, the same each time, in the store under names of a module."""
    store = pyro.get_param_store()
    store.clear()
    for n, value in enumerate(gradients_of(99, dtype, count)):
        store[f"net$$$p{n}"] = value
    return [store._params[f"net$$$p{n}"] for n in range(count)]


def run_of(
    optim: Any, parameters: list[Tensor], steps: range = range(20), schedule: PyroOptim | None = None
) -> list[Tensor]:
    for step in steps:
        for p, gradient in zip(
            parameters, gradients_of(step, parameters[0].dtype, len(parameters)), strict=True
        ):
            p.grad = gradient
        optim(set(parameters))
        if isinstance(schedule, pyro.optim.PyroLRScheduler):
            plateau = schedule.pt_scheduler_constructor is torch.optim.lr_scheduler.ReduceLROnPlateau
            schedule.step(*((1.0,) if plateau else ()))
    return [p.detach().clone() for p in parameters]


def plain_run(make: Callable[[], PyroOptim], dtype: torch.dtype) -> tuple[list[Tensor], dict[str, Any]]:
    optim = make()
    values = run_of(optim, parameters_of(dtype), schedule=optim)
    return values, copy.deepcopy(optim.get_state())


def steps_alone(optim: PyroOptim) -> list[Any]:
    """The calls that the parameters' own optimisers get from now on."""
    calls: list[Any] = []
    for own in optim.optim_objs.values():
        own = getattr(own, "optimizer", own)
        own.register_step_pre_hook(lambda *_: calls.append(1))
    return calls


def assert_same(ours: Any, theirs: Any, tolerance: float) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, check_dtype=False)
