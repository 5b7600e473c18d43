"""Where the data lie in the latent space, coloured by label."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pyrovae.errors import explain
from pyrovae.plots._arrays import Array, finite, plain
from pyrovae.plots._style import BLUE, INK, MARKERS, PALETTE, dress, label, new_figure, root

MOST_CLASSES = len(PALETTE) * len(MARKERS)


def latent_scatter(
    z: Array,
    y: Array | None = None,
    *,
    label_name: str | None = None,
    size: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    r"""Draw encoded data as points, coloured by label.

    Two latent dimensions are drawn as they are; of more, the projection on the first two principal
    components, from the singular value decomposition of the centred :math:`Z = U S V^\top`, whose axes say
    which share :math:`S_k^2 / \sum_j S_j^2` of the variance they show. The sign of a component is such that
    its largest loading is positive. Up to twenty different labels are classes with a legend, in colours that
    stay apart without red or green cones (from the eleventh on with a second marker); more, if numbers, are
    shades along a colour bar. Points are drawn in a random but fixed order, so that no class hides the
    others.

    Arguments:
        z: ``(n, d)``, d at least 2.
        y: ``(n,)``, numbers or strings.
        label_name: what the labels are, above the legend or beside the colour bar.
        size: the area of a point in square points; by default smaller for more data.
        title: the words above.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if z isn't finite or not of shape ``(n, d)``, or ``y`` isn't one label for each row.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> _ = torch.manual_seed(0)
        >>> figure = plots.latent_scatter(torch.randn(100, 8) * torch.arange(8), torch.arange(100) % 10)
        >>> figure.axes[0].get_xlabel().split()[:2]
        ['PC', '1']
    """
    points, names = _plane(finite(z, "z"))
    labels = None if y is None else _labels(y, len(points))
    area = float(np.clip(16000 / len(points), 3, 26)) if size is None else size
    canvas = _canvas(points, labels is not None) if ax is None else ax
    order = np.random.default_rng(0).permutation(len(points))
    points, labels = points[order], None if labels is None else labels[order]
    how: dict[str, Any] = {"s": area, "linewidths": 0, "alpha": 0.8, "rasterized": len(points) > 2000}
    classes = None if labels is None else np.unique(labels)
    if labels is None or classes is None:
        canvas.scatter(points[:, 0], points[:, 1], color=BLUE, **how)
    elif len(classes) <= MOST_CLASSES:
        _by_class(canvas, points, labels, classes, how, label_name)
    elif labels.dtype.kind == "f":
        shades = canvas.scatter(points[:, 0], points[:, 1], c=labels, cmap="viridis", **how)
        opaque = ScalarMappable(shades.norm, shades.cmap)
        bar = root(canvas).colorbar(opaque, ax=canvas, pad=0.02, aspect=32)
        outline: Any = bar.outline  # matplotlib 3.10 calls it Spines in its types
        outline.set_visible(False)
        bar.ax.tick_params(labelsize=9, labelcolor=INK, length=3)
        bar.set_label(label_name or "y", fontsize=10, color=INK)
    else:
        raise ValueError(
            explain(
                "y",
                expected=f"at most {MOST_CLASSES} named classes",
                got=str(len(classes)),
                remedy="Draw a selection of them, or give numbers to be shown along a colour bar.",
            )
        )
    canvas.set_aspect("equal", adjustable="datalim")  # a distance means the same in both directions
    label(canvas, title=title, x=names[0], y=names[1])
    return root(canvas)


def _canvas(points: NDArray[np.float64], legend: bool) -> Axes:
    """Axes of about the proportions of the points, so that an equal scale leaves little of them blank."""
    wide, tall = np.ptp(points, axis=0)
    ratio = float(np.clip(wide / tall, 0.8, 1.35)) if tall > 0 else 1.35
    width = 4.3 * ratio + 0.6 + (0.9 if legend else 0.0)
    return dress(new_figure(width, 4.8, layout="constrained").add_subplot())


def _plane(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """``(n, 2)`` coordinates and what they are."""
    if z.ndim != 2 or z.shape[1] < 2:
        raise ValueError(
            explain(
                "z",
                expected="shape (n, d) with d of at least 2",
                got=str(z.shape),
                remedy="Give the encoded means, one row a datum; one latent dimension suits a histogram.",
            )
        )
    if z.shape[1] == 2:
        return z, ("z[0]", "z[1]")
    _, scales, loadings = np.linalg.svd(z - z.mean(0), full_matrices=False)
    total = float((scales**2).sum())
    if len(z) < 3 or total == 0.0:
        raise ValueError(
            explain(
                "z",
                expected=f"at least 3 rows that differ, for two principal components of {z.shape[1]}",
                got=f"{len(z)} rows with a variance of {total / len(z):g}",
                remedy="Encode more data, or draw two dimensions: z[:, :2].",
            )
        )
    axes = loadings[:2] * np.sign(loadings[[0, 1], np.abs(loadings[:2]).argmax(1)])[:, None]
    first, second = scales[:2] ** 2 / total
    return (z - z.mean(0)) @ axes.T, (f"PC 1 ({first:.0%} of variance)", f"PC 2 ({second:.0%} of variance)")


def _labels(y: Array, count: int) -> NDArray[Any]:
    """``(n,)`` labels: strings, or finite floats."""
    labels = plain(y, "y")
    if labels.shape != (count,):
        raise ValueError(
            explain(
                "y",
                expected=f"shape ({count},), one label for each row of z",
                got=str(labels.shape),
                remedy="Give class numbers (one-hot labels: y.argmax(-1)).",
            )
        )
    return labels.astype(str) if labels.dtype.kind in "USO" else finite(labels, "y")


def _by_class(
    ax: Axes,
    points: NDArray[np.float64],
    labels: NDArray[Any],
    classes: NDArray[Any],
    how: dict[str, Any],
    label_name: str | None,
) -> None:
    which = np.searchsorted(classes, labels)
    colours = np.array(PALETTE)[which % len(PALETTE)]
    handles = []
    for turn, marker in enumerate(MARKERS):
        here = which // len(PALETTE) == turn
        if here.any():
            ax.scatter(points[here, 0], points[here, 1], c=list(colours[here]), marker=marker, **how)
    for index, name in enumerate(classes):
        word = name if isinstance(name, str) else f"{name:g}"
        mark = MARKERS[index // len(PALETTE)]
        colour = PALETTE[index % len(PALETTE)]
        handles.append(Line2D([], [], color=colour, marker=mark, linestyle="", markersize=6, label=str(word)))
    ax.legend(
        handles=handles,
        title=label_name,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        labelcolor=INK,
        handletextpad=0.1,
        borderaxespad=0.2,
        ncols=1 if len(classes) <= 14 else 2,
    )
