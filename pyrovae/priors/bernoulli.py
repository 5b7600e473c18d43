"""The prior of latent bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pyrovae.distributions import LogitBernoulli
from pyrovae.priors import _checks
from pyrovae.types import Distribution


class Bernoulli(nn.Module):
    r"""Independent bits.

    .. math:: p(z) = \prod_{i=1}^d \pi_i^{z_i} (1 - \pi_i)^{1 - z_i}

    Arguments:
        dim: the number of bits, d.
        probs: :math:`\pi`, between 0 and 1, the same for all, or where they start when they are learned.
        learn: whether the probabilities, one a bit, are learned, by their logits.

    Raises:
        ValueError: for a number of bits that isn't positive, or a probability that isn't between 0 and 1.

    References:
        Mnih and Gregor, 2014, Neural Variational Inference and Learning in Belief Networks,
        https://arxiv.org/abs/1402.0030

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> priors.Bernoulli(8)().log_prob(torch.ones(8))  # 8 ln(1/2)
        tensor(-5.5452)
    """

    logits: Tensor

    def __init__(self, dim: int, *, probs: float = 0.5, learn: bool = False) -> None:
        super().__init__()
        self.dim = _checks.size("priors.Bernoulli, dim", dim)
        self.probs = _checks.positive("priors.Bernoulli, probs", probs, below=1.0, remedy="Try 0.5.")
        self.learn = learn
        logits = torch.full((dim,), math.log(probs) - math.log1p(-probs))
        if learn:
            self.logits = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits)

    def forward(self) -> Distribution:
        return LogitBernoulli(self.logits).to_event(1)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, probs={self.probs:g}, learn={self.learn}"
