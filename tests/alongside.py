"""Runs one script with ``pyro.infer.SVI`` and with ours, from one seed, and compares all that it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import pyro.infer
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

from pyrovae.engine import SVI

Script = Callable[[Callable[..., Any]], Iterator[Any]]
"""Takes what makes an SVI; yields numbers, tensors, or lists and dictionaries of them: what is compared."""


def both(script: Script, rtol: float = 1e-10, **options: Any) -> Any:
    """Runs a script for both, each with a store of its own; returns the last of ours that it made."""
    made: list[Any] = []

    def ours(*args: Any, **kwargs: Any) -> Any:
        made.append(SVI(*args, **{"compile": "capture", **options}, **kwargs))
        return made[-1]

    eager, captured = _run(script, pyro.infer.SVI), _run(script, ours)
    assert captured.keys() == eager.keys()
    for key in eager:
        assert_same(captured[key], eager[key], rtol, key)
    return made[-1]


def assert_same(ours: Any, eager: Any, rtol: float, where: str = "") -> None:
    """Equal structure, and tensors that differ by rounding only, relative to the largest entry."""
    if isinstance(eager, dict):
        assert ours.keys() == eager.keys(), where
        for key in eager:
            assert_same(ours[key], eager[key], rtol, f"{where} {key}")
    elif isinstance(eager, list):
        assert len(ours) == len(eager), where
        for i, (one, other) in enumerate(zip(ours, eager, strict=True)):
            assert_same(one, other, rtol, f"{where}[{i}]")
    elif isinstance(eager, Tensor):
        assert (ours.dtype, ours.shape) == (eager.dtype, eager.shape), where
        if eager.is_floating_point() and eager.numel():
            gap = (ours - eager).abs().max().item()
            size = eager.abs().max().item()
            assert gap <= rtol * max(size, 1e-3), f"{where}: off by {gap:.3g} of {size:.3g}"
        else:
            assert torch.equal(ours, eager), where
    elif isinstance(eager, float):
        assert math.isclose(ours, eager, rel_tol=rtol, abs_tol=rtol), f"{where}: {ours!r}, eager {eager!r}"
    else:
        assert ours == eager, where


def _run(script: Script, make: Callable[..., Any]) -> dict[str, Any]:
    with pyro.get_param_store().scope():
        pyro.set_rng_seed(0)
        shown = {f"output {i}": _frozen(value) for i, value in enumerate(script(make))}
        store: Any = pyro.get_param_store()
        shown["store"] = {name: _frozen(store[name]) for name in sorted(store.keys())}
    return {**shown, "random state": torch.get_rng_state()}


def _frozen(value: Any) -> Any:
    """A copy: what a script yields may change later."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, nn.Module):
        # Pyro leaves zeros after a step, we leave None.
        gradients = {
            f"{name}.grad": torch.zeros_like(p) if p.grad is None else _frozen(p.grad)
            for name, p in value.named_parameters()
        }
        return {**{name: _frozen(x) for name, x in value.state_dict().items()}, **gradients}
    if isinstance(value, dict):
        return {key: _frozen(part) for key, part in value.items()}
    return [*map(_frozen, value)] if isinstance(value, list | tuple) else value


class Pair(nn.Module):
    """A small VAE with what makes a graph stateful: batch norm, dropout, and a few things to change.

    Arguments:
        plain: without batch norm and dropout.
    """

    def __init__(self, plain: bool = True) -> None:
        super().__init__()
        between = [] if plain else [nn.BatchNorm1d(8), nn.Dropout(0.3)]
        self.encoder = nn.Sequential(nn.Linear(6, 8), *between, nn.Tanh(), nn.Linear(8, 4))
        self.decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6))
        self.beta = 1.0

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            with pyro.poutine.scale(scale=self.beta):
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 0.5).to_event(1), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)), pyro.poutine.scale(scale=self.beta):
            loc, raw = self.encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, nn.functional.softplus(raw)).to_event(1))


def infer(x):
    """A guide that is a function, with a free parameter."""
    weight = pyro.param("weight", lambda: torch.full((6, 2), 0.1, dtype=torch.float64))
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(x @ weight, 0.3).to_event(1))


def generate(x, width, shift=0.0):
    """Its model, of some width; it is called from models that differ in where they have that from."""
    decoder = pyro.param("decoder", lambda: torch.full((2, 6), 0.2, dtype=torch.float64))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z @ decoder + shift, width).to_event(1), obs=x)


def data(size: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch, the same at each call; the process's generator isn't touched."""
    return torch.randn(size, 6, dtype=dtype, generator=torch.Generator().manual_seed(size))


def pair(svi: Callable[..., Any], plain: bool = True, optim: Any = None) -> tuple[Pair, Any]:
    """A new pair in float64, and its SVI."""
    net = Pair(plain).double()
    return net, svi(net.model, net.guide, optim or pyro.optim.SGD({"lr": 1e-3}), Trace_ELBO())


sgd = partial(pyro.optim.SGD, {"lr": 1e-3})


def built(svi: Any) -> list[int]:
    """For each kind of arguments that came, how often its graph was made anew."""
    return [len(entry.rebuilt) for entry in svi._steps.entries.values()]


@contextmanager
def globals_of(function: Any, **values: Any) -> Iterator[dict[str, Any]]:
    """Sets globals that a function sees, and puts them back."""
    place, missing = function.__globals__, object()
    before = {name: place.get(name, missing) for name in values}
    place.update(values)
    try:
        yield place
    finally:
        for name, value in before.items():
            if value is missing:
                del place[name]
            else:
                place[name] = value
