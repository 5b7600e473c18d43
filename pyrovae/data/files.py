"""The user's own files as tensors: arrays, read without running what may hide in them, and images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.tensors import as_tensor, require_finite, require_one_length
from pyrovae.errors import explain

ARRAYS = (".npy", ".npz", ".pt")
"""The endings of files of arrays."""

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_X_KEYS, _Y_KEYS = ("x", "images"), ("y", "labels")


def read(path: Path, *, missing: bool = False) -> tuple[Tensor, Tensor | None]:
    """``x`` and, where there are any, labels ``y``, from a file of arrays or a folder of images.

    ``.npy``: the array is ``x``. ``.npz`` and ``.pt`` with names: ``x`` (or ``images``, or the only one) and
    ``y`` (or ``labels``). ``.pt`` otherwise: a tensor, or a tuple ``(x, y)``. Pickled objects are refused,
    never loaded. A folder: its images, or its subfolders of images, whose sorted names are the labels
    0, 1, ....

    ``x`` of bytes is taken for images: ``(n, H, W)`` gains its channel, ``(n, H, W, 3)`` becomes
    ``(n, 3, H, W)``, and bytes that are all 0 or 1 become floating, as do other whole numbers.

    Arguments:
        missing: whether NaN in ``x`` is welcome, as the mark of an entry that is missing.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: an ending that is not known, or content that can't be read safely.
    """
    if not path.exists():
        raise FileNotFoundError(
            explain(
                "data",
                expected="a file or folder",
                got=f"nothing at {path}",
                remedy="Check the path, or give the name of a known data set.",
            )
        )
    if path.is_dir():
        return read_folder(path)
    if path.suffix not in ARRAYS:
        raise ValueError(
            explain(
                str(path),
                expected=f"a file that ends in {', '.join(ARRAYS)}, or a folder of images",
                got=f"{path.suffix!r}",
                remedy="Convert it, for example with numpy.save(path, array, allow_pickle=False).",
            )
        )
    x, y = _read_torch(path) if path.suffix == ".pt" else _read_numpy(path)
    found = {
        f"{path}, {name}": as_tensor(f"{path}, {name}", part)
        for name, part in (("x", x), ("y", y))
        if part is not None
    }
    require_one_length(found)
    for where, tensor in found.items():  # here, where a row is still a row of the file
        require_finite(where, tensor, missing=missing and where.endswith(", x"))
    x, *labels = found.values()
    return _as_data(x), labels[0] if labels else None


def _read_numpy(path: Path) -> tuple[Any, Any]:
    try:
        with path.open("rb") as file:  # NumPy leaves a file that it opened itself open after an error
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return content, None
            named = {name: content[name] for name in content.files}
    except Exception as error:  # a broken archive raises of many kinds, zlib's and zipfile's own included
        raise _unreadable(path, error) from error
    return _pick(path, named)


def _read_torch(path: Path) -> tuple[Any, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # as above: a broken file, or pickled objects that weights_only refuses
        raise _unreadable(path, error) from error
    if isinstance(content, Mapping):
        return _pick(path, {str(name): value for name, value in content.items()})
    if isinstance(content, tuple | list) and 1 <= len(content) <= 2:
        return content[0], content[1] if len(content) == 2 else None
    return content, None


def _pick(path: Path, named: dict[str, Any]) -> tuple[Any, Any]:
    """``x`` and, where there is one, ``y``, among the arrays of a file."""
    x = next((name for name in _X_KEYS if name in named), next(iter(named)) if len(named) == 1 else None)
    if x is None:
        raise ValueError(
            explain(
                str(path),
                expected=f"an array named {' or '.join(_X_KEYS)}, or a single one",
                got=f"{', '.join(sorted(named)) or 'none'}",
                remedy="Save the data under the name 'x', labels under 'y'.",
            )
        )
    return named[x], next((named[name] for name in _Y_KEYS if name in named and name != x), None)


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        explain(
            str(path),
            expected="arrays of numbers, complete and without pickled objects",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no content'}",
            remedy="Save numbers only (numpy.savez(path, x=..., y=...) or torch.save of tensors); pickled "
            "objects can run code and are not loaded.",
        )
    )


def _as_data(x: Tensor) -> Tensor:
    """Whole numbers as the nets want them: images as bytes (n, C, H, W), everything else floating."""
    if x.is_floating_point():
        return x
    if x.dtype == torch.uint8 and x.ndim == 3:
        x = x.unsqueeze(1)
    elif x.dtype == torch.uint8 and x.ndim == 4 and x.shape[3] == 3 and x.shape[1] not in (1, 3):
        x = x.permute(0, 3, 1, 2).contiguous()
    gray = x.dtype == torch.uint8 and int(x.max()) > 1
    return x if gray else x.to(torch.get_default_dtype())


def read_folder(folder: Path) -> tuple[Tensor, Tensor | None]:
    """The images of a folder as bytes ``(n, C, H, W)``: gray where all are gray, else red, green, blue.

    Raises:
        ValueError: no images, images beside subfolders of them, sizes that differ, 16 bits, a broken file.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGES and path.is_file())
    labels = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in paths]
    classes = sorted(set(labels))
    if not paths or (len(classes) > 1 and "" in classes):
        raise ValueError(
            explain(
                str(folder),
                expected="images, or subfolders of images that name their labels",
                got="images both beside subfolders and in them" if paths else "no image",
                remedy=f"Endings that are read: {', '.join(_IMAGES)}.",
            )
        )
    arrays = [_read_image(path) for path in paths]
    size = arrays[0].shape[:2]
    for path, array in zip(paths, arrays, strict=True):
        if array.shape[:2] != size:
            raise ValueError(
                explain(
                    str(path),
                    expected=f"an image of {size[0]} x {size[1]} as the first one, {paths[0].name}, is",
                    got=f"{array.shape[0]} x {array.shape[1]}",
                    remedy="Crop or resize all images to one size.",
                )
            )
    if any(array.ndim == 3 for array in arrays):
        colours = np.stack([array if array.ndim == 3 else np.stack([array] * 3, -1) for array in arrays])
        x = torch.from_numpy(colours).permute(0, 3, 1, 2).contiguous()
    else:
        x = torch.from_numpy(np.stack(arrays)).unsqueeze(1)
    return x, None if classes == [""] else torch.tensor([classes.index(label) for label in labels])


def _read_image(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One image as bytes, ``(H, W)`` where it is gray, ``(H, W, 3)`` where it has colours."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(
                    explain(
                        str(path),
                        expected="an image of 8 bits a channel",
                        got=f"mode {image.mode}",
                        remedy="Convert it, or save the values as a floating .npy.",
                    )
                )
            return np.array(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            explain(
                str(path),
                expected="an image that can be read",
                got=f"{type(error).__name__}: {error}",
                remedy="Remove or replace the file.",
            )
        ) from error
