"""How numbers are computed while steps run: denormals flushed on the CPU, and coarser formats on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from pyrovae.errors import explain, nearest

Precision = Literal["float32", "tf32", "bf16"]

_SMALLEST = 5e-324


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Takes denormal numbers for zero on this thread's CPU arithmetic, and leaves the setting as it was.

    They come up by the thousand in importance weights and in Adam's moments, and cost a hundred times as much
    as other numbers: without it the eager step of an IWAE slows down to half its speed within 500 steps.
    Threads that torch has already started keep their setting; a script that uses several calls
    ``torch.set_flush_denormal(True)`` before its first operation.
    """
    if _flushing():
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _flushing() -> bool:
    """Python computes by the same registers."""
    return _SMALLEST * 1.0 == 0.0


@contextmanager
def precision(name: Precision, device: torch.device) -> Iterator[None]:
    """Computes matrix products in a coarser format, and leaves the process's settings as they were.

    Arguments:
        name: "float32"; "tf32", on GPUs that have it: inputs of products rounded to 10 bits of mantissa;
            "bf16": products, and what autocast counts among them, in bfloat16, parameters still in float32.
        device: where the programs run.
    """
    if name == "bf16":
        # Without a cache of cast weights, which would outlive the optimiser's step.
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            yield
    elif name == "tf32":
        before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
            torch.backends.cudnn.allow_tf32 = convolutions
    else:
        yield


def check_precision(name: Precision) -> None:
    """Refuses what is no precision.

    Raises:
        ValueError: naming those there are.
    """
    if name not in get_args(Precision):
        raise ValueError(
            explain(
                "precision",
                expected=" or ".join(map(repr, get_args(Precision))),
                got=repr(name),
                remedy=nearest(str(name), get_args(Precision)),
            )
        )
