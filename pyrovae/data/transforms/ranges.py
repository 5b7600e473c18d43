"""Checks of dtype and range that several transforms share."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrovae.errors import explain


def require_floating(where: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(
            explain(
                where,
                expected="floating data",
                got=f"{x.dtype}",
                remedy="Put Pixels() before it for bytes of images, or convert with x.float().",
            )
        )


def require_unit_interval(where: str, x: Tensor) -> None:
    require_floating(where, x)
    low, high = (end.item() for end in torch.aminmax(x))
    if not (low >= 0 and high <= 1):
        raise ValueError(
            explain(
                where,
                expected="values in [0, 1]",
                got=f"values from {low:.4g} to {high:.4g}",
                remedy="Divide gray values by their largest (bytes: Pixels() does), then transform.",
            )
        )
