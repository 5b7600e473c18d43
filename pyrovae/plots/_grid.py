"""Images of any layout become tiles of one axes: their shape, their range, their place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from pyrovae.errors import explain
from pyrovae.plots._arrays import Array, numbers
from pyrovae.plots._style import WIDTH, snug

MOST = 2500  # beyond this a tile is smaller than its pixels, and drawing takes minutes
LARGEST_TILE = 0.7  # inches
GAP = 0.07  # of a tile's longer side
NOT_A_NUMBER = (0.84, 0.15, 0.16)  # no gray value and no likely colour, so that a NaN is seen

Pictures = NDArray[Any]
"""``(..., height, width, channels)``, of one or three channels."""


def pictures(x: Array, where: str, *, leading: int, shape: Sequence[int] | None) -> Pictures:
    """Read ``(..., d)``, ``(..., H, W)`` or ``(..., C, H, W)`` behind ``leading`` dimensions as pictures."""
    array = numbers(x, where)
    axes = "n" if leading == 1 else "rows, columns"
    if not leading < array.ndim <= leading + 3:
        raise ValueError(
            explain(
                where,
                expected=f"shape ({axes}, d), ({axes}, H, W) or ({axes}, C, H, W)",
                got=str(array.shape),
                remedy=f"Give images behind {leading} leading dimension{'s' * (leading > 1)}, e.g. x[None].",
            )
        )
    front, rest = array.shape[:leading], array.shape[leading:]
    count = math.prod(front)
    if count > MOST:
        raise ValueError(
            explain(
                where,
                expected=f"at most {MOST} images",
                got=str(count),
                remedy="Draw a selection, e.g. x[:100].",
            )
        )
    channels, height, width = _image_shape(rest, where, shape)
    return np.moveaxis(array.reshape(*front, channels, height, width), -3, -1)


def _image_shape(rest: tuple[int, ...], where: str, shape: Sequence[int] | None) -> tuple[int, int, int]:
    size = math.prod(rest)
    if shape is None and len(rest) == 1:
        side = math.isqrt(size)
        if side * side != size:
            raise ValueError(
                explain(
                    where,
                    expected="images, or vectors whose length is a perfect square",
                    got=f"vectors of length {size}",
                    remedy=f"Say how a vector is an image: {_suggestion(size)}.",
                )
            )
        shape = (side, side)
    found = tuple(int(side) for side in (rest if shape is None else shape))
    if len(found) not in (2, 3) or min(found) < 1 or math.prod(found) != size:
        raise ValueError(
            explain(
                "shape",
                expected=f"(H, W) or (C, H, W) of {size} pixels in all, as {where} has",
                got=str(found),
                remedy=f"Give for instance {_suggestion(size)}.",
            )
        )
    channels, height, width = found if len(found) == 3 else (1, *found)
    if channels not in (1, 3):
        last = width in (1, 3)
        raise ValueError(
            explain(
                where if shape is None else "shape",
                expected="images of 1 or 3 channels, channels first: (C, H, W)",
                got=f"{channels} channels in {found}",
                remedy="Channels are last: permute them to the front."
                if last
                else "Choose channels to draw, e.g. x[..., :1, :, :].",
            )
        )
    return channels, height, width


def _suggestion(size: int) -> str:
    if size % 3 == 0 and math.isqrt(size // 3) ** 2 == size // 3:
        side = math.isqrt(size // 3)
        return f"shape=(3, {side}, {side})"
    height = next(side for side in range(math.isqrt(size), 0, -1) if size % side == 0)
    return f"shape=({size // height}, {height})"


def limits(**stacks: Pictures) -> tuple[float, float]:
    """The values drawn as black and white: 0..1 if all lie inside, else 0..255 for bytes, else their range.

    A stack is named as its argument is, for the complaint if it shows nothing.
    """
    spans = []
    for where, stack in stacks.items():
        seen = stack[np.isfinite(stack)]
        if seen.size == 0:
            raise ValueError(
                explain(
                    where,
                    expected="images with at least one finite pixel",
                    got="NaN or infinity everywhere",
                    remedy="The network that made them has probably diverged: look at its training curves.",
                )
            )
        spans.append((float(seen.min()), float(seen.max())))
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    if all(stack.dtype == np.uint8 for stack in stacks.values()):
        return 0.0, 255.0
    return low, high if high > low else low + 1.0


def paint(picture: Pictures, span: tuple[float, float]) -> tuple[NDArray[Any], dict[str, Any]]:
    """What ``imshow`` is to be given for one picture: gray values with their span, or RGB already in 0..1."""
    low, high = span
    if picture.shape[-1] == 1:
        return picture[..., 0], {"cmap": _gray(), "vmin": low, "vmax": high}
    colours = (picture.astype(np.float64) - low) / (high - low)
    whole = np.isfinite(colours).all(-1, keepdims=True)
    return np.where(whole, colours, NOT_A_NUMBER), {}


def _gray() -> Colormap:
    return matplotlib.colormaps["gray"].with_extremes(bad=NOT_A_NUMBER)


def tile(
    ax: Axes, images: Pictures, cells: NDArray[np.int64], span: tuple[float, float], *, block: int = 1
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw image i in the ``(row, column)`` of ``cells[i]``, and return the centres of columns and rows.

    Data coordinates are pixels, y downwards. After every ``block`` rows the gap is wider.
    """
    height, width = images.shape[1:3]
    gap = GAP * max(height, width)
    rows, columns = cells.max(0) + 1
    lefts = np.arange(columns) * (width + gap)
    tops = np.arange(rows) * (height + gap) + (np.arange(rows) // block) * (2 * gap if block > 1 else 0.0)
    for image, (row, column) in zip(images, cells, strict=True):
        left, top = lefts[column], tops[row]
        data, colours = paint(image, span)
        ax.imshow(data, extent=(left, left + width, top + height, top), **colours)
    bare(ax)
    ax.set(xlim=(0, lefts[-1] + width), ylim=(tops[-1] + height, 0), aspect="equal")
    return lefts + width / 2, tops + height / 2


def bare(ax: Axes) -> None:
    """No frame, no ticks."""
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def name_ticks(ax: Axes, which: str, at: NDArray[Any], words: Sequence[str], size: float = 9.0) -> None:
    """Words beside rows (``which="y"``) or below columns (``"x"``), without tick marks."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_ticks(list(at), labels=list(words))
    ax.tick_params(axis="x" if which == "x" else "y", length=0, labelsize=size, labelcolor="#222222", pad=4)


def columns_for(count: int) -> int:
    """A number of columns that fills its rows if one exists, in a grid clearly wider than tall."""
    wish = math.sqrt(2.5 * count)
    fits = [c for c in range(1, count + 1) if count % c == 0 and wish / 1.6 <= c <= 1.6 * wish]
    return min(fits, key=lambda c: abs(math.log(c / wish))) if fits else math.ceil(wish)


def fit_to_tiles(ax: Axes, tile_shape: tuple[int, int], *, largest: float = LARGEST_TILE) -> None:
    """Cut the figure to the tiles on ``ax``, none of whose sides is longer than ``largest`` inches."""
    width, height = abs(np.diff(ax.get_xlim())[0]), abs(np.diff(ax.get_ylim())[0])
    scale = min(largest / max(tile_shape), WIDTH / width)
    snug(ax, float(width * scale), float(height * scale))


def cells_of(count: int, columns: int) -> NDArray[np.int64]:
    """The ``(row, column)`` of each of ``count`` images laid out row by row."""
    index = np.arange(count, dtype=np.int64)
    return np.stack([index // columns, index % columns], -1)


def whole_columns(columns: int | None, default: int) -> int:
    """The caller's number of columns, or the default."""
    if columns is None:
        return default
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
        raise ValueError(
            explain("columns", expected="a positive integer", got=repr(columns), remedy="Try columns=10.")
        )
    return columns
