"""The progress bar: epochs, nats per datum, time left; silent where nobody watches."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pyrovae.training.history import Epoch


class Bar:
    """A rich progress bar over epochs.

    Arguments:
        epochs: how many there are in all.
        done: how many of them a resumed run has behind it.
        show: True or False; None shows it when standard error is a terminal.
    """

    def __init__(self, epochs: int, done: int, show: bool | None) -> None:
        console = Console(stderr=True)
        visible = console.is_terminal if show is None else show
        self.progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not visible,
        )
        self.task = self.progress.add_task("", total=epochs, completed=done)

    def show(self, row: Epoch) -> None:
        """Moves on by one epoch and shows its losses, in nats per datum."""
        text = f"train {row.train_loss:.2f}"
        if not math.isnan(row.validation_loss):
            text += f", validation {row.validation_loss:.2f}"
        self.progress.update(self.task, completed=row.epoch, description=f"{text} nats per datum")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
