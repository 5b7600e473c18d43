"""Data sets by name, each as bytes of images and labels, with the test set that its makers set apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrovae.data.files import read
from pyrovae.errors import explain


class Arrays(NamedTuple):
    """Images ``(n, C, H, W)`` and labels ``(n, ...)`` or None."""

    x: Tensor
    y: Tensor | None


class Source(NamedTuple):
    """What a data set comes with: data to train on, and an official test set or None."""

    train: Arrays
    test: Arrays | None


def _digits(_root: Path, _download: bool) -> Source:
    """1,797 real scans of 8 x 8, values 0..16 divided by 16 (Alpaydin and Kaynak), from scikit-learn."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    scans = load_digits()
    x = torch.tensor(scans.images, dtype=torch.get_default_dtype()).div_(16)
    return Source(Arrays(x.unsqueeze(1), torch.tensor(scans.target, dtype=torch.long)), None)


def _mnist_like(name: str) -> Callable[[Path, bool], Source]:
    def make(root: Path, download: bool) -> Source:
        return Source(*(_gray(torchvision_set(name, root, download, train=train)) for train in (True, False)))

    return make


def _emnist(root: Path, download: bool) -> Source:
    """The balanced split, 47 classes. Its files hold the images transposed; here they stand upright."""
    parts = (
        torchvision_set("EMNIST", root, download, split="balanced", train=train) for train in (True, False)
    )
    return Source(*(Arrays(x.transpose(2, 3).contiguous(), y) for x, y in map(_gray, parts)))


def _omniglot(root: Path, download: bool) -> Source:
    """Alphabets of the background set to train on, of the evaluation set to test on; 28 x 28, ink is 255."""
    parts = (torchvision_set("Omniglot", root, download, background=part) for part in (True, False))
    return Source(*map(_shrunk, parts))


def _cifar10(root: Path, download: bool) -> Source:
    def arrays(data: Any) -> Arrays:
        return Arrays(
            torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets)
        )

    return Source(*(arrays(torchvision_set("CIFAR10", root, download, train=part)) for part in (True, False)))


def _svhn(root: Path, download: bool) -> Source:
    def arrays(data: Any) -> Arrays:
        return Arrays(torch.tensor(data.data), torch.tensor(data.labels, dtype=torch.long))

    return Source(
        *(arrays(torchvision_set("SVHN", root, download, split=part)) for part in ("train", "test"))
    )


def _freyfaces(root: Path, _download: bool) -> Source:
    """1,965 frames of one face, 28 x 20 (Roweis and Saul, 2000), as ``.npz`` or the original ``.mat``."""
    folder = root / "freyfaces"
    if (folder / "freyfaces.npz").exists():
        return Source(Arrays(*read(folder / "freyfaces.npz")), None)
    for path in (folder / "frey_rawface.mat", root / "frey_rawface.mat"):
        if path.exists():
            return Source(Arrays(_frey_matrix(path), None), None)
    raise FileNotFoundError(
        explain(
            "freyfaces",
            expected=f"{folder / 'freyfaces.npz'} (key 'images', bytes (1965, 28, 20)) or "
            f"{folder / 'frey_rawface.mat'}",
            got="neither",
            remedy="There is no official address to rely on: take frey_rawface.mat from Sam Roweis' page "
            "(https://cs.nyu.edu/~roweis/data.html) or a mirror, and put it there, or set root= or "
            "PYROVAE_DATA.",
        )
    )


def _frey_matrix(path: Path) -> Tensor:
    from scipy.io import loadmat  # type: ignore[import-untyped]

    try:
        faces = loadmat(path)["ff"]
        return torch.tensor(np.ascontiguousarray(faces.T.reshape(-1, 1, 28, 20)), dtype=torch.uint8)
    except Exception as error:  # scipy raises many kinds for a file that is not MATLAB's
        raise ValueError(
            explain(
                str(path),
                expected="the MATLAB file of the Frey faces, a matrix 'ff' of 560 x 1965 bytes",
                got=f"{type(error).__name__}: {error}",
                remedy="Download it again.",
            )
        ) from error


def celeba(root: Path, download: bool) -> dict[str, Dataset[Any]]:
    """CelebA's official parts, read from disk: cropped to 148 x 148, resized to 64 x 64; 40 attributes."""
    from torchvision import transforms  # type: ignore[import-untyped]

    crop = transforms.Compose(
        [transforms.CenterCrop(148), transforms.Resize(64, antialias=True), transforms.PILToTensor()]
    )
    parts = {"train": "train", "validation": "valid", "test": "test"}
    return {
        name: torchvision_set("CelebA", root, download, split=part, transform=crop)
        for name, part in parts.items()
    }


def torchvision_set(kind: str, root: Path, download: bool, **options: Any) -> Any:
    """A data set of torchvision, or an error that says where it was looked for and what to do.

    Raises:
        FileNotFoundError: it is not there, and was not or could not be downloaded.
        ValueError: it is there and can't be read.
    """
    from torchvision import datasets

    try:
        return getattr(datasets, kind)(str(root), download=download, **options)
    except (RuntimeError, OSError, ImportError) as error:
        remedy = (
            "The download failed: check the network, or put the files there by hand in torchvision's layout"
            if download
            else "Allow the download (download=True), put the files there in torchvision's layout"
        )
        raise FileNotFoundError(
            explain(
                kind,
                expected=f"its files under {root}",
                got=f"{type(error).__name__}: {' '.join(str(error).split())}",
                remedy=f"{remedy}, or set root= or the environment variable PYROVAE_DATA to where they are.",
            )
        ) from error
    except Exception as error:  # whatever a reader of a broken file raises, asserts included
        raise ValueError(
            explain(
                kind,
                expected=f"files under {root} that torchvision can read",
                got=f"{type(error).__name__}: {error}",
                remedy="Remove them and download again.",
            )
        ) from error


def _gray(data: Any) -> Arrays:
    return Arrays(data.data.unsqueeze(1), data.targets.long())


def _shrunk(data: Any) -> Arrays:
    """Omniglot's black ink on white, 105 x 105, as white on black of 28 x 28, as the literature has it."""
    from PIL import Image

    x = np.empty((len(data), 1, 28, 28), dtype=np.uint8)
    y = torch.empty(len(data), dtype=torch.long)
    for position in range(len(data)):
        image, label = data[position]
        x[position, 0] = 255 - np.asarray(image.convert("L").resize((28, 28), Image.Resampling.BILINEAR))
        y[position] = label
    return Arrays(torch.from_numpy(x), y)


CATALOGUE: dict[str, Callable[[Path, bool], Source]] = {
    "digits": _digits,
    "mnist": _mnist_like("MNIST"),
    "fashionmnist": _mnist_like("FashionMNIST"),
    "kmnist": _mnist_like("KMNIST"),
    "emnist": _emnist,
    "omniglot": _omniglot,
    "cifar10": _cifar10,
    "svhn": _svhn,
    "freyfaces": _freyfaces,
}
"""Name to maker; CelebA, which does not fit in memory, is made by :func:`celeba`."""

NAMES = (*CATALOGUE, "celeba")
"""All names that can be loaded."""
