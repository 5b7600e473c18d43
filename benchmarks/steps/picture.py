"""The picture: each side's ratio to the reference with its quartiles, a panel for each workload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.sides import REFERENCE, SIDES

COLOURS = {"by_hand": "#7f7f7f", "by_cuda_graph": "#7f7f7f", "by_pyro": "#e07b39", "by_pyrovae": "#2a6fbb"}
OTHERS = "#6b8e5a"


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Writes a picture of all workloads; its format is the suffix's."""
    from matplotlib.figure import Figure

    heights = [len(result["sides"]) + 1.5 for result in results]
    figure = Figure(figsize=(8, 0.32 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(results), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, result in zip(panels, results, strict=True):
        sides = {name: side for name, side in result["sides"].items() if name != REFERENCE}
        for place, (name, side) in enumerate(sides.items()):
            ratio, colour = side["ratio"], COLOURS.get(SIDES[name].module.removeprefix("steps."), OTHERS)
            axes.barh(place, ratio["median"], color=colour, height=0.7)
            axes.hlines(place, ratio["lower"], ratio["upper"], color="black")
            axes.annotate(
                f"{ratio['median']:.2f}",
                (ratio["upper"], place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                size=8,
            )
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_yticks(
            range(len(sides)), [side["label"].replace("`", "") for side in sides.values()], size=8
        )
        axes.invert_yaxis()
        axes.set_title(f"{result['about']}, batch {result['batch']}", size=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("time of a step / hand-written eager torch; median and quartiles")
    panels[-1].margins(x=0.08)
    figure.savefig(path, dpi=150)
