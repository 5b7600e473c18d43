"""A run that is there already: its pair with the weights in place, and its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import pyrovae.training as training
from pyrovae.cli.building import build, merge
from pyrovae.cli.datasets import SHORT, Part, rewrapped, steps_of
from pyrovae.cli.folders import CONFIG
from pyrovae.cli.options import CodeOptions, RunOptions
from pyrovae.cli.pairs import make
from pyrovae.cli.parser import Parsed
from pyrovae.cli.parts import described, words_in
from pyrovae.cli.references import NotNamed, References
from pyrovae.cli.strangers import unnamed_code
from pyrovae.data import load
from pyrovae.errors import explain
from pyrovae.spec import build as rebuild
from pyrovae.training import Fit

_SOURCE = ("name", "root", "flatten", "splits", "seed", "missing")


class Run:
    """A run's folder, opened for a command.

    Raises:
        FileNotFoundError, ValueError: when there is no run, when it can't be read, and when it needs code of
            the user's that the command line has not named.
    """

    def __init__(self, parsed: Parsed) -> None:
        self.folder = Path(parsed.values["run"])
        self.options = parsed.of(RunOptions)
        self.code = parsed.of(CodeOptions)
        self.config = read_config(self.folder)
        self.stored = _stored(self.folder)
        self.references = References(words_in({k: v for k, v in parsed.given.items() if k != "run"}))
        try:
            programs = {role: self._program(role) for role in ("model", "guide")}
            if programs["model"] is None and programs["guide"] is not None and self.stored.get("model"):
                # The guide may share parts with the model: then both are made here.
                programs = {role: self._made(role) for role in ("model", "guide")}
        except NotNamed as error:
            raise unnamed_code(error, self.stored) from None
        self.fit: Fit = training.load(self.folder, device=self.options.device, **programs)

    def data(self, part: str | None = None) -> Part:
        """A part of the data, by default the one the command is for, under the run's own transform.

        Raises:
            ValueError: when nobody says which data.
        """
        source = self.config.get("data", {}).get("source")
        source = {name: value for name, value in (source or {}).items() if name in _SOURCE}
        if self.options.data is not None:
            source["name"] = self.options.data
        if "name" not in source:
            raise ValueError(
                explain(
                    "--data",
                    expected="data: the run was trained on data that have no name",
                    got="none",
                    remedy="Add --data with a name, a file or a folder.",
                )
            )
        if self.options.root is not None:
            source["root"] = self.options.root
        whole = self.config.get("data", {}).get("transform")
        flatten = source.get("flatten", False)
        if whole is not None:
            # What the run has recorded holds everything, from bytes to vectors.
            raw: Part = getattr(load(**{**source, "flatten": False}), part or self.options.part)
            return rewrapped(raw, [rebuild(whole)], flatten=flatten)
        raw = getattr(load(**source), part or self.options.part)
        return rewrapped(raw, [*steps_of(raw.transform), *self._transforms()])

    def _transforms(self) -> list[Any]:
        """The transforms of the command line that began the run, where they hold code of the user's."""
        items = self.code.transform if self.code.transform is not None else self.stored.get("transform")
        items = items if isinstance(items, list) else [] if items in (None, "none") else [items]
        try:
            return [
                build({**described(item), "class_path": _long(item)}, self.references, "transform")
                for item in items
            ]
        except NotNamed as error:
            raise unnamed_code(error, self.stored) from None

    def _program(self, role: str) -> Any:
        """The model or the guide where it holds code of the user's; None where the run describes it all."""
        given, stored = getattr(self.code, role), self.stored.get(role)
        if given is None and (self.config.get(role) or {}).get("spec") is not None:
            return None
        if stored is None and given is None:
            return None  # loading says what it needs
        return self._made(role)

    def _made(self, role: str) -> Any:
        """The model or the guide from the options that began the run, and what is given now."""
        given, stored = getattr(self.code, role), self.stored.get(role)
        path = described(given).get("class_path")
        if given is not None and (stored is None or path not in (None, described(stored).get("class_path"))):
            return make(described(given), self.references, role)
        return make(merge(stored, given, self.references), self.references, role)


def read_config(folder: Path) -> dict[str, Any]:
    """``run.json`` of a folder.

    Raises:
        FileNotFoundError, ValueError: when there is none, or none that pyrovae has written.
    """
    from pyrovae.training.folder import read_config as read

    return read(folder)


def _stored(folder: Path) -> Mapping[str, Any]:
    """The options of the command line that began the run; nothing where a script did."""
    try:
        found = yaml.safe_load((folder / CONFIG).read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _long(item: Any) -> str:
    path = described(item).get("class_path", "")
    return SHORT.get(path, path)


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """The numbers that were last measured on the test data."""
    try:
        found = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
