"""Images of the data space: grids of samples, and reconstructions below their originals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyrovae.errors import explain
from pyrovae.plots._arrays import Array, numbers
from pyrovae.plots._grid import (
    Pictures,
    cells_of,
    columns_for,
    fit_to_tiles,
    limits,
    name_ticks,
    pictures,
    tile,
    whole_columns,
)
from pyrovae.plots._style import label, new_figure, root


def samples(
    x: Array,
    *,
    shape: Sequence[int] | None = None,
    columns: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw images in a grid, row by row.

    Gray images: black is 0 and white is 1 if every value lies in 0..1; else 0 and 255 for bytes; else the
    least and the greatest value of all images together. Three channels are RGB, brought to 0..1 by the same
    rule. A pixel that is NaN or infinite is red.

    Arguments:
        x: ``(n, d)``, ``(n, H, W)`` or ``(n, C, H, W)``, with C of 1 or 3.
        shape: ``(H, W)`` or ``(C, H, W)`` of one image; needed where d is no perfect square.
        columns: how many to a row; by default a number that fills the rows, in a grid wider than tall.
        title: the words above.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if ``x`` is empty, has no finite pixel, or can't be read as images of that shape.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> figure = plots.samples(torch.rand(32, 64), columns=8)
        >>> len(figure.axes[0].images)
        32
    """
    images = pictures(x, "x", leading=1, shape=shape)
    span = limits(x=images)
    across = min(whole_columns(columns, columns_for(len(images))), len(images))
    canvas = ax if ax is not None else new_figure().add_axes((0, 0, 1, 1))
    tile(canvas, images, cells_of(len(images), across), span)
    label(canvas, title=title)
    if ax is None:
        fit_to_tiles(canvas, images.shape[1:3])
    return root(canvas)


def reconstructions(
    x: Array,
    x_hat: Array,
    *,
    shape: Sequence[int] | None = None,
    columns: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw each original with its reconstruction below it, both on one scale of gray (as in :func:`samples`).

    Arguments:
        x: the originals, ``(n, d)``, ``(n, H, W)`` or ``(n, C, H, W)``.
        x_hat: their reconstructions, one for each original; their layout may differ.
        shape: ``(H, W)`` or ``(C, H, W)`` of one image; needed where d is no perfect square.
        columns: how many pairs to a row; by default at most 12.
        title: the words above.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if there are not as many reconstructions as originals, or their images differ in shape.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> x = torch.rand(10, 64)
        >>> figure = plots.reconstructions(x, x.round())
        >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        ['original', 'reconstruction']
    """
    above = pictures(x, "x", leading=1, shape=shape)
    decoded = numbers(x_hat, "x_hat")
    if decoded.ndim == 2 and decoded[0].size == above[0].size:
        shape = _channels_first(above)  # vectors that a decoder gives back are images as their originals are
    below = pictures(decoded, "x_hat", leading=1, shape=shape)
    if above.shape != below.shape:
        raise ValueError(
            explain(
                "x_hat",
                expected=f"{len(above)} images of (height, width, channels) {above.shape[1:]}, as x has",
                got=f"{len(below)} of {below.shape[1:]}",
                remedy="Reconstruct the very data that are given as x.",
            )
        )
    span = limits(x=above, x_hat=below)
    count = len(above)
    across = min(whole_columns(columns, _pairs_per_row(count)), count)
    places = cells_of(count, across)
    first = places * (2, 1)
    canvas = ax if ax is not None else new_figure().add_axes((0, 0, 1, 1))
    _, centres = tile(
        canvas,
        np.concatenate([above.astype(np.float64), below.astype(np.float64)]),
        np.concatenate([first, first + np.array([1, 0])]),
        span,
        block=2,
    )
    name_ticks(canvas, "y", centres, ["original", "reconstruction"] * (len(centres) // 2), size=8)
    label(canvas, title=title)
    if ax is None:
        fit_to_tiles(canvas, above.shape[1:3])
    return root(canvas)


def _channels_first(images: Pictures) -> tuple[int, int, int]:
    height, width, channels = images.shape[1:]
    return channels, height, width


def _pairs_per_row(count: int) -> int:
    """Equal rows of at most twelve pairs."""
    rows = -(-count // 12)
    return -(-count // rows)
