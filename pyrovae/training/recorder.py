"""What a run leaves behind while it goes: checkpoints in its folder, rows in its loggers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyrovae import checkpoint
from pyrovae.errors import explain
from pyrovae.training import folder as files
from pyrovae.training.history import Epoch, History


class Recorder:
    """Writes a run's folder and feeds its loggers; without a folder it writes nothing.

    Arguments:
        folder: the run's folder, or None.
        every: seconds between checkpoints.
        loggers: anything with ``log_metrics(metrics, step)``.
    """

    def __init__(self, folder: str | Path | None, every: float, loggers: Sequence[Any] = ()) -> None:
        self.folder = None if folder is None else Path(folder)
        self.every, self.loggers = every, loggers
        self.written = -math.inf
        self.best_epoch = 0
        self.config: dict[str, Any] = {}

    def open(self, *, resume: bool) -> dict[str, Any] | None:
        """Makes the folder, and reads where to go on from if the run is to be resumed.

        Returns: the snapshot of a run that was begun, or None.

        Raises:
            FileExistsError: when the folder holds a run that is not to be resumed.
            OSError: when the folder can't be written.
        """
        if self.folder is None:
            return None
        if (self.folder / files.RUN).exists() and not resume:
            raise FileExistsError(
                explain(
                    f"run folder {str(self.folder)!r}",
                    expected="an empty or a new folder",
                    got="one that holds a run",
                    remedy="Go on with resume=True, or choose another folder; nothing is overwritten.",
                )
            )
        files.make(self.folder)
        if not (self.folder / files.LAST).is_file():
            return None
        snapshot: dict[str, Any] = checkpoint.read(self.folder / files.LAST, kind="training")
        return snapshot

    def begin(self, config: dict[str, Any]) -> None:
        """Writes the run's configuration.

        Raises:
            ValueError: when a run of other settings or data was begun in the folder.
        """
        self.config = config
        if self.folder is None:
            return
        if (self.folder / files.RUN).exists():
            _compare(files.read_config(self.folder), config)
        files.write_config(self.folder, {**config, "status": "running"})

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.folder is not None and time.monotonic() - self.written >= self.every

    def checkpoint(self, snapshot: Callable[[], dict[str, Any]]) -> None:
        """Writes where the run stands, the best weights and the history."""
        if self.folder is None:
            return
        state = snapshot()
        best = state["best"]
        # In this order best.safetensors is never ahead of the state that a resumed run begins from, and so is
        # never replaced by an older one.
        checkpoint.write(self.folder / files.LAST, state, kind="training")
        if best is not None and best["epoch"] != self.best_epoch:
            checkpoint.write(self.folder / files.BEST, best["weights"], kind="weights")
            self.best_epoch = best["epoch"]
        files.write_history(self.folder, History([Epoch(*row) for row in state["history"]]))
        self.written = time.monotonic()

    def log(self, row: Epoch, values: Mapping[str, float]) -> None:
        """Hands a finished epoch, and the objective's values, to the loggers; step counts optimiser steps."""
        metrics = {name: value for name, value in row._asdict().items() if name not in ("epoch", "step")}
        metrics = {name: value for name, value in {**values, **metrics}.items() if not math.isnan(value)}
        for logger in self.loggers:
            logger.log_metrics({"epoch": row.epoch, **metrics}, step=row.step)

    def end(self, status: str, **more: Any) -> dict[str, Any]:
        """Writes how the run ended; returns its configuration."""
        config = {**self.config, "status": status, **more}
        if self.folder is not None:
            files.write_config(self.folder, config)
        for logger in self.loggers:
            if hasattr(logger, "finalize"):
                logger.finalize("success" if status == "finished" else "aborted")
        return config

    def kept(self) -> str:
        """Where the last good checkpoint is, for an error's text."""
        if self.folder is None:
            return ""
        return f", and {self.folder / files.LAST} holds the last good checkpoint"


def _compare(earlier: dict[str, Any], now: dict[str, Any]) -> None:
    """A resumed run must be the run that was left, or its numbers would be neither's."""
    for part in ("settings", "data"):
        for name, value in now[part].items():
            before = earlier.get(part, {}).get(name, value)
            if name != "epochs" and before != value:
                raise ValueError(
                    explain(
                        f"resume, {part}.{name}",
                        expected=f"{before!r}, as when the run was begun",
                        got=repr(value),
                        remedy="Resume with the same (only epochs may differ), or begin a new run.",
                    )
                )
