"""The picture: variance by particles for estimators of the ELBO, signal by noise for those of IWAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {
    "score function": "#7f7f7f",
    "score, decaying average": "#c9a227",
    "score, network": "#8e5ea2",
    "score, leave-one-out": "#e07b39",
    "pathwise": "#2a6fbb",
    "pathwise, closed KL": "#6b8e5a",
    "sticking the landing": "#b3404a",
    "straight-through": "#2a6fbb",
    "Gumbel-Softmax": "#6b8e5a",
    "Concrete": "#b3404a",
    "IWAE, pathwise": "#2a6fbb",
    "IWAE, doubly reparameterized": "#e07b39",
}


def draw(panels: list[dict[str, Any]], path: Path) -> None:
    """Writes a picture of all panels; its format is the suffix's."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ends = []
        for name, line in panel["lines"].items():
            counts, values = zip(*line.items(), strict=True)
            dashed = name in panel["biased"]
            axes.plot(
                counts,
                values,
                color=COLOURS[name],
                marker="o",
                markersize=3.5,
                linewidth=1.6,
                linestyle="--" if dashed else "-",
            )
            ends.append((values[-1], counts[-1], name + (", biased" if dashed else "")))
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        counts = panel["counts"]
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_xlim(counts[0] / 1.2, counts[-1] * 1.2)
        axes.set_xlabel("particles")
        axes.set_ylabel(panel["about"], size=9)
        axes.set_title(panel["title"], size=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        _label(axes, ends)
    figure.savefig(path, dpi=150)


def _label(axes: Any, ends: list[tuple[float, float, str]]) -> None:
    """Names each line at its end, none upon another."""
    low, high = (axes.transData.transform((1, y))[1] for y in axes.get_ylim())
    gap = 0.048
    places = sorted(
        ((axes.transData.transform((1, y))[1] - low) / (high - low), y, x, name) for y, x, name in ends
    )
    heights: list[float] = []
    for place, *_ in places:
        heights.append(max(place, heights[-1] + gap) if heights else place)
    # What has been pushed beyond the top pushes back.
    ceiling = 1.0
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], ceiling)
        ceiling = heights[i] - gap
    for height, (_, y, x, name) in zip(heights, places, strict=True):
        axes.annotate(
            name,
            (x, y),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            size=8,
            color=COLOURS[name.removesuffix(", biased")],
            annotation_clip=False,
        )
