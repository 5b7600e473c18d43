"""The settings of a run, checked before anything else happens."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch

from pyrovae.engine.arithmetic import Precision, check_precision
from pyrovae.engine.optimiser import Scheduler
from pyrovae.engine.policy import Mode, check_mode
from pyrovae.errors import explain, nearest


class Options(TypedDict, total=False):
    """The options of :func:`pyrovae.fit` that most runs leave alone; :class:`Settings` describes them."""

    scheduler: Scheduler | None
    clip_norm: float | None
    kl_warmup: float
    patience: int | None
    run_dir: str | Path | None
    resume: bool
    checkpoint_every: float
    progress: bool | None
    loggers: Sequence[Any]
    compile: Mode
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run goes about it.

    Attributes:
        epochs: passes over the data.
        batch_size: data per step; a ``DataLoader`` brings its own.
        seed: of data order, noise and ``pyro.param`` initialisation.
        scheduler: makes a learning-rate schedule for a torch optimiser; stepped once an epoch.
        clip_norm: the largest norm of the gradient of a batch's summed loss.
        kl_warmup: over how many epochs the KL weight rises linearly from 0 to 1.
        patience: stop after so many epochs without a better validation loss, counted from the warm-up's
            end; None: never.
        run_dir: the folder of the run; None writes nothing.
        resume: go on where the run in ``run_dir`` was left; start it if it never began.
        checkpoint_every: seconds between checkpoints of a run in a folder.
        progress: show a progress bar; None: when standard error is a terminal.
        loggers: Lightning Fabric loggers, ``lightning_fabric.loggers.TensorBoardLogger(...)``.
        compile: how steps are run, see :class:`pyrovae.SVI`: "auto" takes whatever pays for that many steps.
        precision: of matrix products in training steps: "float32", "tf32" (on GPUs) or "bf16".

    Raises:
        ValueError, TypeError: for a setting that makes no sense, by its name.
    """

    epochs: int = 20
    batch_size: int = 128
    seed: int = 0
    scheduler: Scheduler | None = None
    clip_norm: float | None = None
    kl_warmup: float = 0.0
    patience: int | None = None
    run_dir: str | Path | None = None
    resume: bool = False
    checkpoint_every: float = 10.0
    progress: bool | None = None
    loggers: Sequence[Any] = ()
    compile: Mode = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        _whole("epochs", self.epochs, 1)
        _whole("batch_size", self.batch_size, 1)
        _whole("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise ValueError(
                explain("seed", expected="less than 2**32", got=str(self.seed), remedy="NumPy takes no more.")
            )
        _number("kl_warmup", self.kl_warmup, "the warm-up's length in epochs, 0 or more")
        _number("checkpoint_every", self.checkpoint_every, "seconds, 0 or more")
        if self.patience is not None:
            _whole("patience", self.patience, 1)
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(
                explain("clip_norm", expected="a positive norm", got=repr(self.clip_norm), remedy="Try 100.")
            )
        if self.resume and self.run_dir is None:
            raise ValueError(
                explain("resume", expected="a run_dir to go on in", got="None", remedy="Pass run_dir=.")
            )
        check_mode(self.compile)
        check_precision(self.precision)
        for logger in self.loggers:
            if not hasattr(logger, "log_metrics"):
                raise TypeError(
                    explain(
                        "loggers",
                        expected="loggers of Lightning Fabric",
                        got=repr(logger),
                        remedy="Try lightning_fabric.loggers.CSVLogger('logs').",
                    )
                )

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """The settings from keywords, an unknown one answered with the nearest that exists."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise TypeError(
                    explain(
                        f"fit({name}=)", expected="an option of fit", got="none", remedy=nearest(name, known)
                    )
                )
        return cls(**given)

    def facts(self) -> dict[str, Any]:
        """What decides the numbers of a run, JSON-able: a resumed run must agree in it, but for epochs."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "clip_norm": self.clip_norm,
            "kl_warmup": self.kl_warmup,
            "patience": self.patience,
            "precision": self.precision,
        }


def find_device(device: str | torch.device) -> torch.device:
    """The device of that name; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        ValueError: for an unknown device, or one that this machine lacks.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            explain(
                "device",
                expected='"auto", "cpu", "cuda", "cuda:0", "mps" or a torch.device',
                got=repr(device),
                remedy=nearest(str(device), ["auto", "cpu", "cuda", "mps"]),
            )
        ) from error
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if found.type in count and (found.index or 0) >= count[found.type]:
        raise ValueError(
            explain(
                "device",
                expected="a device that this machine has",
                got=f"{found} where torch sees {count[found.type]} of that kind",
                remedy='Use device="auto" or "cpu", or install a torch with that backend and its driver.',
            )
        )
    return found


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(
            explain(
                name,
                expected=f"a whole number of at least {least}",
                got=repr(value),
                remedy=f"Leave it out for the default, {getattr(Settings, name)}.",
            )
        )


def _number(name: str, value: Any, expected: str) -> None:
    if not isinstance(value, int | float) or not (value >= 0 and math.isfinite(value)):
        raise ValueError(
            explain(name, expected=expected, got=repr(value), remedy="Leave it out for the default.")
        )
