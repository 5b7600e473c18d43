"""The pictures of a run, as PNG files: each is drawn where the data and the model allow it."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyrovae import checkpoint, plots, predict
from pyrovae.cli.datasets import Part, image_shape, rewrapped, steps_of, take, undo
from pyrovae.covariates import asked
from pyrovae.data import Binarize, Threshold
from pyrovae.evaluate import Bound
from pyrovae.training import Fit

Picture: TypeAlias = tuple[str, Callable[[], Figure]]
"""A name, and what draws it."""

_SCATTERED = 5000
"""More points than these hide each other."""


def draw_all(run: Fit, part: Part, bound: Bound, folder: Path, seed: int) -> list[Path]:
    """Draws everything there is to see of a run into its folder; returns the files.

    A picture that can't be drawn is left out, and said to be: the run and its numbers are there without it.
    """
    files = []
    for name, draw in _pictures(run, part, bound, seed):
        try:
            files.append(save(draw(), folder / f"{name}.png"))
        except Exception as error:  # a model of the user's may not generate, say, or have no mean
            said = str(error).partition("\n")[0]
            print(f"no picture of {name}: {type(error).__name__}: {said}", file=sys.stderr, flush=True)
    return files


def save(figure: Figure, path: Path) -> Path:
    """Writes a figure, whole or not at all."""
    import io

    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:] or "png")
    checkpoint.replace(path, content.getvalue())
    return path


def originals(part: Part, batch: tuple[Tensor, ...]) -> Tensor:
    """The data themselves, as images: the gray ones where the model is given zeros and ones of them."""
    steps = steps_of(part.transform)
    for position, step in enumerate(steps):
        if isinstance(step, Binarize | Threshold):
            return take(rewrapped(part, steps[:position]), len(batch[0]))[0]
    return seen(batch[0], part)


def seen(x: Tensor, part: Part) -> Tensor:
    """Data of the model's, ``(n, ...)``, as images."""
    return undo(x, part.transform)


def pairs(run: Fit, part: Part, count: int, seed: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Two batches of data to walk between, of different labels where there are labels."""
    batch = take(part, min(len(part), 20 * count), seed)
    order = torch.randperm(len(batch[0]), generator=torch.Generator().manual_seed(seed)).tolist()
    labels = batch[1].tolist() if len(batch) > 1 and batch[1].ndim == 1 else list(order)
    starts: list[int] = []
    ends: list[int] = []
    while order and len(starts) < count:
        start = order.pop(0)
        other = next((i for i in order if labels[i] != labels[start]), None)
        if other is None:
            break
        order.remove(other)
        starts.append(start)
        ends.append(other)
    args = run.arguments(batch)
    return tuple(t[starts] for t in args), tuple(t[ends] for t in args)


def covariates(run: Fit, part: Part, count: int, seed: int) -> tuple[Tensor, ...]:
    """What follows x in so many data, from the first on and again, for a model that needs it."""
    found = take(part, max(1, count), seed)[1 : 1 + asked(run.model, 1)]
    return tuple(y[torch.arange(count) % len(y)] for y in found)


def is_drawn(run: Fit) -> bool:
    """Whether samples are shown as draws: those of an autoregressive likelihood, whose mean is a blur."""
    return hasattr(getattr(run.model, "likelihood", None), "log_conditionals")


def _pictures(run: Fit, part: Part, bound: Bound, seed: int) -> Iterator[Picture]:
    yield "training", lambda: plots.training_curves(run.history)
    for site, kl in bound.kl_per_dimension.items():
        name = "kl" if len(bound.kl_per_dimension) == 1 else f"kl-{_file_name(site)}"
        yield name, functools.partial(plots.kl_per_dimension, kl)
    batch = take(part, _SCATTERED, seed)
    z = predict.embed(run, batch, batch_size=1000)
    if z.shape[1] >= 2 and len(z) >= 3:
        labels = batch[1] if len(batch) > 1 and batch[1].ndim == 1 else None
        yield "latent", lambda: plots.latent_scatter(z, labels, title="posterior means")
    shape = image_shape(part)
    if shape is None:
        return
    yield "samples", lambda: _samples(run, part, shape, seed)
    yield "reconstructions", lambda: _reconstructions(run, part, shape, seed)
    start, end = pairs(run, part, 6, seed)
    if len(start[0]):
        yield "interpolation", lambda: _interpolation(run, part, (start, end), shape)
    if z.shape[1] == 2:
        yield "manifold", lambda: _manifold(run, part, shape)


def _samples(run: Fit, part: Part, shape: Any, seed: int) -> Figure:
    given = covariates(run, part, 64, seed)
    x = predict.sample(run, 64, given=given, mean=not is_drawn(run), seed=seed)
    return plots.samples(seen(x, part), shape=shape, columns=16)


def _reconstructions(run: Fit, part: Part, shape: Any, seed: int) -> Figure:
    batch = take(part, 24, seed)
    x_hat = predict.reconstruct(run, batch, seed=seed)
    return plots.reconstructions(originals(part, batch), seen(x_hat, part), shape=shape, columns=12)


def _interpolation(run: Fit, part: Part, ends: Any, shape: Any) -> Figure:
    paths = predict.interpolate(run, *ends, steps=11)
    return plots.interpolation(grid(paths, part), shape=shape)


def _manifold(run: Fit, part: Part, shape: Any) -> Figure:
    plane = predict.manifold(run, steps=16)
    if min(shape[1:]) > 16:
        return plots.manifold(grid(plane.images, part), shape=shape)
    # So small images have no margins, and would run into each other edge to edge.
    return plots.samples(seen(plane.images.flatten(0, 1), part), shape=shape, columns=16)


def grid(x: Tensor, part: Part) -> Tensor:
    """Images behind two leading dimensions."""
    flat = seen(x.flatten(0, 1), part)
    return flat.reshape(*x.shape[:2], *flat.shape[1:])


def _file_name(site: str) -> str:
    return site.replace(os.sep, ".")
