"""Draws of counts at rates of any size, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

_NORMAL_FROM = 1e8
"""From this rate on a normal is drawn: its distribution function differs by less than 1e-4 from Poisson's."""


def poisson(rate: Tensor) -> Tensor:
    """Poisson draws, floats of whole value. ``torch.poisson`` alone overflows: from 1e19 on a CPU it is
    negative, and on a GPU its integers end at 4e9."""
    with torch.no_grad():
        many = (rate + rate.sqrt() * torch.randn_like(rate)).round()
        return torch.where(rate > _NORMAL_FROM, many, torch.poisson(rate.clamp(max=_NORMAL_FROM)))
