"""Class paths as things: the public parts of pyrovae, torch and Pyro, and what the command line names.

Descriptions also come from the folders of runs, which may be a stranger's. Of those only public names are
imported; a name of the user's own counts only where the command line itself has said it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyro.infer
import pyro.optim
import torch
from pyro.optim import adagrad_rmsprop, clipped_adam, dct_adam

from pyrovae.errors import explain, nearest

_HOMES = tuple(
    f"pyrovae.{home}"
    for home in ("nets", "kernels", "heads", "flows", "priors", "models", "guides", "data", "objectives")
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_FILE = re.compile(r"(.+\.py):([A-Za-z_]\w*)")

BEHIND_PYRO = (clipped_adam, adagrad_rmsprop, dct_adam, torch.optim)
"""Where the optimisers that ``pyro.optim`` wraps are to be found, with their options."""


class NotNamed(ValueError):
    """A description from a file names code that the command line has not named."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def is_reference(text: Any) -> bool:
    """Whether a value has the form of a class path, or of a name in a file."""
    return isinstance(text, str) and bool(_DOTTED.fullmatch(text) or _FILE.fullmatch(text))


class References:
    """Finds what class paths name.

    Arguments:
        named: the paths that the command line has said, which may be imported wherever they lie.

    Attributes:
        roots: the programs that were built already, by role; parts of them can be shared.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self.named = frozenset(filter(is_reference, named))
        self.roots: dict[str, Any] = {}
        self._files: dict[Path, ModuleType] = {}

    def find(self, path: str) -> Any:
        """The class, function or object at a path.

        Raises:
            NotNamed: for a path that is neither public nor named on the command line.
            ValueError, FileNotFoundError: when there is no such thing, with the nearest that there is.
        """
        if not is_reference(path):
            raise ValueError(
                explain(
                    "class path",
                    expected="a class path with a dot, or file.py:name",
                    got=repr(path),
                    remedy="Write it in full: pyrovae.priors.StandardNormal, say.",
                )
            )
        if _FILE.fullmatch(path):
            return self._in_file(path)
        home, _, name = path.rpartition(".")
        public = _public(home)
        if name in public:
            return getattr(importlib.import_module(home), name)
        if path not in self.named:
            raise NotNamed(path)
        if home in _HOMES:
            raise _missing(path, name, home, public)
        return _imported(path)

    def part(self, way: str) -> Any:
        """A part of a program that was built already, as ``"model.prior.encoder"``.

        Raises:
            ValueError: when there is none.
        """
        role, *names = str(way).split(".")
        found = self.roots.get(role)
        for name in names:
            # What a constructor was given, and nothing else of an object.
            known = inspect.signature(type(found)).parameters if found is not None else {}
            found = getattr(found, name, None) if name in known else None
        if found is None:
            raise ValueError(
                explain(
                    "same_as",
                    expected="a part of a program that was built before",
                    got=repr(way),
                    remedy="Give that program too: --model and --guide.",
                )
            )
        return found

    def fresh(self) -> References:
        """The same names, with files of the user's not run yet: their networks are made anew."""
        return References(self.named)

    def could_be(self, text: str) -> bool:
        """Whether a string that may be just a string is a path to something."""
        if _FILE.fullmatch(text):
            return True
        if not _DOTTED.fullmatch(text):
            return False
        with _working_folder():
            return importlib.util.find_spec(text.partition(".")[0]) is not None

    def _in_file(self, path: str) -> Any:
        if path not in self.named:
            raise NotNamed(path)
        found = _FILE.fullmatch(path)
        assert found is not None
        file, name = Path(found[1]).expanduser().resolve(), found[2]
        if file not in self._files:
            self._files[file] = _executed(file)
        module = self._files[file]
        if not hasattr(module, name):
            raise _missing(path, name, found[1], [n for n in vars(module) if not n.startswith("_")])
        return getattr(module, name)


def _public(home: str) -> Collection[str]:
    """The names under a home that a description may use wherever it comes from."""
    if home in _HOMES:
        return getattr(importlib.import_module(home), "__all__", ())
    if home == "torch.nn":
        module = "torch.nn.modules.activation"
        return [n for n, thing in vars(torch.nn).items() if getattr(thing, "__module__", None) == module]
    if home == "pyro.optim":
        return _subclasses(BEHIND_PYRO, torch.optim.Optimizer) & set(vars(pyro.optim))
    kinds = {
        "torch.optim": (torch.optim, torch.optim.Optimizer),
        "torch.optim.lr_scheduler": (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
        "pyro.infer": (pyro.infer, pyro.infer.ELBO),
    }
    if home not in kinds:
        return ()
    place, kind = kinds[home]
    return _subclasses([place], kind)


def _subclasses(places: Iterable[ModuleType], kind: type) -> set[str]:
    return {
        name
        for place in places
        for name, thing in vars(place).items()
        if inspect.isclass(thing) and issubclass(thing, kind)
    }


def _imported(path: str) -> Any:
    """What a dotted path of the user's names, modules of the working folder included."""
    parts = path.split(".")
    with _working_folder():
        for count in range(len(parts) - 1, 0, -1):
            module_path = ".".join(parts[:count])
            try:
                thing = importlib.import_module(module_path)
            except ModuleNotFoundError as error:
                if error.name is not None and f"{module_path}.".startswith(f"{error.name}."):
                    continue
                raise
            for name in parts[count:]:
                if not hasattr(thing, name):
                    raise _missing(path, name, module_path, [n for n in dir(thing) if not n.startswith("_")])
                thing = getattr(thing, name)
            return thing
    raise ValueError(
        explain(
            path,
            expected="a class path of a module that can be imported",
            got=f"no module {parts[0]!r}",
            remedy="Run in its folder, install it, or name a file: mine.py:MyNet.",
        )
    )


def _executed(file: Path) -> ModuleType:
    """A file of the user's as a module; it may import what lies beside it."""
    if not file.is_file():
        raise FileNotFoundError(
            explain(
                str(file),
                expected="a Python file",
                got="no such file",
                remedy="Check the path before the colon.",
            )
        )
    name = f"_pyrovae_user_{file.stem}"
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # where dataclasses and pickling look for it
    with _on_path(file.parent):
        try:
            specification.loader.exec_module(module)
        except Exception as error:
            raise ValueError(
                explain(
                    str(file),
                    expected="a Python file that runs",
                    got=f"{type(error).__name__}: {error}",
                    remedy="Add --debug to see the line.",
                )
            ) from error
    return module


def _missing(path: str, name: str, where: str, known: Iterable[str]) -> ValueError:
    return ValueError(
        explain(path, expected=f"a name in {where}", got=repr(name), remedy=nearest(name, known))
    )


def _working_folder() -> _on_path:
    return _on_path(Path.cwd())


class _on_path:
    """A folder in front of the path of imports, for the length of a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __enter__(self) -> None:
        sys.path.insert(0, self.folder)

    def __exit__(self, *_: object) -> None:
        if self.folder in sys.path:
            sys.path.remove(self.folder)
