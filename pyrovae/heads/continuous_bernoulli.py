"""The continuous Bernoulli head: gray values in [0, 1], with the normaliser that a Bernoulli lacks there."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from pyrovae.heads._outputs import check_event_dim, entries, joined
from pyrovae.types import Distribution


class ContinuousBernoulli:
    r"""Independent continuous Bernoulli variables of which the network gives the logits.

    .. math::
        \mathrm{head}(t) = \prod_i \frac{t_i\, e^{t_i x_i}}{e^{t_i} - 1}, \qquad 0 \le x_i \le 1

    What is trained by a binary cross-entropy on gray values, made a density. It has one parameter an entry:
    its spread is that of its mean, at most a uniform distribution's. The mean is not ``sigmoid(t)``: use the
    distribution's ``mean``.

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., d)`` become an event ``(d,)``, and with ``event_dim=3`` ``(..., C, H, W)`` one
        ``(C, H, W)``.

    Raises:
        ValueError: for a network output of fewer dimensions than an event; data outside [0, 1].

    References:
        Loaiza-Ganem and Cunningham, 2019, The Continuous Bernoulli: Fixing a Pervasive Error in Variational
        Autoencoders, https://arxiv.org/abs/1907.06845

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.ContinuousBernoulli()(torch.tensor([-2.0, 0.0, 2.0]))
        >>> p.mean
        tensor([0.3435, 0.5000, 0.6565])
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("ContinuousBernoulli", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: d."""
        return d

    def __call__(self, t: Tensor) -> Distribution:
        logits = entries("ContinuousBernoulli", t, self.event_dim)
        return joined(ContinuousBernoulliDistribution(logits), self.event_dim)

    def __repr__(self) -> str:
        return f"ContinuousBernoulli(event_dim={self.event_dim})"
