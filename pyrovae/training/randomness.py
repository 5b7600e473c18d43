"""The random generators of the process: saved, restored, borrowed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyro
import torch


def state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that a program may draw from: torch (CPU and device), NumPy, Python."""
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 (the process's own)
    saved: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "python": random.getstate(),
    }
    if device.type in ("cuda", "mps"):
        saved["device"] = getattr(torch, device.type).get_rng_state()
    return saved


def restore(saved: dict[str, Any], device: torch.device) -> None:
    """Puts the generators back to a state from :func:`state`."""
    torch.set_rng_state(saved["torch"])
    name, keys, *rest = saved["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 (the process's own)
    random.setstate(saved["python"])
    if "device" in saved and device.type in ("cuda", "mps"):
        getattr(torch, device.type).set_rng_state(saved["device"])


@contextmanager
def borrowed(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """The generators are used inside, seeded if asked, and left as they were found."""
    before = state(device)
    try:
        if seed is not None:
            pyro.set_rng_seed(seed)
        yield
    finally:
        restore(before, device)
