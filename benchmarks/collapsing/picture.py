"""The picture: the rate while training goes on, and how much of the final rate is information."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

BLACK, GRAY = "#1B1B1B", "#8A8F96"
COLOURS = {
    "factorised": GRAY,
    "plain": BLACK,
    "IWAE": "#5E3A08",
    "warm-up": "#0072B2",
    "lagging": "#CC79A7",
    "beta": "#D55E00",
    "free bits": "#009E73",
    "capacity": "#3B30C4",
    "delta-VAE": "#E69F00",
}
"""By the beginning of a row's name."""

HIGHEST = 20.0
"""Nats: a line or a bar that goes beyond is cut, and says its number."""


def draw(rows: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Writes the picture of all rows, means over seeds; its format is the suffix's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2 + 0.28 * len(rows)), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[4.2, 0.28 * len(rows) + 0.6])
    _lines(above, rows)
    _bars(below, rows)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.savefig(path, dpi=150)


def _lines(axes: Any, rows: dict[str, list[dict[str, Any]]]) -> None:
    """The rate by step; a label at the end of each line, moved apart where they'd overlap."""
    ends, last = [], 0
    for name, runs in rows.items():
        steps = [step for step, _ in runs[0]["trace"]]
        rates = [fmean(column) for column in zip(*(_rates(run) for run in runs), strict=True)]
        axes.plot(steps, rates, color=_colour(name), linewidth=1.6, linestyle=_dash(name))
        ends.append((rates[-1], name))
        last = max(last, steps[-1])
    top = min(HIGHEST, 1.05 * max(rate for runs in rows.values() for run in runs for rate in _rates(run)))
    axes.set_ylim(-0.02 * top, top)
    axes.set_xlim(0, last)
    ends.sort()
    for (end, name), place in zip(ends, _apart([min(end, top) for end, _ in ends], 0.055 * top), strict=True):
        axes.annotate(
            name if end <= top else f"{name} (up to {end:.0f})",
            (last, min(end, top)),
            xytext=(1.05 * last, place),
            annotation_clip=False,
            color=_colour(name),
            size=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": _colour(name), "linewidth": 0.6, "relpos": (0, 0.5)},
        )
    axes.set_title("rate, nats per datum, by step", size=9, loc="left")
    axes.set_xlabel("steps", size=8)


def _bars(axes: Any, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Rate and, inside it, information; at the end of a bar the active units and the evidence."""
    for place, (name, runs) in enumerate(rows.items()):
        rate, information, active, evidence = (
            fmean(run[key] for run in runs) for key in ("rate", "information", "active", "evidence")
        )
        axes.barh(place, min(rate, HIGHEST), color=_colour(name), alpha=0.3, height=0.75)
        axes.barh(place, max(information, 0.0), color=_colour(name), height=0.75)
        cut = f"rate {rate:.1f}, " if rate > HIGHEST else ""
        units = f"{active:.1f}".removesuffix(".0")
        axes.annotate(
            f"{cut}{units} active, evidence {evidence:.1f}",
            (min(rate, HIGHEST), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            size=8,
        )
    axes.set_yticks(range(len(rows)), list(rows), size=8)
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set_title("after training: rate (pale) and information (full), nats per datum", size=9, loc="left")


def _apart(values: list[float], gap: float) -> list[float]:
    """Sorted values moved apart to at least ``gap``, each group around its own mean."""
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and _least(groups[-1], gap) < _least(groups[-2], gap) + gap * len(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_least(group, gap) + gap * place for group in groups for place in range(len(group))]


def _least(group: list[float], gap: float) -> float:
    """Where a group of labels begins that is centred on its values."""
    return fmean(group) - gap * (len(group) - 1) / 2


def _rates(run: dict[str, Any]) -> list[float]:
    return [rate for _, rate in run["trace"]]


def _colour(name: str) -> str:
    return next((colour for start, colour in COLOURS.items() if name.startswith(start)), GRAY)


def _dash(name: str) -> str:
    """Rows of one family share a colour: the second and third of it are dashed and dotted."""
    if any(word in name for word in ("sigmoid", "per site", "0.25", "1 nat", "learning rate")):
        return "--"
    return ":" if any(word in name for word in ("cyclical", "nats, linear")) else "-"
