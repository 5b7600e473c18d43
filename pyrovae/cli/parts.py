"""Parts on the command line: ``--model.prior.dim 8`` and what it does to a description.

A part is described as in :mod:`pyrovae.spec`: ``{"class_path": ..., "init_args": {...}}``, or by its class
path alone. A description without a class path changes the options of whatever stands there by default.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeAlias

import yaml

from pyrovae.errors import explain

Part: TypeAlias = dict[str, Any] | str | None
Parts: TypeAlias = dict[str, Any] | list[Any] | str | None

_KEYS = {"class_path", "init_args"}

_SEALED = "class path"
"""The key in place of ``class_path`` in a description that is sealed."""

Assignment: TypeAlias = tuple[str, list[str], Any]
"""The option, the way to the place inside it, the value."""


def split(argv: Sequence[str], parts: Collection[str]) -> tuple[list[str], list[Assignment]]:
    """The words for the parser, and the assignments to the insides of parts.

    Raises:
        ValueError: an assignment without a value.

    Example:
        >>> split(["--epochs", "3", "--model.prior.dim", "8"], ["model"])
        (['--epochs', '3'], [('model', ['prior', 'dim'], 8)])
    """
    rest: list[str] = []
    assignments: list[Assignment] = []
    words = iter(argv)
    for word in words:
        option, equals, value = word.removeprefix("--").partition("=")
        root, *path = option.split(".")
        if not word.startswith("--") or root not in parts or not path:
            rest.append(word)
            continue
        if not equals:
            found = next(words, None)
            if found is None or found.startswith("--"):
                raise ValueError(
                    explain(f"--{option}", expected="a value", got="none", remedy=f"Write --{option}=...")
                )
            value = found
        assignments.append((root, [name for name in path if name != "init_args"], value_of(value)))
    return rest, assignments


def value_of(text: str) -> Any:
    """A word as a number, a list, a mapping, or itself."""
    for read in (json.loads, yaml.safe_load):
        try:
            return read(text)
        except (ValueError, yaml.YAMLError):
            continue
    return text


def is_description(value: Any) -> bool:
    """Whether a value describes a part, or changes to one."""
    return isinstance(value, dict) and bool(value) and set(value) <= _KEYS


def described(part: Any) -> dict[str, Any]:
    """A part as a description of its own, whether given by class path, in full or not at all."""
    if part is None:
        return {}
    if isinstance(part, str):
        return {"class_path": part}
    return dict(part)


def assign(part: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    """The part with a value put in at a place inside it.

    Example:
        >>> assign("mine.Net", ["prior", "dim"], 8)
        {'class_path': 'mine.Net', 'init_args': {'prior': {'init_args': {'dim': 8}}}}
    """
    name, *rest = path
    if isinstance(part, dict) and part and not is_description(part):
        # A mapping that is no part, such as the sites of a guide.
        return {**part, name: assign(part.get(name), rest, value) if rest else value}
    description = described(part)
    if name == "class_path":
        return {**description, "class_path": value}
    arguments = dict(description.get("init_args") or {})
    arguments[name] = assign(arguments.get(name), rest, value) if rest else value
    return {**description, "init_args": arguments}


def sealed(value: Any) -> Any:
    """The same data, in which the parser sees no descriptions: it would import the classes.

    Example:
        >>> sealed({"model": {"class_path": "mine.Model"}})
        {'model': {'class path': 'mine.Model'}}
    """
    return _renamed(value, "class_path", _SEALED)


def unsealed(value: Any) -> Any:
    """What was sealed."""
    return _renamed(value, _SEALED, "class_path")


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {new if n == old else n: _renamed(v, old, new) for n, v in value.items()}
    return [_renamed(item, old, new) for item in value] if isinstance(value, list) else value


def way_to(part: Any, whole: Any, where: str) -> str | None:
    """How to come from a description to a part inside it, the very object; None where it isn't there.

    Example:
        >>> net = {"class_path": "mine.Net"}
        >>> way_to(net, {"class_path": "mine.Prior", "init_args": {"encoder": net}}, "model.prior")
        'model.prior.encoder'
    """
    if whole is part:
        return where
    inside = whole.get("init_args") if is_description(whole) else whole
    if not isinstance(inside, dict):
        return None
    return next((way for n, v in inside.items() if (way := way_to(part, v, f"{where}.{n}"))), None)


def words_in(part: Any) -> Iterator[str]:
    """Every string inside a description: whatever of it may name something to import."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from words_in(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from words_in(value)
