"""Code that only a run's folder names: never imported; the user is told what to add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyrovae.cli.parts import is_description
from pyrovae.cli.references import NotNamed, References, is_reference
from pyrovae.errors import explain

_PARTS = ("model", "guide", "transform", "optim", "scheduler", "loss")
_FLAGS = {
    "model.prior": "prior",
    "model.decoder": "decoder",
    "model.likelihood": "likelihood",
    "guide.sites.z.0": "encoder",
    "guide.sites.z.1": "posterior",
}


def flags(config: Mapping[str, Any]) -> list[str]:
    """The options that name the code of the user's that a configuration speaks of.

    Example:
        >>> flags({"model": {"class_path": "mine.py:model"}, "guide": "pyrovae.guides.Amortized"})
        ['--model mine.py:model']
    """
    public = References()
    found = []
    for part in _PARTS:
        for where, path in _paths(config.get(part), part):
            try:
                public.find(path)
            except NotNamed:
                option = _FLAGS.get(where, where.split(".")[0] if part == "transform" else where)
                found.append(f"--{option} {path}")
            except (ValueError, OSError):
                continue
    return found


def unnamed_code(error: NotNamed, config: Mapping[str, Any]) -> ValueError:
    """The complaint, with the very options to add."""
    wanted = " ".join(flags(config)) or f"--model {error.path}"
    return ValueError(
        explain(
            "run",
            expected=f"its own code named again on the command line: {error.path}",
            got="nothing of that name; what a run's folder names is not imported",
            remedy=f"If you trust that code, add: {wanted}",
        )
    )


def _paths(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every class path inside a description, with its place."""
    if is_reference(value):
        yield where, value
    elif isinstance(value, dict) and set(value) == {"import"}:
        yield where, value["import"]
    elif is_description(value):
        if is_reference(value.get("class_path")):
            yield where, value["class_path"]
        for name, inside in (value.get("init_args") or {}).items():
            yield from _paths(inside, f"{where}.{name}")
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield from _paths(inside, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for position, inside in enumerate(value):
            yield from _paths(inside, f"{where}.{position}")
