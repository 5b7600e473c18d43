"""Data by name or path, split reproducibly into training, validation and test parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.data.catalogue import CATALOGUE, NAMES, Arrays, Source, celeba
from pyrovae.data.files import ARRAYS, read
from pyrovae.data.lazy import LazyData
from pyrovae.data.memory import Data
from pyrovae.data.transforms import Flatten, Pixels, chained
from pyrovae.errors import explain, nearest
from pyrovae.randomness import generator


class Splits(NamedTuple):
    """The three parts of a data set: :class:`Data`, or :class:`LazyData` for what memory can't hold."""

    train: Data | LazyData
    validation: Data | LazyData
    test: Data | LazyData

    @property
    def source(self) -> dict[str, Any]:
        """The arguments of :func:`load`, all but the transform, that make these splits again; JSON-able."""
        return {name: value for name, value in (self.train.source or {}).items() if name != "part"}

    def then(self, transform: Callable[[Tensor], Tensor]) -> Splits:
        """The same splits under one more transform, for one that is read from the training data.

        Example:
            >>> from pyrovae.data import Standardize, load
            >>> digits = load("digits", flatten=True)
            >>> digits = digits.then(Standardize.of(digits.train.transformed()))
            >>> bool(digits.train.transformed().std() > 0.8)
            True
        """
        return Splits(*(part.then(transform) for part in self))


def load(
    name: str | Path,
    *,
    root: str | Path | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    flatten: bool = False,
    splits: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    download: bool = True,
    missing: bool = False,
) -> Splits:
    """A data set by name, or the user's own by path, in three parts that are disjoint and cover it.

    Names: ``digits`` (inside scikit-learn, no network), ``mnist``, ``fashionmnist``, ``kmnist``, ``emnist``
    (balanced), ``omniglot`` (28 x 28), ``cifar10``, ``svhn``, ``celeba`` (64 x 64, read from disk) and
    ``freyfaces``. Paths: a ``.npy``, ``.npz`` or ``.pt`` file or a folder of images. Images are kept as bytes
    ``(n, C, H, W)`` under :class:`Pixels`; digits, and files of other numbers, are floating as they are.

    Arguments:
        root: where data sets lie and are downloaded to, in torchvision's layout; by default the environment
            variable ``PYROVAE_DATA``, or else ``~/.cache/pyrovae``.
        transform: what comes after ``Pixels`` and ``Flatten`` at every use of a batch.
        flatten: whether a datum is a vector.
        splits: the shares of training, validation and test data. An official test set stays the test set, and
            the second number is then the share of the training set that validates. CelebA keeps its three
            official parts.
        seed: which random split; the global generators play no part.
        download: whether what is not there may be downloaded.
        missing: whether NaN in a file's ``x`` marks entries that are missing (:class:`pyrovae.heads.Masked`);
            without it NaN is refused.

    Raises:
        FileNotFoundError: the data are not there and were not or could not be downloaded.
        TypeError, ValueError: an unknown name, shares that don't divide the data, a file that can't be read
            safely, or data that :class:`Data` refuses.

    Example:
        >>> from pyrovae.data import Binarize, load
        >>> digits = load("digits", flatten=True, transform=Binarize())
        >>> len(digits.train), len(digits.validation), len(digits.test), digits.train.shape
        (1437, 180, 180, torch.Size([64]))
        >>> sorted(digits.source)
        ['flatten', 'missing', 'name', 'root', 'seed', 'splits']
    """
    shares = _checked_shares(splits)
    _check_seed(seed)
    known, place = _resolve(name), _root(root)
    source = {
        "name": str(known),
        "root": None if root is None else str(root),
        "flatten": flatten,
        "splits": shares,
        "seed": seed,
        "missing": missing,
    }
    if known == "celeba":
        return _lazy(celeba(place, download), flatten, transform, source)
    found = (
        CATALOGUE[known](place, download)
        if isinstance(known, str)
        else Source(Arrays(*read(known, missing=missing)), None)
    )
    parts = split(found, shares, seed)
    x = parts["train"].x
    chain = _chain(x, flatten, transform)
    return Splits(
        **{
            part: Data(*parts[part], chain, source={**source, "part": part}, missing=missing)
            for part in parts
        }
    )


def split(found: Source, shares: Sequence[float], seed: int) -> dict[str, Arrays]:
    """A data set in its three parts, each in the order of the source."""
    size = found.train.x.shape[0]
    held_out = [round(size * shares[1])] + ([round(size * shares[2])] if found.test is None else [])
    sizes = [size - sum(held_out), *held_out]
    if min(sizes) < 1:
        raise ValueError(
            explain(
                "splits",
                expected="at least one datum in each part",
                got=f"{sizes} of {size} data",
                remedy="Give larger shares, or more data.",
            )
        )
    order = torch.randperm(size, generator=generator("split", seed))
    rows = dict(zip(("train", "validation", "test"), torch.split(order, sizes), strict=False))
    parts = {part: _rows(found.train, row.sort().values) for part, row in rows.items()}
    return parts if found.test is None else {**parts, "test": found.test}


def _rows(arrays: Arrays, index: Tensor) -> Arrays:
    return Arrays(
        arrays.x.index_select(0, index), None if arrays.y is None else arrays.y.index_select(0, index)
    )


def _chain(
    x: Tensor, flatten: bool, transform: Callable[[Tensor], Tensor] | None
) -> Callable[[Tensor], Tensor] | None:
    """Bytes to the unit interval, then vectors where they are wanted, then the user's transform."""
    return chained(
        Pixels() if x.dtype == torch.uint8 else None,
        Flatten(shape=list(x.shape[1:])) if flatten and x.ndim != 2 else None,
        transform,
    )


def _lazy(
    raw: dict[str, Any], flatten: bool, transform: Callable[[Tensor], Tensor] | None, source: dict[str, Any]
) -> Splits:
    chain = _chain(raw["train"][0][0].unsqueeze(0), flatten, transform)
    return Splits(**{part: LazyData(raw[part], chain, source={**source, "part": part}) for part in raw})


def _resolve(name: str | Path) -> str | Path:
    """A known name in its plain spelling, or an absolute path."""
    plain = str(name).lower().replace("-", "").replace("_", "")
    if isinstance(name, str) and plain in NAMES:
        return plain
    path = Path(name).expanduser()
    if isinstance(name, Path) or path.suffix in ARRAYS or len(path.parts) > 1 or path.exists():
        return path.absolute()
    raise ValueError(
        explain(
            "data",
            expected="the name of a data set, or a path",
            got=repr(name),
            remedy=nearest(plain, NAMES),
        )
    )


def _root(root: str | Path | None) -> Path:
    """Where data sets lie: as asked, as PYROVAE_DATA says, or the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pyrovae"
    return Path(root or os.environ.get("PYROVAE_DATA") or cache).expanduser()


def _checked_shares(splits: Sequence[float]) -> list[float]:
    shares = [float(share) for share in splits]
    if len(shares) != 3 or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            explain(
                "splits",
                expected="three positive shares that sum to 1 (training, validation, test)",
                got=f"{tuple(splits)}",
                remedy="The default is (0.8, 0.1, 0.1).",
            )
        )
    return shares


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(
            explain("seed", expected="a whole number", got=repr(seed), remedy="0 is as good as any.")
        )
