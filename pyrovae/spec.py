"""Parts described as plain data and rebuilt from it: how a run folder remembers its model without code.

The convention is the one of scikit-learn: a part keeps each constructor argument under an attribute of the
same name. ``describe`` reads them, ``build`` calls the constructor again. ``build`` calls nothing but the
parts of this package and the activations of torch, so a description that comes from a stranger runs none
of the stranger's code.

Parts may be shared, such as the encoder that a model's prior and the guide both hold. A network that is met
again is described as ``{"same_as": "model.prior.encoder"}``, the way to it from where it was met first.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pyrovae.errors import explain, nearest

_HOMES = ("nets", "kernels", "heads", "flows", "priors", "models", "guides", "data")


Shared = dict[str, nn.Module]
"""Networks by the way to them, from the programs that were described or built so far."""


def describe(part: Any, *, where: str = "", shared: Shared | None = None) -> Any:
    """The JSON-able description of a part, its arguments and the parts it was built from.

    Arguments:
        where: what to call the part in the ways to its networks, ``"model"`` or ``"guide"``.
        shared: the networks that were described before; those of this part are added.

    Returns: numbers, strings, None and lists as they are; a part as
        ``{"class_path": ..., "init_args": {...}}``; a class or function as ``{"import": ...}``.

    Raises:
        TypeError: the part, or one inside it, belongs to neither pyrovae nor torch's activations (a class
            or function of the user's, which only the user's own code can rebuild).

    Example:
        >>> from pyrovae.priors import StandardNormal
        >>> describe(StandardNormal(8))
        {'class_path': 'pyrovae.priors.StandardNormal', 'init_args': {'dim': 8}}
    """
    shared = {} if shared is None else shared
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, list | tuple):
        return [describe(item, where=f"{where}.{i}", shared=shared) for i, item in enumerate(part)]
    if isinstance(part, Mapping):
        return {str(n): describe(item, where=f"{where}.{n}", shared=shared) for n, item in part.items()}
    if inspect.isclass(part) or inspect.isfunction(part):
        return {"import": _public_path(part)}
    for way, other in shared.items():
        if other is part:
            return {"same_as": way}
    path = _public_path(type(part))
    arguments = inspect.signature(type(part)).parameters
    missing = [name for name in arguments if not hasattr(part, name)]
    if missing:
        raise TypeError(
            explain(
                path,
                expected=f"its constructor's arguments {missing} kept as attributes",
                got="no such attribute",
                remedy="Keep each argument under its own name in __init__.",
            )
        )
    values = {
        name: describe(getattr(part, name), where=f"{where}.{name}", shared=shared) for name in arguments
    }
    if isinstance(part, nn.Module):
        shared[where] = part
    return {"class_path": path, "init_args": values}


def build(description: Any, *, where: str = "", shared: Shared | None = None) -> Any:
    """The part that a description tells of: the inverse of :func:`describe`.

    Arguments:
        where, shared: as for :func:`describe`; the networks that were built before.

    Raises:
        ValueError: a path that is neither a public part of pyrovae nor an activation of torch, arguments
            that its constructor does not take, or a shared network that is not there.

    Example:
        >>> build({"class_path": "pyrovae.priors.StandardNormal", "init_args": {"dim": 8}})
        StandardNormal(dim=8)
    """
    shared = {} if shared is None else shared
    if isinstance(description, list):
        return [build(item, where=f"{where}.{i}", shared=shared) for i, item in enumerate(description)]
    if not isinstance(description, dict):
        return description
    if set(description) == {"import"}:
        return _resolve(description["import"])
    if set(description) == {"same_as"}:
        return _find(description["same_as"], shared)
    if "class_path" not in description:
        return {n: build(item, where=f"{where}.{n}", shared=shared) for n, item in description.items()}
    path = description["class_path"]
    maker = _resolve(path)
    if not inspect.isclass(maker):
        raise ValueError(explain("class_path", expected="a class", got=repr(path), remedy="Name a part."))
    given = {
        name: build(item, where=f"{where}.{name}", shared=shared)
        for name, item in description.get("init_args", {}).items()
    }
    part = _call(maker, path, given)
    if isinstance(part, nn.Module):
        shared[where] = part
    return part


def _find(way: Any, shared: Shared) -> nn.Module:
    if way in shared:
        return shared[way]
    raise ValueError(
        explain(
            "same_as",
            expected="a network that was described before",
            got=repr(way),
            remedy="Pass both programs: pyrovae.load(dir, model=..., guide=...).",
        )
    )


def _call(maker: Any, path: str, given: dict[str, Any]) -> Any:
    """Calls a constructor with arguments by name, the variadic ones included."""
    arguments = inspect.signature(maker).parameters
    for name in given:
        if name not in arguments:
            raise ValueError(
                explain(
                    f"{path}.{name}",
                    expected="an argument of the constructor",
                    got="an unknown name",
                    remedy=nearest(name, arguments),
                )
            )
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in arguments.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional += list(given.pop(name, []))
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named |= given.pop(name, {})
    return maker(*positional, **named, **given)


def _public_path(thing: Any) -> str:
    """The path under which users import a class or function, or TypeError where it is not ours to name."""
    name, module = thing.__qualname__, thing.__module__
    if module == "torch.nn.modules.activation" and getattr(torch.nn, name, None) is thing:
        return f"torch.nn.{name}"
    parts = module.split(".")
    if parts[0] == "pyrovae" and len(parts) > 1 and parts[1] in _HOMES:
        home = ".".join(parts[:2])
        if getattr(importlib.import_module(home), name, None) is thing:
            return f"{home}.{name}"
    raise TypeError(
        explain(
            f"{module}.{name}",
            expected="a public part of pyrovae or an activation of torch.nn",
            got="something else",
            remedy="It can be used, but not rebuilt from a file: pass model= and guide= to pyrovae.load.",
        )
    )


def _resolve(path: Any) -> Any:
    """The public thing at a path, nothing else: a file can't make this import or call what it likes."""
    home, _, name = str(path).rpartition(".")
    if home == "torch.nn":
        thing = getattr(torch.nn, name, None)
        if getattr(thing, "__module__", None) == "torch.nn.modules.activation":
            return thing
    elif home.startswith("pyrovae.") and home.removeprefix("pyrovae.") in _HOMES:
        module = importlib.import_module(home)
        public = getattr(module, "__all__", [])
        if name in public:
            return getattr(module, name)
        raise ValueError(
            explain(str(path), expected=f"a public name of {home}", got=name, remedy=nearest(name, public))
        )
    raise ValueError(
        explain(
            "class_path",
            expected="a public part of pyrovae, or an activation of torch.nn",
            got=repr(path),
            remedy="A run with parts of your own is loaded with pyrovae.load(dir, model=..., guide=...).",
        )
    )
