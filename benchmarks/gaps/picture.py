"""The picture: for one datum of each problem the true posterior and draws of each guide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gaps import exact
from gaps.problems import PROBLEMS

WINDOWS = {
    "banana": ((-2.5, 2.5), (-2.6, 1.4)),
    "bimodal": ((-2.2, 2.2), (-1.5, 2.3)),
    "correlated": ((-2.0, 2.6), (-2.1, 2.5)),
}
COLUMNS = 10
COLOURS = {"": "#2a6fbb", "flow": "#b3404a", "PerDatum": "#6b8e5a", "Pyro": "#6b8e5a"}
"""By the beginning of a guide's name."""


def draw(shown: dict[str, dict[str, Any]], path: Path) -> None:
    """Writes the picture; ``shown`` holds for each problem each guide's ``draws`` and ``gap``."""
    from matplotlib.figure import Figure

    count = 1 + max(len(guides) for guides in shown.values())
    lines = -(-count // COLUMNS)
    figure = Figure(figsize=(1.45 * COLUMNS, 1.6 * lines * len(shown)), layout="constrained")
    blocks = figure.subfigures(len(shown), 1, squeeze=False, hspace=0.04)[:, 0]
    for block, (problem, guides) in zip(blocks, shown.items(), strict=True):
        panels = iter(block.subplots(lines, COLUMNS, squeeze=False).flat)
        block.suptitle(f"{problem}: {PROBLEMS[problem].story}", size=9, x=0.005, ha="left")
        window = WINDOWS[problem]
        truth = _density(problem)
        _panel(next(panels), truth, window, "the posterior", filled=True)
        for name, found in guides.items():
            axes = next(panels)
            _panel(axes, truth, window, f"{name.removeprefix('flow: ')}\n{found['gap']:.2f} nats")
            z = torch.tensor(found["draws"])
            axes.scatter(*z.T, s=2.5, color=_colour(name), alpha=0.7, linewidths=0, zorder=2)
        for axes in panels:
            axes.set_axis_off()
    figure.savefig(path, dpi=130)


def _density(problem: str) -> Tensor:
    known = PROBLEMS[problem]
    return exact.density(known.model, torch.tensor(known.shown), points=521)


def _panel(axes: Any, truth: Tensor, window: Any, title: str, *, filled: bool = False) -> None:
    axis = torch.linspace(-exact.WIDE, exact.WIDE, len(truth))
    levels = [_level(truth, share) for share in (0.99, 0.9, 0.5)]
    if filled:
        axes.contourf(axis, axis, truth.T, levels=[*levels, truth.max().item() * 1.01], cmap="Greys")
    axes.contour(axis, axis, truth.T, levels=levels, colors="#1B1B1B", linewidths=0.6, zorder=3)
    axes.set_xlim(window[0])
    axes.set_ylim(window[1])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, size=7, pad=2)
    for side in axes.spines.values():
        side.set_linewidth(0.4)


def _level(truth: Tensor, share: float) -> float:
    """The density above which that share of the mass lies."""
    values = truth.flatten().sort(descending=True).values
    mass = values.cumsum(0) / values.sum()
    return values[int((mass < share).sum())].item()


def _colour(name: str) -> str:
    return next(colour for start, colour in reversed(COLOURS.items()) if name.startswith(start))
