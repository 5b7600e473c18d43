"""The data of a command: loaded, made into vectors or images, and transformed as asked or as suits them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from pyrovae.cli.building import build
from pyrovae.cli.options import DataOptions, SizeOptions
from pyrovae.cli.parts import described
from pyrovae.cli.references import References, is_reference
from pyrovae.data import Chain, Data, Flatten, LazyData, Pixels, Splits, Standardize, load
from pyrovae.errors import explain, nearest
from pyrovae.spec import describe

Part: TypeAlias = Data | LazyData
Transform: TypeAlias = Callable[[Tensor], Tensor]

GRAY = ("digits", "mnist", "fashionmnist", "kmnist", "emnist", "omniglot")
"""Data sets of gray images that the literature binarises."""

SHORT = {
    "binarize": "pyrovae.data.Binarize",
    "threshold": "pyrovae.data.Threshold",
    "dequantize": "pyrovae.data.Dequantize",
    "standardize": "pyrovae.data.Standardize",
}
"""The transforms that go by a short name."""

_MANY = 2000
"""How many data are looked at where all of them would be too many."""


class Covariates(NamedTuple):
    """What follows ``x`` in the data, as networks read it.

    Attributes:
        width: how many numbers a datum has of it, labels one-hot.
        classes: how many labels there are; None where it is numbers.
    """

    width: int
    classes: int | None


class Facts(NamedTuple):
    """What the default model needs to know of the data.

    Attributes:
        net: the kind of networks: "mlp" for vectors, "conv" for images, "recurrent" for sequences.
        shape: of a datum as the model sees it.
        image: ``(C, H, W)`` where the data are images.
        binary: whether all values are 0 or 1.
        missing: whether some values may be NaN.
        covariates: what follows ``x``, if anything does.
    """

    net: str
    shape: tuple[int, ...]
    image: tuple[int, ...] | None
    binary: bool
    missing: bool
    covariates: Covariates | None


class Loaded(NamedTuple):
    """Data ready for a model, and the description of the transform that was chosen."""

    splits: Splits
    facts: Facts
    transform: list[Any]


def load_data(
    options: DataOptions, sizes: SizeOptions, seed: int, references: References, *, missing: bool = False
) -> Loaded:
    """The data that the options ask for.

    Arguments:
        missing: whether the model takes NaN for what is missing.

    Raises:
        ValueError, TypeError, FileNotFoundError: as :func:`pyrovae.data.load`, and for an unknown transform.
    """
    raw = load(
        options.data,
        root=options.root,
        splits=options.splits,
        seed=seed,
        download=options.download,
        missing=missing,
    )
    shape = tuple(raw.train.shape)
    image = shape if len(shape) == 3 else None
    net = _kind(sizes.net, shape)
    flatten = net == "mlp"
    steps: list[Transform] = list(steps_of(raw.train.transform))
    if flatten and len(shape) != 1:
        steps.append(Flatten(shape=list(shape)))
    chosen = _chosen(options.transform, raw.train)
    descriptions: list[Any] = []
    for position, item in enumerate(chosen):
        step, description = _step(item, position, rewrapped(raw.train, steps), references)
        steps.append(step)
        descriptions.append(description)
    splits = Splits(*(rewrapped(part, steps, flatten=flatten) for part in raw))
    (x, *_) = take(splits.train, _MANY)
    facts = Facts(
        net,
        tuple(x.shape[1:]),
        image,
        binary=_is_binary(x),
        missing=missing,
        covariates=_covariates(splits),
    )
    return Loaded(splits, facts, descriptions)


def rewrapped(part: Part, steps: Sequence[Transform], **source: Any) -> Part:
    """The same data under another transform."""
    chain = Chain(list(steps)) if len(steps) > 1 else steps[0] if steps else None
    known = None if part.source is None else {**part.source, **source}
    if isinstance(part, LazyData):
        return LazyData(part.raw, chain, source=known)
    return Data(part.x, part.y, chain, source=known, missing=part.missing)


def take(part: Part, count: int, seed: int = 0) -> tuple[Tensor, ...]:
    """The first few data as tensors, transformed with noise of the seed."""
    few = first(part, count)
    return (few.transformed(seed), *few.tensors[1:])


def first(part: Part, count: int) -> Data:
    """The first few data, in memory."""
    index = range(min(count, len(part)))
    return part.read(index) if isinstance(part, LazyData) else part.subset(index)


def undo(x: Tensor, transform: Transform | None) -> Tensor:
    """Data of the model's as one can look at them: the transforms undone from the last one on.

    It ends at the first that can't be undone: what was binarised is looked at as zeros and ones.
    """
    for step in reversed(steps_of(transform)):
        if not getattr(step, "invertible", False):
            break
        x = step.inverse(x)  # type: ignore[attr-defined]
    return x


def image_shape(part: Part) -> tuple[int, int, int] | None:
    """``(C, H, W)`` of a datum that is an image, before it was flattened."""
    raw = part.x.shape[1:] if isinstance(part, Data) else part.raw[0][0].shape
    return (raw[0], raw[1], raw[2]) if len(raw) == 3 and raw[0] in (1, 3) else None


def sentence(name: str, loaded: Loaded) -> str:
    """What the data are and how they are transformed, in one line."""
    sizes = [f"{len(part):,}" for part in loaded.splits]
    shape = " x ".join(map(str, loaded.facts.image or loaded.facts.shape))
    paths = [item["class_path"] if isinstance(item, dict) else str(item) for item in loaded.transform]
    how = ", ".join(re.split(r"[.:]", path)[-1] for path in paths) or "as they are"
    return f"data   {name}: {sizes[0]} to train, {sizes[1]} to validate, {sizes[2]} to test; {shape}; {how}"


def steps_of(transform: Transform | None) -> list[Transform]:
    """The transforms of a chain, or the one transform, or none."""
    if transform is None:
        return []
    return list(transform.transforms) if isinstance(transform, Chain) else [transform]


def _kind(net: str, shape: tuple[int, ...]) -> str:
    """The kind of networks for data of a shape: the one that is asked for, or the one that suits them."""
    wanted = {
        "conv": (3, "images, data of shape (C, H, W)"),
        "recurrent": (2, "sequences, data of shape (T, D)"),
    }
    for kind, (dims, what) in wanted.items():
        if net == kind and len(shape) != dims:
            raise ValueError(
                explain(
                    f"--net {kind}",
                    expected=what,
                    got=f"data of shape {shape}",
                    remedy="Take --net mlp.",
                )
            )
    if net != "auto":
        return net
    is_large = len(shape) == 3 and (shape[0] == 3 or prod(shape[1:]) > 32 * 32)
    return "conv" if is_large else "mlp"


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1) | x.isnan()).all())


def _covariates(splits: Splits) -> Covariates | None:
    """What follows ``x``; labels are counted in all parts, for a rare one may be in one part alone."""
    given = [y for part in splits if isinstance(part, Data) and (y := part.y) is not None]
    if not given or given[0].ndim > 2:
        return None
    if given[0].is_floating_point():
        return Covariates(1 if given[0].ndim == 1 else given[0].shape[1], None)
    if given[0].ndim > 1:
        return None
    classes = max(int(y.max()) for y in given) + 1
    return Covariates(classes, classes)


def _chosen(given: Any, train: Part) -> list[Any]:
    """The transforms that were asked for, or those that suit the data."""
    if given in ("none", None, []):
        return []
    if given != "auto":
        return list(given) if isinstance(given, list) else [given]
    if (train.source or {}).get("name") in GRAY:
        return ["binarize"]
    if any(isinstance(step, Pixels) for step in steps_of(train.transform)):
        return ["dequantize"]
    (x, *_) = take(train, _MANY)
    return [] if _is_binary(x) else ["standardize"]


def _step(item: Any, position: int, so_far: Part, references: References) -> tuple[Transform, Any]:
    """One transform of the chain and its description."""
    where = f"transform.{position}"
    description = described(item)
    path = description.get("class_path", "")
    if path in SHORT:
        description = {**description, "class_path": SHORT[path]}
    elif not is_reference(path):
        raise ValueError(
            explain(
                "--transform",
                expected="auto, none, a class path, or a short name",
                got=repr(path or item),
                remedy=nearest(str(path), [*SHORT, "auto", "none"]),
            )
        )
    if description == {"class_path": SHORT["standardize"]}:
        (x, *_) = take(so_far, _MANY if isinstance(so_far, LazyData) else len(so_far))
        standardize = Standardize.of(x)
        return standardize, describe(standardize)
    step: Transform = build(description, references, where)
    if not callable(step) or isinstance(step, torch.Tensor):
        raise ValueError(
            explain("--transform", expected="a callable of a tensor", got=repr(step), remedy="Name another.")
        )
    return step, description
