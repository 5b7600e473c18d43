"""The Bernoulli head, by logits."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions import LogitBernoulli
from pyrovae.heads._outputs import check_event_dim, entries, joined
from pyrovae.types import Distribution


class Bernoulli:
    r"""Independent Bernoulli variables of which the network gives the logits.

    .. math::
        \mathrm{head}(t) = \prod_i \mathrm{Bernoulli}\big(x_i \mid \operatorname{sigmoid}(t_i)\big)

    The data must be 0 or 1. On gray values the same expression is not a density: binarise them
    (:class:`pyrovae.data.Binarize`) or take a likelihood for the unit interval
    (:class:`ContinuousBernoulli`), or for gray levels (:class:`DiscretisedLogistic`).

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., d)`` become an event ``(d,)``, and with ``event_dim=3`` ``(..., C, H, W)`` one
        ``(C, H, W)``.

    Raises:
        ValueError: for a network output of fewer dimensions than an event; data that are not 0 or 1.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.bernoulli(torch.zeros(5, 64))
        >>> round(p.log_prob(torch.ones(5, 64))[0].item(), 3)  # 64 ln(1/2)
        -44.361
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("Bernoulli", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: d."""
        return d

    def __call__(self, t: Tensor) -> Distribution:
        return joined(LogitBernoulli(entries("Bernoulli", t, self.event_dim)), self.event_dim)

    def __repr__(self) -> str:
        return f"Bernoulli(event_dim={self.event_dim})"
