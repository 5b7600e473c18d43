"""Optimiser, schedule, loss and logger, from their descriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pyrovae.cli.building import arguments, build
from pyrovae.cli.parts import Part, described
from pyrovae.cli.references import BEHIND_PYRO, References
from pyrovae.errors import explain

_ADAM = "torch.optim.Adam"


def with_default(part: Part, *, rate: float) -> dict[str, Any]:
    """The description of an optimiser: what the user says, of Adam unless something else is named."""
    description = described(part)
    if description.get("class_path", _ADAM) != _ADAM:
        return description
    return {"class_path": _ADAM, "init_args": {"lr": rate, **(description.get("init_args") or {})}}


def optimiser(description: dict[str, Any], references: References) -> Any:
    """What makes the optimiser.

    Raises:
        ValueError: for what is no optimiser, and for options that it does not take.
    """
    path, given = description["class_path"], description.get("init_args") or {}
    thing = references.find(path)
    if inspect.isclass(thing) and issubclass(thing, torch.optim.Optimizer):
        options = _numbers(arguments(thing, given, references, "optim"))
        if thing in (torch.optim.Adam, torch.optim.AdamW) and not {"fused", "foreach"} & set(options):
            options["fused"] = True  # as fit's own default is
        return partial(thing, **options)
    if path.startswith("pyro.optim."):
        # Pyro's take their options as one dictionary; those of torch's optimiser of that name.
        name = path.rpartition(".")[2]
        kind = next(getattr(home, name) for home in BEHIND_PYRO if hasattr(home, name))
        return thing(_numbers(arguments(kind, given, references, "optim")))
    if not callable(thing):
        raise ValueError(
            explain("--optim", expected="an optimiser", got=path, remedy="Try --optim torch.optim.Adam.")
        )
    return partial(thing, **arguments(thing, given, references, "optim")) if given else thing


def scheduler(part: Part, references: References) -> Callable[[torch.optim.Optimizer], Any] | None:
    """What makes the learning-rate schedule of an optimiser.

    Raises:
        ValueError: for options that it does not take.
    """
    if part is None:
        return None
    description = described(part)
    path = description.get("class_path")
    if path is None:
        raise ValueError(
            explain(
                "--scheduler",
                expected="a class path",
                got="options alone",
                remedy="Try --scheduler torch.optim.lr_scheduler.ExponentialLR --scheduler.gamma 0.99.",
            )
        )
    thing = references.find(path)
    return partial(thing, **arguments(thing, description.get("init_args") or {}, references, "scheduler"))


def loss(part: Part, references: References) -> Any:
    """The objective, or None for fit's own default."""
    if part is None:
        return None
    return build({"class_path": "pyro.infer.Trace_ELBO", **described(part)}, references, "loss")


def loggers(kind: str | None, folder: Path) -> list[Any]:
    """The loggers of Lightning Fabric that write to a run's folder.

    Raises:
        ValueError: when the logger's own package is missing.
    """
    if kind is None:
        return []
    from lightning_fabric.loggers.csv_logs import CSVLogger
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    try:
        made = {"tensorboard": TensorBoardLogger, "csv": CSVLogger}[kind]
        return [made(root_dir=folder, name=kind)]
    except ModuleNotFoundError as error:
        raise ValueError(
            explain(
                "--logger",
                expected="its package to be installed",
                got=str(error).splitlines()[0],
                remedy=f"pip install 'pyrovae[{kind}]'.",
            )
        ) from error


def _numbers(given: dict[str, Any]) -> dict[str, Any]:
    """Lists as tuples, as optimisers want their betas."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
