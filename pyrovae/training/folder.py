"""The folder of a run: ``run.json``, ``history.csv`` and safetensors files; saved, loaded, resumed from.

``last.safetensors`` is where a run resumes; ``best.safetensors`` holds the weights of its best epoch, and
``weights.safetensors`` those of an explicit ``Fit.save``.
"""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer.autoguide import AutoGuide

import pyrovae
from pyrovae import checkpoint
from pyrovae.errors import explain
from pyrovae.spec import Shared, build, describe
from pyrovae.training import weights
from pyrovae.training.fitted import Fit
from pyrovae.training.history import History
from pyrovae.training.parameters import Parameters, bound, networks
from pyrovae.training.settings import find_device
from pyrovae.types import Program

RUN, HISTORY = "run.json", "history.csv"
WEIGHTS, BEST, LAST = "weights.safetensors", "best.safetensors", "last.safetensors"


def save(run: Fit, folder: Path) -> Path:
    """Writes a fitted pair to a folder, made if need be; see :meth:`Fit.save`."""
    folder = make(folder)
    tensors = weights.take(run.model, run.guide, run.parameters)
    checkpoint.write(folder / WEIGHTS, tensors, kind="weights")
    write_history(folder, run.history)
    write_config(folder, {**facts(run.model, run.guide), **run.config})
    return folder


def load(
    folder: str | Path,
    *,
    model: Program | None = None,
    guide: Program | None = None,
    device: str | torch.device = "cpu",
) -> Fit:
    """A saved run, its weights in place: from ``Fit.save``, or from the folder of a ``fit``, finished or not.

    A pair made of pyrovae's parts is rebuilt from its description. Programs of your own are code, and no
    code is taken from files: pass them.

    Arguments:
        model, guide: the programs, in place of the ones described in the folder.
        device: where to put it, wherever it was trained.

    Raises:
        FileNotFoundError: when there is no run in the folder.
        ValueError: for a file that is damaged or foreign, and for programs that don't fit the weights.

    Example:
        >>> import tempfile, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pv.Fit(model, guide).save(folder)
        ...     pv.load(folder).model.factorisation
        'p(x | z) p(z)'
    """
    folder = Path(folder)
    config = read_config(folder)
    parameters = Parameters()
    shared: Shared = {}
    model = _program(config, "model", model, shared)
    guide = _program(config, "guide", guide, shared)
    with parameters.active():
        _prepare(guide, config)
        weights.put(_newest(folder), model, guide, parameters)
    found = find_device(device)
    for net in networks(model, guide).values():
        net.to(found)
    model, guide = bound(model, parameters, found), bound(guide, parameters, found)
    return Fit(model, guide, parameters=parameters, history=read_history(folder), config=config)


def facts(model: Program, guide: Program) -> dict[str, Any]:
    """What a run folder says of the programs and of the software that ran them."""
    return {
        "versions": {
            "python": platform.python_version(),
            "pyrovae": pyrovae.__version__,
            **{library.__name__: str(library.__version__) for library in (torch, pyro, np)},
        },
        **_described(model, guide),
    }


def make(folder: Path) -> Path:
    """The folder, made and tried.

    Raises:
        OSError: when it can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / ".trial"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise OSError(
            error.errno,
            explain(
                f"run folder {str(folder)!r}",
                expected="a folder that can be made and written",
                got=error.strerror or str(error),
                remedy="Choose another folder, or mend its permissions.",
            ),
        ) from error
    return folder


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Writes ``run.json``, whole or not at all."""
    checkpoint.replace(folder / RUN, (json.dumps(config, indent=2) + "\n").encode())


def read_config(folder: Path) -> dict[str, Any]:
    """Reads ``run.json``.

    Raises:
        FileNotFoundError: when there is none.
        ValueError: when it is not what pyrovae has written.
    """
    path = folder / RUN
    if not path.is_file():
        raise FileNotFoundError(
            explain(
                f"run folder {str(folder)!r}",
                expected=f"a run ({RUN})",
                got="none",
                remedy="Name the folder that fit or Fit.save has printed.",
            )
        )
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or "versions" not in config:
            raise ValueError("no versions in it")
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(
            explain(str(path), expected="a run as pyrovae writes it", got=str(error), remedy="It is refused.")
        ) from error
    return config


def write_history(folder: Path, history: History) -> None:
    """Writes ``history.csv``, whole or not at all."""
    checkpoint.replace(folder / HISTORY, history.to_csv().encode())


def read_history(folder: Path) -> History:
    """Reads ``history.csv``; an empty history where there is none."""
    path = folder / HISTORY
    return History.from_csv(path.read_text()) if path.is_file() else History()


def _newest(folder: Path) -> Any:
    for name in (WEIGHTS, BEST):
        if (folder / name).is_file():
            return checkpoint.read(folder / name, kind="weights")
    return checkpoint.read(folder / LAST, kind="training")["weights"]


def describe_or_none(part: Any) -> Any:
    """The description of a part, or None of one that only the user's own code can rebuild."""
    try:
        return describe(part)
    except TypeError:
        return None


def _described(model: Program, guide: Program) -> dict[str, Any]:
    """Both programs; what the guide shares with the model is described once."""
    shared: Shared = {}
    found = {}
    for role, program in (("model", model), ("guide", guide)):
        try:
            spec = describe(program, where=role, shared=shared)
        except TypeError:
            spec = None
        found[role] = {"spec": spec, "repr": _name(program)}
    return found


def _name(program: Program) -> str:
    return getattr(program, "__qualname__", None) or repr(program)


def _program(config: dict[str, Any], role: str, given: Program | None, shared: Shared) -> Program:
    """The program that was passed, or the one that is described; its networks are added to ``shared``."""
    if given is not None:
        with suppress(TypeError):
            describe(given, where=role, shared=shared)
        return given
    description = config.get(role) or {}
    if not description.get("spec"):
        raise ValueError(
            explain(
                role,
                expected=f"the program itself: the run was trained with code of its own, "
                f"{description.get('repr', 'unknown')}",
                got="None",
                remedy=f"Pass it: pyrovae.load(dir, {role}=...). No code is taken from files.",
            )
        )
    program: Program = build(description["spec"], where=role, shared=shared)
    return program


def _prepare(guide: Program, config: dict[str, Any]) -> None:
    """Lets an AutoGuide meet its model once, on zeros: before that it has no parameters to fill."""
    if not isinstance(guide, AutoGuide) or guide.prototype_trace is not None:
        return
    data = config.get("data", {})
    batch = [
        torch.zeros(data["batch"], *shape, dtype=getattr(torch, dtype))
        for shape, dtype in zip(data["shapes"], data["dtypes"], strict=True)
    ]
    with torch.random.fork_rng(devices=[]), pyro.validation_enabled(False):
        guide(*batch)
