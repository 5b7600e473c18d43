"""The history of a run: one row an epoch, in nats per datum."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pyrovae.errors import explain


class Epoch(NamedTuple):
    """What one pass over the data came to.

    Attributes:
        epoch: its number, the first is 1.
        step: optimiser steps so far.
        train_loss: the loss that was minimised, KL weight included, mean over the epoch, nats per datum.
        validation_loss: the negative, *unweighted* ELBO on the held-out data, nats per datum, or NaN.
        kl_weight: the KL weight at the epoch's last step.
        learning_rate: the learning rate at the epoch's last step (the first parameter group's).
        train_elbo: the *unweighted* ELBO of the training steps, mean over the epoch, nats per datum; NaN
            where the loss doesn't tell it.
    """

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    kl_weight: float
    learning_rate: float
    train_elbo: float = math.nan


class History(Sequence[Epoch]):
    """The epochs of a run, oldest first.

    Example:
        >>> history = History([Epoch(1, 10, 25.0, 24.0, 1.0, 1e-3), Epoch(2, 20, 21.0, 22.5, 1.0, 1e-3)])
        >>> history.best.epoch, history.column("train_loss")
        (2, [25.0, 21.0])
        >>> history
        History(2 epochs, train 21.000, validation 22.500 nats per datum)
    """

    def __init__(self, epochs: Sequence[Epoch] = ()) -> None:
        self._epochs = list(epochs)

    def append(self, epoch: Epoch) -> None:
        """Adds the newest epoch."""
        self._epochs.append(epoch)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The epochs as dictionaries, for tables and plots."""
        return [epoch._asdict() for epoch in self._epochs]

    @property
    def best(self) -> Epoch:
        """The epoch of the lowest validation loss, or the last one where there was no validation."""
        if not self._epochs:
            raise ValueError("history: expected at least one epoch, got none. Train first.")
        validated = [epoch for epoch in self._epochs if not math.isnan(epoch.validation_loss)]
        return min(validated, key=lambda epoch: epoch.validation_loss) if validated else self._epochs[-1]

    def column(self, name: str) -> list[Any]:
        """One quantity over the epochs."""
        return [getattr(epoch, name) for epoch in self._epochs]

    def to_csv(self) -> str:
        """A table with a header, floats in full precision."""
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(Epoch._fields)
        writer.writerows(self._epochs)
        return table.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """The history in a table from :meth:`to_csv`, to the bit.

        Raises:
            ValueError: when it is no such table.
        """
        header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
        if tuple(header) not in (Epoch._fields, Epoch._fields[:6]):
            raise ValueError(
                explain(
                    "history",
                    expected=f"a table of {', '.join(Epoch._fields)}",
                    got=", ".join(header) or "nothing",
                    remedy="It was not written by pyrovae.",
                )
            )
        return cls([Epoch(int(row[0]), int(row[1]), *map(float, row[2:])) for row in rows])

    def __getitem__(self, index: Any) -> Any:
        return self._epochs[index]

    def __len__(self) -> int:
        return len(self._epochs)

    def __iter__(self) -> Iterator[Epoch]:
        return iter(self._epochs)

    def __eq__(self, other: object) -> bool:
        # NaN, the validation loss of a run without validation, equals itself here: histories are compared
        # to see whether two runs were the same.
        return isinstance(other, History) and repr(self.rows) == repr(other.rows)

    def __repr__(self) -> str:
        if not self._epochs:
            return "History(0 epochs)"
        last = self._epochs[-1]
        return (
            f"History({len(self)} epochs, train {last.train_loss:.3f}, "
            f"validation {last.validation_loss:.3f} nats per datum)"
        )
