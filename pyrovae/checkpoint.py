"""Checkpoint files: trees of tensors and plain data in one safetensors file, written whole or not at all.

A tree is made of dictionaries, lists, tuples, tensors, strings, numbers, booleans and None: what optimisers,
schedulers and random generators give as their state. The tensors go into the safetensors body, the rest as
JSON into its header, with a SHA-256 digest over both. Reading one executes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from pyrovae.errors import explain

_FORMAT = 1
_KEY = "pyrovae"


def write(path: Path, tree: Any, *, kind: str) -> None:
    """Writes a tree; a file that was there before is replaced only by one that is complete.

    Arguments:
        tree: what to keep.
        kind: what the file is for, ``"weights"`` or ``"training"``; :func:`read` asks for it again.

    Raises:
        TypeError: for something in the tree that is neither a tensor nor plain data.
        OSError: when the disk is full or the folder can't be written; the earlier file is untouched.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(Path(folder) / "a.safetensors", {"w": torch.ones(2), 3: (1, None)}, kind="weights")
        ...     read(Path(folder) / "a.safetensors", kind="weights")
        {'w': tensor([1., 1.]), 3: (1, None)}
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps({"format": _FORMAT, "kind": kind, "tree": _encode(tree, tensors)})
    metadata = {_KEY: text, "sha256": _digest(tensors, text)}
    replace(path, to_bytes(tensors, metadata=metadata))


def read(path: Path, *, kind: str) -> Any:
    """The tree in a file, tensors on the CPU.

    Raises:
        FileNotFoundError: when there is none.
        ValueError: when the file is truncated, was changed after it was written, is of another kind or was
            not written by pyrovae.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            explain(str(path), expected="a checkpoint", got="no such file", remedy="Check the run's folder.")
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise _refused(path, "a complete safetensors file", str(error)) from error
    text = metadata.get(_KEY)
    if text is None:
        raise _refused(path, "a checkpoint that pyrovae has written", "a safetensors file of other origin")
    if metadata.get("sha256") != _digest(tensors, text):
        raise _refused(path, "contents that fit the file's digest", "contents that were changed since")
    head = json.loads(text)
    if head.get("format") != _FORMAT:
        raise _refused(path, f"checkpoint format {_FORMAT}", f"format {head.get('format')}")
    if head.get("kind") != kind:
        raise _refused(path, f"a checkpoint of {kind}", f"one of {head.get('kind')}")
    return _decode(head["tree"], tensors)


def replace(path: Path, content: bytes) -> None:
    """Writes a file in full beside its place, then moves it there in one step.

    Raises:
        OSError: when it can't be written; the earlier file, if there was one, is untouched.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise OSError(
            error.errno,
            explain(
                str(path),
                expected=f"room and permission to write {len(content):,} bytes",
                got=error.strerror or str(error),
                remedy="Free the disk or choose another folder; what was written before is intact.",
            ),
        ) from error


def _refused(path: Path, expected: str, got: str) -> ValueError:
    return ValueError(
        explain(str(path), expected=expected, got=got, remedy="The file is refused; nothing in it was run.")
    )


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    return hashlib.sha256(to_bytes(tensors) + text.encode()).hexdigest()


def _encode(item: Any, tensors: dict[str, Tensor]) -> Any:
    """Plain JSON for a tree, its tensors moved to ``tensors`` under running names."""
    if isinstance(item, Tensor):
        name = f"{len(tensors):06d}"
        tensors[name] = item.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"$tensor": name}
    if item is None or isinstance(item, bool | int | float | str):
        return item
    if isinstance(item, list):
        return [_encode(value, tensors) for value in item]
    if isinstance(item, tuple):
        return {"$tuple": [_encode(value, tensors) for value in item]}
    if isinstance(item, dict):
        return {"$items": [[_encode(k, tensors), _encode(v, tensors)] for k, v in item.items()]}
    raise TypeError(
        explain(
            "checkpoint",
            expected="tensors, numbers, strings, None, and lists, tuples and dictionaries of them",
            got=f"{type(item).__name__}: {item!r:.80}",
            remedy="An optimiser or scheduler with such a state can't be resumed; choose another.",
        )
    )


def _decode(item: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(item, list):
        return [_decode(value, tensors) for value in item]
    if not isinstance(item, dict):
        return item
    ((mark, content),) = item.items()
    if mark == "$tensor":
        return tensors[content]
    if mark == "$tuple":
        return tuple(_decode(value, tensors) for value in content)
    return {_decode(key, tensors): _decode(value, tensors) for key, value in content}
