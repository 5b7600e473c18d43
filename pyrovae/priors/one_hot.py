"""The prior of one choice among several, as a vector of a single one."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae.priors import _checks
from pyrovae.types import Distribution


class OneHot(nn.Module):
    r"""A choice among d; an event is a vector of zeros and a single one.

    .. math:: p(z = e_k) = \pi_k, \qquad \pi = \operatorname{softmax}(\ell)

    Arguments:
        dim: the number of choices, d, from 2 on.
        learn: whether the logits, one a choice, are parameters; they start at zero, where all choices are
            alike.

    Raises:
        ValueError: for fewer than two choices.

    References:
        Kingma, Rezende, Mohamed and Welling, 2014, Semi-supervised Learning with Deep Generative Models,
        https://arxiv.org/abs/1406.5298

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> priors.OneHot(4)().log_prob(torch.tensor([0.0, 0.0, 1.0, 0.0]))  # ln(1/4)
        tensor(-1.3863)
    """

    logits: Tensor

    def __init__(self, dim: int, *, learn: bool = False) -> None:
        super().__init__()
        self.dim, self.learn = _checks.size("priors.OneHot, dim", dim, least=2), learn
        if learn:
            self.logits = nn.Parameter(torch.zeros(dim))
        else:
            self.register_buffer("logits", torch.zeros(dim))

    def forward(self) -> Distribution:
        return dist.OneHotCategorical(logits=self.logits)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, learn={self.learn}"
