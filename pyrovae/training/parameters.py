"""What a pair of programs is made of: its networks, and a Pyro parameter store of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.types import Program


class Parameters:
    """A parameter store that belongs to one pair of programs.

    Pyro keeps one store for the whole process, in which a second model of the same names would silently
    meet the parameters of the first. Inside ``with parameters.active():`` the process's store is set
    aside and this one stands in its place; it is put back afterwards, whatever happened.

    Values read from a file wait under ``waiting`` until the program first names its parameter with
    ``pyro.param``: only then are its constraint and its shape known.
    """

    def __init__(self) -> None:
        self.state: dict[str, dict[str, Any]] = {"params": {}, "constraints": {}}
        self.waiting: dict[str, Tensor] = {}
        self._is_active = False

    @classmethod
    def of_process(cls) -> Parameters:
        """The parameters that the process's store holds now, shared and not copied."""
        parameters = cls()
        parameters.state = pyro.get_param_store().get_state()  # type: ignore[assignment]
        return parameters

    @contextmanager
    def active(self) -> Iterator[None]:
        """Makes this the process's parameter store for the length of a ``with`` block; may be nested."""
        if self._is_active:
            yield
            return
        store = pyro.get_param_store()
        outside = store.get_state()
        store.clear()
        store.set_state(self.state)  # type: ignore[arg-type]
        self._is_active = True
        try:
            # A handler around a step keeps it from being captured: only where one is needed.
            with _Restore(self.waiting) if self.waiting else nullcontext():
                yield
        finally:
            self._is_active = False
            self.state = store.get_state()  # type: ignore[assignment]
            store.clear()
            store.set_state(outside)

    def unconstrained(self) -> dict[str, Tensor]:
        """The parameters as the optimiser sees them, by their names in the store."""
        state = pyro.get_param_store().get_state() if self._is_active else self.state
        return dict(sorted(state["params"].items()))

    def values(self) -> dict[str, Tensor]:
        """The parameters as the programs see them, constraints applied, detached."""
        with self.active():
            store = pyro.get_param_store()
            return {name: store[name].detach().clone() for name in sorted(store.keys())}


def bound(program: Program, parameters: Parameters, device: torch.device) -> Program:
    """A plain function tied to its run: to the parameters it is trained with, and to the run's device.

    Called elsewhere, its ``pyro.param`` statements would meet another store and begin anew, silently; and
    the ``torch.zeros(8)`` in it would be made on the CPU. A module carries both itself and stays as it is.
    """
    if isinstance(program, nn.Module):
        return program
    place = torch.device(device) if device.type != "cpu" else nullcontext()

    @functools.wraps(program)
    def run(*args: Any, **kwargs: Any) -> Any:
        with parameters.active(), place:
            return program(*args, **kwargs)

    return run


class _Restore(Messenger):
    """Gives a parameter the value that waits for it, at the statement that makes it."""

    def __init__(self, waiting: dict[str, Tensor]) -> None:
        super().__init__()
        self.waiting = waiting

    def _pyro_post_param(self, msg: Any) -> None:
        value = self.waiting.get(msg["name"])
        if value is None:
            return
        parameter = pyro.get_param_store()._params[msg["name"]]
        if parameter.shape != value.shape:
            raise ValueError(
                explain(
                    f"parameter {msg['name']!r}",
                    expected=f"shape {tuple(parameter.shape)}, as the program makes it",
                    got=f"{tuple(value.shape)} in the checkpoint",
                    remedy="Load it with the program that it was trained with.",
                )
            )
        with torch.no_grad():
            parameter.copy_(value)
        del self.waiting[msg["name"]]
        msg["value"] = pyro.get_param_store()[msg["name"]]


def networks(model: Program, guide: Program) -> dict[str, nn.Module]:
    """The modules that two programs are made of, by where they are held.

    A program that is a module is found itself (``"model"``, ``"guide"``); one that is a method is found by
    its object; of a plain function, the modules in its closure and its globals are found by their names
    (``"model.decoder"``). A module that both sides hold is listed once.
    """
    found: dict[str, nn.Module] = {}
    for role, program in (("model", model), ("guide", guide)):
        for name, module in _held(role, program):
            if not any(module is other for other in found.values()):
                found[name] = module
    return found


def takes_missing(model: Program, guide: Program) -> bool:
    """Whether data may hold NaN for what is missing: a program, or a part of one, has ``takes_missing``.

    :class:`pyrovae.heads.Masked` and :class:`pyrovae.models.Views` do, by an attribute that is True.
    """
    parts = (module for net in networks(model, guide).values() for module in net.modules())
    return any(getattr(part, "takes_missing", False) for part in (model, guide, *parts))


def _held(role: str, program: Any) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(program, nn.Module):
        yield role, program
    elif isinstance(program, functools.partial):
        yield from _held(role, program.func)
        for i, value in enumerate([*program.args, *program.keywords.values()]):
            if isinstance(value, nn.Module):
                yield f"{role}.{i}", value
    elif inspect.ismethod(program):
        if isinstance(program.__self__, nn.Module):
            yield role, program.__self__
    elif inspect.isfunction(program):
        variables = inspect.getclosurevars(program)
        for name, value in sorted({**variables.globals, **variables.nonlocals}.items()):
            if isinstance(value, nn.Module):
                yield f"{role}.{name}", value
        wrapped = getattr(program, "__wrapped__", None)
        if wrapped is not None:
            yield from _held(role, wrapped)
