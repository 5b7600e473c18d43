"""How every figure looks: one width, one ink, one palette, set on artists and never on matplotlib itself."""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 7.0  # inches: at 100 dpi the 700 pixels of a README's column, so that a font size means what it says
DPI = 200
INK, FAINT, PAPER = "#222222", "#C9CDD2", "white"

# The first six are Okabe and Ito's; the other four were chosen so that no two of the ten come closer than a
# CIELAB distance of 15, also to eyes without red or green cones (tests/test_plots.py simulates them).
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#3B30C4",
    "#5E3A08",
    "#1B1B1B",
    "#DCD05E",
)
BLUE, ORANGE, GREEN = PALETTE[:3]
MARKERS = ("o", "^")  # classes eleven to twenty take the ten colours again, as triangles


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself, at half its pixels, without pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        width, height = (round(float(side) * self.dpi / 2) for side in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}


def new_figure(width: float = WIDTH, height: float = 4.0, **options: Any) -> Picture:
    """A blank figure that pyplot doesn't know of, so that nothing has to be closed."""
    figure = Picture(figsize=(width, height), dpi=DPI, facecolor=PAPER, **options)
    FigureCanvasAgg(figure)
    return figure


def root(ax: Axes) -> Figure:
    """The figure that is saved, also where the axes lie in a sub-figure."""
    return ax.figure.canvas.figure


def dress(ax: Axes, *, grid: bool = True) -> Axes:
    """Quiet axes: two spines, small ticks, a faint grid behind the data."""
    ax.set_facecolor(PAPER)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#8A8F96")
    ax.tick_params(labelsize=9, labelcolor=INK, color="#8A8F96", length=3)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(True, color="#E9EBEE", linewidth=0.7)
    return ax


def label(ax: Axes, *, title: str | None = None, x: str | None = None, y: str | None = None) -> None:
    """The words around the axes, in the house's sizes."""
    if title is not None:
        ax.set_title(title, loc="left", fontsize=11, color=INK, pad=7)
    if x is not None:
        ax.set_xlabel(x, fontsize=10, color=INK)
    if y is not None:
        ax.set_ylabel(y, fontsize=10, color=INK)


def snug(ax: Axes, width: float, height: float, *, pad: float = 0.06, tallest: float = 10.0) -> None:
    """Cut the figure to its one axes, ``width`` inches by ``height`` inches without its labels.

    What the labels take is measured, not guessed: they keep their size in inches while the figure changes.
    The content shrinks where the whole would be wider than `WIDTH` or taller than ``tallest``.
    """
    figure = root(ax)
    left, right, below, above = _margins(figure, ax, width, height)
    shrink = min(1.0, (WIDTH - left - right - 2 * pad) / width, (tallest - above - below - 2 * pad) / height)
    if shrink < 1.0:
        width, height = width * shrink, height * shrink
        left, right, below, above = _margins(figure, ax, width, height)
    whole = (left + width + right + 2 * pad, below + height + above + 2 * pad)
    figure.set_size_inches(*whole)
    ax.set_position(
        (
            (left + pad) / whole[0],
            (below + pad) / whole[1],
            width / whole[0],
            height / whole[1],
        )
    )


def _margins(figure: Figure, ax: Axes, width: float, height: float) -> tuple[float, float, float, float]:
    room = 3.0
    size = (width + 2 * room, height + 2 * room)
    figure.set_size_inches(*size)
    ax.set_position((room / size[0], room / size[1], width / size[0], height / size[1]))
    renderer = cast(Any, FigureCanvasAgg(figure)).get_renderer()  # matplotlib leaves it untyped
    box = ax.get_tightbbox(renderer)
    if box is None:  # an invisible axes has no labels to make room for
        return 0.0, 0.0, 0.0, 0.0
    x0, y0, x1, y1 = (float(edge) / figure.dpi for edge in box.extents)
    return (
        max(room - x0, 0.0),
        max(x1 - room - width, 0.0),
        max(room - y0, 0.0),
        max(y1 - room - height, 0.0),
    )
