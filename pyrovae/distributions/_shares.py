"""How near to zero a share of a whole may come, where logarithms of it are taken."""

from __future__ import annotations

import torch
from torch import Tensor


def above_zero(share: Tensor) -> Tensor:
    """Shares of 1e-28 (in float32) or more: of smaller ones the gradient of a logarithm would overflow."""
    return share.clamp(min=torch.finfo(share.dtype).tiny ** 0.75)
