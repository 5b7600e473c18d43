"""What belongs to the whole process, or to the user, and must be as it was found after the engine has run."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyro
import pyro.infer.trace_mean_field_elbo
import pyro.infer.traceenum_elbo
import pyro.infer.tracegraph_elbo
import pyro.infer.util
import pyro.poutine.runtime
import pyro.poutine.util
import pyro.util
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules import module as hooks_of_all

_DENORMAL = 5e-324
_PATCHED = (
    (pyro.util, ("torch_isnan", "torch_isinf", "warn_if_nan", "warn_if_inf")),
    (pyro.infer.util, ("torch_item", "is_validation_enabled")),
    (pyro.infer.util.Dice, ("compute_expectation",)),
    (pyro.infer.traceenum_elbo, ("_get_common_scale", "torch_item", "warn_if_nan")),
    (pyro.infer.tracegraph_elbo, ("get_provenance", "track_provenance", "detach_provenance")),
    (pyro.infer.trace_mean_field_elbo, ("torch_item",)),
    (torch.Tensor, ("item", "backward", "__bool__", "__float__", "grad")),
)


def switches() -> dict[str, Any]:
    """Settings of the process that an engine might touch."""
    from torch._inductor import config

    return {
        "pyro's settings": pyro.settings.get(),
        "validation": (
            torch.distributions.Distribution._validate_args,
            pyro.distributions.Normal._validate_args,
            pyro.poutine.util.is_validation_enabled(),
            pyro.infer.util.is_validation_enabled(),
        ),
        "handlers": [*map(id, pyro.poutine.runtime._PYRO_STACK)],
        "autograd": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_anomaly_enabled(),
            torch._C._is_multithreading_enabled(),
        ),
        "arithmetic": (
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
            torch.is_autocast_enabled("cpu"),
            torch.are_deterministic_algorithms_enabled(),
            _DENORMAL * 1.0,
        ),
        "modes of torch": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
        "functions": {
            f"{owner.__name__}.{name}": id(vars(owner).get(name))
            for owner, names in _PATCHED
            for name in names
        },
        "warnings": [*warnings.filters],
        "showwarning": id(warnings.showwarning),
        "hooks of all modules": {
            name: len(value)
            for name, value in vars(hooks_of_all).items()
            if name.startswith("_global_") and isinstance(value, dict)
        },
        "inductor": {name: getattr(config, name) for name in ("fallback_random", "reorder_for_peak_memory")},
    }


def generators() -> dict[str, Any]:
    """The state of all random generators."""
    numpy = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": [part.tolist() if isinstance(part, np.ndarray) else part for part in numpy],
        "python": random.getstate(),
    }


def possessions(modules: Iterable[nn.Module] = ()) -> dict[str, Any]:
    """Which tensors the store and the modules hold, their values and their gradients."""
    store: Any = pyro.get_param_store()
    found: dict[str, Any] = {
        "store": {name: _told(x) for name, x in store._params.items()},
        "names": {name: id(x) for x, name in store._param_to_name.items()},
        "bounds": {name: id(bound) for name, bound in store._constraints.items()},
    }
    for i, module in enumerate(m for top in modules for m in top.modules()):
        told = {}
        for place in (vars(module), module._parameters, module._buffers):
            told.update({name: _told(value) for name, value in place.items()})
        found[f"{i} {type(module).__name__}"] = told
    return found


def _told(value: Any) -> Any:
    assert not isinstance(value, FakeTensor), "a tensor without values was left behind"
    if isinstance(value, Tensor):
        gradient = _told(value.grad) if value.is_leaf else None
        return id(value), value.tolist(), value.requires_grad, gradient
    if isinstance(value, list | tuple):
        return [*map(_told, value)]
    if isinstance(value, dict):
        return {repr(key): _told(part) for key, part in value.items()}
    return value if isinstance(value, bool | int | float | str | type(None)) else id(value)
