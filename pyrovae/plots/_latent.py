"""Images along the latent space: the two-dimensional manifold, interpolations, traversals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyrovae.errors import explain
from pyrovae.plots._arrays import Array, finite
from pyrovae.plots._grid import (
    LARGEST_TILE,
    Pictures,
    bare,
    cells_of,
    fit_to_tiles,
    limits,
    name_ticks,
    paint,
    pictures,
    tile,
)
from pyrovae.plots._style import WIDTH, dress, label, new_figure, root, snug


def manifold(
    grid_images: Array,
    *,
    shape: Sequence[int] | None = None,
    extent: Sequence[float] | None = None,
    values: tuple[Array, Array] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the images decoded from a regular grid of two latent dimensions, edge to edge.

    Gray and colour are scaled as in :func:`samples`.

    Arguments:
        grid_images: ``(rows, columns, d)``, ``(rows, columns, H, W)`` or ``(rows, columns, C, H, W)``; row 0
            is drawn at the top.
        shape: ``(H, W)`` or ``(C, H, W)`` of one image; needed where d is no perfect square.
        extent: the latent values ``(left, right, bottom, top)`` at the *centres* of the outermost images:
            z[0] from left to right, z[1] from bottom to top. The axes then are latent coordinates, and
            encoded data can be drawn on top of them.
        values: for a grid that isn't even, as one of quantiles, the latent values ``(columns, rows)`` of
            shapes ``(columns,)`` and ``(rows,)``, written beside the images; not together with ``extent``.
        title: the words above.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if the images can't be read as such a grid, ``extent`` isn't four numbers that span it, or
            ``values`` aren't as many as there are columns and rows.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> figure = plots.manifold(torch.rand(10, 12, 64), extent=(-3, 3, -2, 2))
        >>> figure.axes[0].images[0].get_array().shape
        (80, 96)
    """
    images = pictures(grid_images, "grid_images", leading=2, shape=shape)
    span = limits(grid_images=images)
    rows, columns, height, width, channels = images.shape
    mosaic = images.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    data, colours = paint(mosaic, span)
    canvas = ax if ax is not None else new_figure().add_axes((0, 0, 1, 1))
    if extent is None:
        canvas.imshow(data, extent=(0, columns, rows, 0), **colours)
        canvas.set_aspect(height / width)
        bare(canvas)
    else:
        canvas.imshow(data, extent=(edges := _edges(extent, rows, columns)), **colours)
        canvas.set_aspect(
            abs((edges[1] - edges[0]) / (edges[3] - edges[2])) * (rows * height) / (columns * width)
        )
        dress(canvas, grid=False)
        for spine in canvas.spines.values():
            spine.set_visible(False)  # the mosaic has edges of its own
    if values is not None:
        _name_tiles(canvas, values, rows, columns, extent)
    if extent is not None or values is not None:
        label(canvas, x="z[0]", y="z[1]")
    label(canvas, title=title)
    if ax is None:
        scale = min(WIDTH / max(columns * width, rows * height), LARGEST_TILE / max(height, width))
        snug(canvas, columns * width * scale, rows * height * scale, tallest=WIDTH)
    return root(canvas)


