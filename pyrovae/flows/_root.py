"""The root that the way back through a tanh layer asks for."""

from __future__ import annotations

import torch
from torch import Tensor

NEWTON_STEPS = 10
"""From these guesses 8 leave nothing but rounding in float64, for any t and m from -0.999 to 2000."""


def root(t: Tensor, m: Tensor) -> Tensor:
    r"""The only solution of :math:`\alpha + m \tanh \alpha = t`, for m above -1; differentiable once.

    The left side is odd, and for :math:`\alpha > 0` convex (m < 0) or concave (m > 0). Both :math:`t - m` and
    :math:`t / (1 + m)` lie on that side of the root from which Newton's steps go straight to it, so that none
    is too long. The last step is taken by autograd: its derivative is the implicit one.
    """
    with torch.no_grad():
        size = t.abs()
        guesses = (size - m, size / (1 + m))
        a = torch.where(m < 0, torch.minimum(*guesses), torch.maximum(*guesses))
        for _ in range(NEWTON_STEPS):
            h = a.tanh()
            a = a - (a + m * h - size) / (1 + m * (1 - h.square()))
        a = torch.where(t < 0, -a, a)
        h = a.tanh()
        steepness = 1 + m * (1 - h.square())
    return a - (a + m * h - t) / steepness
