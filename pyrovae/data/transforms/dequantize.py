"""Discrete gray values as continuous ones, so that a density may be fitted to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrovae.data.transforms.base import Transform
from pyrovae.data.transforms.ranges import require_floating, require_unit_interval
from pyrovae.errors import explain


@dataclass(frozen=True)
class Dequantize(Transform):
    r"""Uniform dequantisation: every grid value spread over its own cell of [0, 1).

    .. math::
        y = \frac{(L - 1)\, x + u}{L}, \qquad u \sim \mathcal U[0, 1)^d, \qquad
        x \in \{0, \tfrac{1}{L - 1}, \dots, 1\}^d

    A density :math:`p` on :math:`y` gives the grid the probabilities :math:`P(x) = \int p(y)\,dy` over the
    cell of :math:`x`, of volume :math:`L^{-d}`, and by Jensen

    .. math::
        \log P(x) \;\ge\; \mathbb E_u[\log p(y)] - d \log L \quad \text{nats per datum},

    so a continuous model's log density less :math:`d \log L` is comparable with a discrete model's.
    The noise comes from the global generator of the batch's device, and keeps a few units of rounding away
    from the ends of the cell so that no value of the sum falls into the next one.

    Arguments:
        levels: :math:`L`, how many values the grid has; 256 for bytes.

    Raises:
        TypeError: the data are not floating.
        ValueError: (by ``check``) values outside [0, 1] or off the grid; fewer than two levels.

    References:
        Theis, van den Oord and Bethge, 2016, A Note on the Evaluation of Generative Models,
        https://arxiv.org/abs/1511.01844

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from pyrovae.data import Pixels
        >>> dequantize = Dequantize(levels=256)
        >>> x = Pixels()(torch.tensor([[0, 7, 255]], dtype=torch.uint8))
        >>> torch.equal(dequantize.inverse(dequantize(x)), x)
        True
    """

    levels: int = 256

    def __post_init__(self) -> None:
        if isinstance(self.levels, bool) or not isinstance(self.levels, int) or self.levels < 2:
            raise ValueError(
                explain(
                    "Dequantize.levels",
                    expected="a whole number of at least 2",
                    got=repr(self.levels),
                    remedy="Bytes have 256 levels.",
                )
            )

    def __call__(self, x: Tensor) -> Tensor:
        require_floating("Dequantize", x)
        margin = 2 * self.levels * torch.finfo(x.dtype).eps
        noise = torch.rand_like(x).mul_(1 - 2 * margin).add_(margin)
        return noise.add_((x * (self.levels - 1)).round_()).div_(self.levels)

    def check(self, x: Tensor) -> None:
        require_unit_interval("Dequantize", x)
        steps = x * (self.levels - 1)
        off = (steps - steps.round()).abs().max().item()
        if off > 1e-2:
            raise ValueError(
                explain(
                    "Dequantize",
                    expected=f"multiples of 1/{self.levels - 1}, the grid of {self.levels} levels",
                    got=f"values up to {off:.2f} steps off it",
                    remedy="Set levels= to the number of gray values that the data have.",
                )
            )

    def inverse(self, x: Tensor) -> Tensor:
        """The grid value of the cell that ``x`` lies in."""
        return (x * self.levels).floor().clamp(0, self.levels - 1) / (self.levels - 1)
