"""Descriptions into parts: constructors called with checked names, nested parts first."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from pyrovae.cli.parts import described, is_description
from pyrovae.cli.references import References, is_reference
from pyrovae.errors import explain, nearest

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Known(NamedTuple):
    """What parts can be told that nobody has said.

    Attributes:
        by_name: values by the names of arguments that a part can't do without, such as ``dim``.
        by_class: for some classes, from the options that are given to the others.
    """

    by_name: Mapping[str, Any]
    by_class: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {}


class MissingOption(ValueError):
    """A part can't be made: nobody has said yet what one of its arguments is."""


def merge(default: Any, given: Any, references: References) -> Any:
    """A description with the user's changes: a new class keeps the default's options that it takes too.

    Example:
        >>> default = {"class_path": "pyrovae.priors.StandardNormal", "init_args": {"dim": 8}}
        >>> merge(default, "pyrovae.priors.DiagonalNormal", References())
        {'class_path': 'pyrovae.priors.DiagonalNormal', 'init_args': {'dim': 8}}
    """
    if given is None:
        return default
    if not is_description(default) or not (isinstance(given, str) or is_description(given)):
        return given
    given = described(given)
    path = given.get("class_path", default.get("class_path"))
    kept = dict(default.get("init_args") or {})
    if path != default.get("class_path"):
        thing = references.find(path)
        taken = inspect.signature(thing).parameters if inspect.isclass(thing) else {}
        kept = {name: value for name, value in kept.items() if name in taken}
    changes = given.get("init_args") or {}
    arguments = {**kept, **{n: merge(kept.get(n), v, references) for n, v in changes.items()}}
    return {"class_path": path, "init_args": arguments}


def filled(description: Any, known: Known, references: References) -> Any:
    """A description with what its parts can't do without and nobody has said, the parts inside it likewise.

    Example:
        >>> filled("pyrovae.priors.StandardNormal", Known({"dim": 8}), References())
        {'class_path': 'pyrovae.priors.StandardNormal', 'init_args': {'dim': 8}}
    """
    if isinstance(description, list | tuple):
        return [filled(item, known, references) for item in description]
    if isinstance(description, str) and description.startswith("pyrovae.") and is_reference(description):
        thing = references.find(description)
        return filled(described(description), known, references) if inspect.isclass(thing) else description
    if not is_description(description) or "class_path" not in description:
        return description
    path = description["class_path"]
    thing = references.find(path)
    if not inspect.isclass(thing):
        return description
    given = {n: filled(v, known, references) for n, v in (description.get("init_args") or {}).items()}
    if path in known.by_class:
        given = {**known.by_class[path](given), **given}
    for name, parameter in inspect.signature(thing).parameters.items():
        wanted = parameter.default is inspect.Parameter.empty
        if wanted and parameter.kind is not inspect.Parameter.VAR_KEYWORD and name in known.by_name:
            given.setdefault(name, known.by_name[name])
    return {"class_path": path, "init_args": given}


def build(description: Any, references: References, where: str) -> Any:
    """The part that a description tells of.

    Arguments:
        references: what class paths may name.
        where: the option that it was given by, for errors.

    Raises:
        ValueError: for a class path without a class, and for options that it does not take.
    """
    if isinstance(description, str):
        description = described(description)
    if not is_description(description) or "class_path" not in description:
        raise ValueError(
            explain(
                f"--{where}",
                expected="a class path",
                got=repr(description),
                remedy="Write pyrovae.nets.MLP, mypackage.MyNet or mine.py:MyNet.",
            )
        )
    path = description["class_path"]
    thing, given = references.find(path), description.get("init_args") or {}
    if inspect.isclass(thing):
        return call(thing, arguments(thing, given, references, where), where)
    if given:
        raise ValueError(
            explain(
                f"--{where}.{next(iter(given))}",
                expected="options of a class",
                got=f"{path}, which is none",
                remedy="Functions and objects are taken as they are.",
            )
        )
    return thing


def arguments(
    thing: Callable[..., Any], given: Mapping[str, Any], references: References, where: str
) -> dict[str, Any]:
    """The arguments for a constructor, checked by name, the parts among them built.

    Raises:
        ValueError: for a name that it does not take, with the nearest that it does.
    """
    known = inspect.signature(thing).parameters
    hints = _hints(thing)
    typed = _typed_options(hints)
    open_ended = typed is None and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    hints = {**hints, **(typed or {})}
    found = {}
    for name, value in given.items():
        if name not in known and not open_ended and name not in (typed or {}):
            raise ValueError(
                explain(
                    f"--{where}.{name}",
                    expected=f"an option of {getattr(thing, '__qualname__', thing)}",
                    got="an unknown name",
                    remedy=nearest(name, [n for n in [*known, *(typed or {})] if n != "options"]),
                )
            )
        found[name] = _value(value, known.get(name), hints.get(name), references, f"{where}.{name}")
    return found


def call(thing: Callable[..., Any], given: dict[str, Any], where: str) -> Any:
    """Calls a constructor with arguments by name, the variadic ones included.

    Raises:
        MissingOption: when an argument is missing.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    given = dict(given)
    for name, parameter in inspect.signature(thing).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional += list(given.pop(name, []))
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named |= given.pop(name, {})
        elif parameter.default is inspect.Parameter.empty and name not in given:
            raise MissingOption(
                explain(
                    f"--{where}.{name}",
                    expected=f"a value: {getattr(thing, '__qualname__', thing)} needs it",
                    got="none",
                    remedy=f"Add --{where}.{name} ...",
                )
            )
    return thing(*positional, **named, **given)


def _value(value: Any, parameter: Any, hint: Any, references: References, where: str) -> Any:
    """A value of an option: a part where it describes or names one, otherwise as it is."""
    if isinstance(value, list | tuple):
        return [_value(item, None, None, references, f"{where}.{i}") for i, item in enumerate(value)]
    if isinstance(value, dict) and set(value) == {"import"}:
        return references.find(value["import"])
    if isinstance(value, dict) and set(value) == {"same_as"}:
        return references.part(value["same_as"])
    if is_description(value) and "class_path" in value:
        return build(value, references, where)
    if is_description(value):  # options of a mapping: --model.sizes.width 3
        value = value.get("init_args", {})
    if isinstance(value, dict):
        return {n: _value(v, None, None, references, f"{where}.{n}") for n, v in value.items()}
    if not is_reference(value) or _takes_text(hint) or not references.could_be(value):
        return value
    thing = references.find(value)
    wants_class = _makes_modules(hint) or (parameter is not None and inspect.isclass(parameter.default))
    return build(value, references, where) if inspect.isclass(thing) and not wants_class else thing


def _hints(thing: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing.__init__ if inspect.isclass(thing) else thing)
    except Exception:  # a hint that can't be evaluated at run time says nothing
        return {}


def _typed_options(hints: dict[str, Any]) -> dict[str, Any] | None:
    """The keywords that ``**options: Unpack[...]`` stands for, with their types; None where there is none."""
    for hint in hints.values():
        if typing.get_origin(hint) is typing.Unpack:
            return typing.get_type_hints(typing.get_args(hint)[0])
    return None


def _takes_text(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(map(_takes_text, typing.get_args(hint)))
    return hint is str or typing.get_origin(hint) is typing.Literal


def _makes_modules(hint: Any) -> bool:
    """Whether a hint asks for what makes networks, ``Callable[[], nn.Module]``, rather than for one."""
    result = (typing.get_args(hint) or (None,))[-1]
    return inspect.isclass(result) and issubclass(result, nn.Module)
