"""The process's random generators, saved, restored and borrowed; and private ones made from a key."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_of(*key: int | str) -> int:
    """A 63-bit seed for a key such as ``("order", seed, epoch)``: near keys give unrelated seeds.

    Example:
        >>> seed_of("order", 0, 1) == seed_of("order", 0, 1), seed_of("order", 0, 1) == seed_of("order", 1, 0)
        (True, False)
    """
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator seeded by a key."""
    return torch.Generator().manual_seed(seed_of(*key))


def state(device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state of torch's generators (CPU and ``device``), NumPy's and Python's."""
    device = torch.device(device)
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the process's own)
    saved: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "python": random.getstate(),
    }
    if device.type == "cuda":
        saved["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        saved["device"] = torch.mps.get_rng_state()
    return saved


def restore(saved: dict[str, Any], device: torch.device | str = "cpu") -> None:
    """Puts the generators back to a :func:`state`; what is of another kind of device is passed over."""
    device = torch.device(device)
    torch.set_rng_state(saved["torch"])
    name, keys, *rest = saved["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(saved["python"])
    if "device" in saved and device.type == "cuda":
        torch.cuda.set_rng_state(saved["device"], device)
    elif "device" in saved and device.type == "mps":
        torch.mps.set_rng_state(saved["device"])


@contextmanager
def isolated(device: torch.device | str = "cpu", seed: int | None = None) -> Iterator[None]:
    """Runs a block and puts the generators of the process (torch's on CPU and ``device``) back after it.

    With a ``seed`` torch's generators start the block from it; only those of the CPU and ``device`` are
    seeded, which ``torch.manual_seed`` would not keep to.
    """
    device = torch.device(device)
    before = state(device)
    try:
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            elif device.type == "mps":
                torch.mps.manual_seed(seed)
        yield
    finally:
        restore(before, device)
