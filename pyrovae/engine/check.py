"""Whether a graph gives what eager Pyro gives: the two, run from the same state, compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 5e-2}


def difference(ours: Sequence[Tensor], eager: Sequence[Tensor]) -> float:
    """The largest difference between two lists of results, relative to the size of what they are.

    Each tensor is measured against its own largest entry; one that is (nearly) zero beside all others, whose
    entries are rounding errors, against a thousandth of theirs. NaN equals NaN. A loss may be of another
    precision: eager Pyro adds its terms up as Python numbers.
    """
    scales = [_largest(x) for x in eager]
    overall = max(scales, default=0.0)
    worst = 0.0
    for graph, y, scale in zip(ours, eager, scales, strict=True):
        x = graph.to(y.dtype)
        if x.shape != y.shape or x.is_floating_point() != y.is_floating_point():
            return float("inf")
        if not x.numel() or torch.equal(x, y):
            continue
        same = (x == y) | (x.isnan() & y.isnan()) if x.is_floating_point() else x == y
        gap = torch.where(same, torch.zeros_like(x), (x - y)).abs().max().item()
        worst = max(worst, gap / max(scale, 1e-3 * overall, 1e-30) if gap == gap else float("inf"))
    return worst


def tolerance(tensors: Sequence[Tensor]) -> float:
    """How far two orders of the same sums may differ, by the coarsest type among the tensors."""
    return max((_TOLERANCE.get(x.dtype, 0.0) for x in tensors), default=0.0)


def _largest(x: Tensor) -> float:
    finite = x.detach()[torch.isfinite(x)] if x.is_floating_point() else x
    return finite.abs().max().item() if finite.numel() else 0.0
