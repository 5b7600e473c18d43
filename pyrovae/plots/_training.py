"""How the loss went, epoch by epoch, and what the schedules did meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pyrovae.errors import explain
from pyrovae.plots._style import BLUE, INK, ORANGE, dress, label, new_figure, root

Row: TypeAlias = Mapping[str, Any]


class HasRows(Protocol):
    """A history that keeps its rows in ``rows``."""

    @property
    def rows(self) -> Sequence[Row]: ...


Floats: TypeAlias = NDArray[np.float64]
SCHEDULES = (("kl_weight", "KL weight"), ("learning_rate", "learning rate"))


def training_curves(
    history: Sequence[Row] | HasRows, *, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw the training and validation loss by epoch, and mark the epoch of the best validation.

    The loss is the negative evidence lower bound in nats per datum. Epochs whose KL weight isn't 1 are
    shaded: their training loss is no bound, while the validation loss always is one. Below stand the KL
    weight and the learning rate, if they change during the run.

    Arguments:
        history: rows with ``epoch`` and ``train_loss``, and as known ``validation_loss`` (a number, NaN or
            None), ``kl_weight`` and ``learning_rate``; or an object whose ``rows`` is such a sequence.
        title: the words above.
        ax: axes to draw the losses into, without the schedules, instead of a new figure.

    Raises:
        ValueError: if there are no rows, a row lacks ``epoch`` or ``train_loss``, or no loss is finite.

    Example:
        >>> from pyrovae import plots
        >>> rows = [{"epoch": e, "train_loss": 90 + 30 / e, "validation_loss": 95 + 20 / e} for e in (1, 2)]
        >>> figure = plots.training_curves(rows)
        >>> figure.axes[0].get_ylabel()
        '-ELBO, nats per datum'
    """
    rows = _rows(history)
    epochs, train = _column(rows, "epoch", required=True), _column(rows, "train_loss", required=True)
    validation = _column(rows, "validation_loss")
    if not np.isfinite(epochs).all() or not (np.isfinite(train).any() or np.isfinite(validation).any()):
        raise ValueError(
            explain(
                "history",
                expected="numbered epochs, and a finite loss in at least one",
                got=f"{len(rows)} rows, none with both",
                remedy="A run whose loss is NaN from the start has diverged: try a lower learning rate.",
            )
        )
    below = [(word, _column(rows, key)) for key, word in SCHEDULES]
    below = [] if ax is not None else [(word, values) for word, values in below if _changes(values)]
    if ax is None:
        heights = [3.2] + [0.75] * len(below)
        figure = new_figure(height=sum(heights) + 0.75, layout="constrained")
        panels = list(figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        for panel in panels:
            dress(panel)
        canvas = panels[0]
    else:
        canvas, panels = ax, [ax]
    _losses(canvas, epochs, train, validation, _column(rows, "kl_weight"))
    for panel, (word, values) in zip(panels[1:], below, strict=True):
        panel.plot(epochs, values, color=INK, linewidth=1.3)
        peak = float(np.nanmax(values))
        panel.set_ylim(0, 1.15 * peak)
        panel.set_yticks([0, peak], labels=["0", f"{peak:.3g}"])
        label(panel, y=word.replace(" ", "\n"))
    for panel in panels:
        panel.margins(x=0.02)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    label(panels[-1], x="epoch")
    label(canvas, title=title, y="-ELBO, nats per datum")
    if ax is None:
        root(canvas).align_ylabels(panels)
    return root(canvas)


def _losses(ax: Axes, epochs: Floats, train: Floats, validation: Floats, kl_weight: Floats) -> None:
    marker = "o" if len(epochs) <= 30 else None  # a single epoch makes no line
    how: dict[str, Any] = {"marker": marker, "markersize": 3, "linewidth": 1.6}
    ax.plot(epochs, train, color=BLUE, label="training", **how)
    if np.isfinite(validation).any():
        seen = np.isfinite(validation)  # validation may be rarer than epochs: join the points there are
        ax.plot(epochs[seen], validation[seen], color=ORANGE, label="validation", **how)
        best = int(np.nanargmin(np.where(seen, validation, np.nan)))
        ax.plot(
            epochs[best],
            validation[best],
            linestyle="",
            marker="*",
            markersize=13,
            color=ORANGE,
            markeredgecolor="white",
            zorder=4,
            label=f"best: {validation[best]:.2f} at epoch {epochs[best]:g}",
        )
    weighted = epochs[np.isfinite(kl_weight) & (kl_weight != 1.0)]
    if weighted.size:
        ax.axvspan(
            weighted.min() - 0.5,
            weighted.max() + 0.5,
            color="#EEF0F3",
            linewidth=0,
            zorder=0,
            label="KL weight \N{NOT EQUAL TO} 1",
        )
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")


def _rows(history: Sequence[Row] | HasRows) -> list[Row]:
    rows = getattr(history, "rows", history)
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(
            explain(
                "history",
                expected="rows such as {'epoch': 1, 'train_loss': 101.3}, or an object with .rows",
                got=type(history).__name__,
                remedy="Give run.history.",
            )
        )
    if not rows:
        raise ValueError(
            explain(
                "history", expected="at least one epoch", got="no rows", remedy="Train for an epoch first."
            )
        )
    return list(rows)


def _column(rows: Sequence[Row], key: str, *, required: bool = False) -> Floats:
    """One key of all rows; NaN where it is absent or None."""
    values = [row.get(key) for row in rows]
    missing = next((i for i, value in enumerate(values) if value is None), None)
    if required and missing is not None:
        raise ValueError(
            explain(
                "history",
                expected=f"{key!r} in every row",
                got=f"row {missing} with {', '.join(rows[missing]) or 'no keys'}",
                remedy="Leave incomplete rows out.",
            )
        )
    return np.array([np.nan if value is None else float(value) for value in values])


def _changes(values: Floats) -> bool:
    seen = values[np.isfinite(values)]
    return bool(seen.size) and bool((seen != seen[0]).any())
