"""What torch's fused optimiser kernels ask of parameters, gradients and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

FUSED_ON = {Adam: ("cpu", "cuda"), AdamW: ("cpu", "cuda"), SGD: ("cpu", "cuda"), Adagrad: ("cpu",)}
"""By class, the devices that every supported torch has a fused kernel for."""


def wants_fusing(kind: type[Optimizer], options: dict[str, Any]) -> bool:
    """Whether the kernel is ours to choose: what was asked for explicitly is left as it is."""
    unset = options.get("fused") is None and options.get("foreach") is None
    plain = not options.get("capturable") and not options.get("differentiable")
    dampened = kind is SGD and options["dampening"] != 0
    return kind in FUSED_ON and unset and plain and not dampened


def is_fusible(parameter: Tensor, devices: Sequence[str]) -> bool:
    """Whether a fused kernel does what the plain one does: float32 or float64, and dense in memory."""
    return (
        parameter.device.type in devices
        and parameter.dtype in (torch.float32, torch.float64)
        and torch.empty_like(parameter, device="meta").stride() == parameter.stride()
    )


def lay_out(parameters: Sequence[Tensor]) -> bool:
    """Gives gradients the memory layout of their parameters; False, with nothing done, if one is sparse.

    The fused kernels of torch run over the memory, whatever the strides: on a CPU a gradient that is laid
    out otherwise (of a compiled graph, say) would silently be added to the wrong elements.
    """
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    if any([g.is_sparse for _, g in pairs]):  # noqa: C419 - a list is the faster one here
        return False
    for parameter, gradient in pairs:
        if gradient.stride() != parameter.stride():
            parameter.grad = torch.empty_like(parameter).copy_(gradient.detach())
    return True


def lay_out_state(parameter: Tensor, state: dict[str, Any]) -> None:
    """Gives the tensors of an optimiser's state the memory layout of their parameter."""
    for name, value in state.items():
        whole = isinstance(value, Tensor) and value.shape == parameter.shape
        if whole and value.stride() != parameter.stride():
            state[name] = torch.empty_like(parameter).copy_(value)


class States(dict[Tensor, dict[str, Any]]):
    """The states of the parameters' own optimisers, where the merged one looks for its own.

    A fused kernel wants the count of steps as a float32 of the parameter's device, all tensors laid out
    alike, and momentum from the first step on; a state is brought into that form when it is first met.
    """

    def __init__(self, kind: type[Optimizer], holders: dict[int, Optimizer]) -> None:
        super().__init__()
        self.kind, self.holders = kind, holders
        self.fused: set[int] = set()
        self.ready: dict[int, dict[str, Any]] = {}

    def __getitem__(self, parameter: Tensor) -> dict[str, Any]:
        own = id(parameter)
        state: dict[str, Any] = self.holders[own].state[parameter]
        if self.ready.get(own) is not state:
            self.ready[own] = state
            if own in self.fused:
                self._prepare(parameter, state)
        return state

    def _prepare(self, parameter: Tensor, state: dict[str, Any]) -> None:
        if "step" in state:
            state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=parameter.device)
        lay_out_state(parameter, state)
        if self.kind is SGD and state.get("momentum_buffer") is None:
            # The kernel knows no group of which only a part has momentum. From zero, the first step gives
            # the gradient itself, as it must (there is no dampening here).
            state["momentum_buffer"] = torch.zeros_like(parameter)