def interpolation(
    paths: Array,
    *,
    shape: Sequence[int] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one path between two data to a row, from t = 0 at the left to t = 1 at the right.

    Gray and colour are scaled as in :func:`samples`.

    Arguments:
        paths: ``(pairs, steps, d)``, ``(pairs, steps, H, W)`` or ``(pairs, steps, C, H, W)``.
        shape: ``(H, W)`` or ``(C, H, W)`` of one image; needed where d is no perfect square.
        title: the words above.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if ``paths`` can't be read as rows of images.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> figure = plots.interpolation(torch.rand(4, 9, 64))
        >>> [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
        ['t = 0', '0.5', '1']
    """
    images = pictures(paths, "paths", leading=2, shape=shape)
    canvas, across, _ = _rows(images, limits(paths=images), ax)
    steps = images.shape[1]
    if steps > 1:
        middle = [(steps - 1) // 2] if steps > 4 and steps % 2 else []
        marks = [0, *middle, steps - 1]
        name_ticks(canvas, "x", across[marks], ["t = 0", *["0.5"] * len(middle), "1"])
    label(canvas, title=title)
    if ax is None:
        fit_to_tiles(canvas, images.shape[2:4])
    return root(canvas)


def traversals(
    images: Array,
    *,
    shape: Sequence[int] | None = None,
    values: Array | None = None,
    dims: Array | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw what each latent dimension does by itself: one dimension to a row.

    Gray and colour are scaled as in :func:`samples`.

    Arguments:
        images: ``(dims, steps, d)``, ``(dims, steps, H, W)`` or ``(dims, steps, C, H, W)``.
        shape: ``(H, W)`` or ``(C, H, W)`` of one image; needed where d is no perfect square.
        values: ``(steps,)``, the values that the dimension takes.
        dims: ``(dims,)``, the index of each row's dimension, counted from 0; by default 0, 1, 2, ...
        title: the words above.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if ``values`` or ``dims`` aren't as many as there are steps or rows.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> figure = plots.traversals(torch.rand(2, 5, 64), values=[-2, -1, 0, 1, 2], dims=[3, 7])
        >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        ['z[3]', 'z[7]']
    """
    stack = pictures(images, "images", leading=2, shape=shape)
    rows, steps = stack.shape[:2]
    indices = range(rows) if dims is None else _as_many("dims", dims, rows, "rows").astype(int)
    canvas, across, down = _rows(stack, limits(images=stack), ax)
    name_ticks(canvas, "y", down, [f"z[{index}]" for index in indices])
    if values is not None:
        every = -(-steps // 11)  # more words than eleven run into each other
        marks = _as_many("values", values, steps, "steps")[::every]
        name_ticks(canvas, "x", across[::every], [_word(mark, np.abs(marks).max()) for mark in marks])
    label(canvas, title=title)
    if ax is None:
        fit_to_tiles(canvas, stack.shape[2:4])
    return root(canvas)


def _rows(
    images: Pictures, span: tuple[float, float], ax: Axes | None
) -> tuple[Axes, NDArray[np.float64], NDArray[np.float64]]:
    rows, steps = images.shape[:2]
    canvas = ax if ax is not None else new_figure().add_axes((0, 0, 1, 1))
    across, down = tile(canvas, images.reshape(-1, *images.shape[2:]), cells_of(rows * steps, steps), span)
    return canvas, across, down


def _word(value: float, greatest: float) -> str:
    """The value to three digits of the greatest, so that what only rounding keeps from 0 is 0."""
    digits = 2 - math.floor(math.log10(greatest)) if greatest > 0 else 0
    return f"{round(float(value), digits) + 0.0:g}".replace("-", "\N{MINUS SIGN}")


def _as_many(where: str, given: Array, count: int, of: str) -> NDArray[np.float64]:
    found = finite(given, where)
    if found.shape != (count,):
        raise ValueError(
            explain(
                where,
                expected=f"{count} numbers, one for each of the {of}",
                got=f"shape {found.shape}",
                remedy="Give those that the images were decoded from.",
            )
        )
    return found


def _edges(extent: Sequence[float], rows: int, columns: int) -> tuple[float, float, float, float]:
    """The outer edges of the mosaic, half an image beyond the centres that ``extent`` gives."""
    found = finite(extent, "extent")
    if found.shape != (4,) or found[0] == found[1] or found[2] == found[3] or min(rows, columns) < 2:
        raise ValueError(
            explain(
                "extent",
                expected="(left, right, bottom, top), the ranges of at least 2 columns and 2 rows",
                got=f"{tuple(found.ravel().tolist())} for {rows} rows and {columns} columns",
                remedy="Give for instance extent=(-3, 3, -3, 3), or no extent.",
            )
        )
    left, right, bottom, top = (float(value) for value in found)
    across, up = (right - left) / (columns - 1) / 2, (top - bottom) / (rows - 1) / 2
    return left - across, right + across, bottom - up, top + up


def _name_tiles(
    ax: Axes, values: tuple[Array, Array], rows: int, columns: int, extent: Sequence[float] | None
) -> None:
    """Latent values beside some tiles of a mosaic, spread evenly and symmetrically from first to last."""
    if extent is not None or len(values) != 2:
        raise ValueError(
            explain(
                "values",
                expected="(columns, rows), and no extent",
                got="an extent as well" if extent is not None else f"{len(values)} of them",
                remedy="Give extent for an even grid, values for any other.",
            )
        )
    for which, given, count in (("x", values[0], columns), ("y", values[1], rows)):
        marks = _as_many("values", given, count, "columns" if which == "x" else "rows")
        chosen = np.linspace(0, count - 1, min(count, 9 if count % 2 else 8)).round().astype(int)
        name_ticks(ax, which, chosen + 0.5, [_word(mark, np.abs(marks).max()) for mark in marks[chosen]])
