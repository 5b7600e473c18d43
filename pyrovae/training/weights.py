"""The weights of a pair of programs as named tensors, taken out and put back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.training.parameters import Parameters, networks
from pyrovae.types import Program

_PARAM = "param"


def take(model: Program, guide: Program, parameters: Parameters) -> dict[str, Tensor]:
    """Every weight by name, parameters and persistent buffers, as copies on their devices.

    Networks come as ``model/decoder.weight``; what only Pyro's store knows, as ``param/scale`` (its
    unconstrained value).
    """
    weights: dict[str, Tensor] = {}
    known: set[int] = set()
    for where, net in networks(model, guide).items():
        known |= {id(parameter) for parameter in net.parameters()}
        weights |= {f"{where}/{name}": value for name, value in net.state_dict().items()}
    for name, parameter in parameters.unconstrained().items():
        if id(parameter) not in known:
            weights[f"{_PARAM}/{name}"] = parameter
    weights |= {f"{_PARAM}/{name}": value for name, value in parameters.waiting.items()}
    return {name: value.detach().clone() for name, value in weights.items()}


def put(weights: dict[str, Tensor], model: Program, guide: Program, parameters: Parameters) -> None:
    """Puts weights back in place; a ``pyro.param`` that no program has made yet waits for its statement.

    Raises:
        ValueError: when the programs have other networks or shapes than the weights are for.
    """
    left = dict(weights)
    for where, net in networks(model, guide).items():
        own = {name.removeprefix(f"{where}/"): left.pop(name) for name in list(left) if _is_in(name, where)}
        _fill(net, own, where)
    store = parameters.unconstrained()
    for name in list(left):
        home, _, param = name.partition("/")
        if home != _PARAM:
            continue
        value = left.pop(name)
        if param in store and store[param].shape == value.shape:
            with torch.no_grad():
                store[param].copy_(value)
        else:
            parameters.waiting[param] = value
    if left:
        raise ValueError(
            explain(
                "weights",
                expected="a model and a guide with the networks of the checkpoint",
                got=f"none that take {sorted(left)[:3]}",
                remedy="Pass the programs that it was trained with.",
            )
        )


def _is_in(name: str, where: str) -> bool:
    return name.partition("/")[0] == where


def _fill(net: nn.Module, own: dict[str, Tensor], where: str) -> None:
    expected = net.state_dict()
    for name in sorted(set(expected) | set(own)):
        wanted, given = expected.get(name), own.get(name)
        if wanted is None or given is None or wanted.shape != given.shape:
            raise ValueError(
                explain(
                    f"weights of {where}, {name!r}",
                    expected="nothing" if wanted is None else f"shape {tuple(wanted.shape)}",
                    got="nothing in the checkpoint" if given is None else f"{tuple(given.shape)}",
                    remedy="Build the same networks as when it was saved.",
                )
            )
    net.load_state_dict(own)
