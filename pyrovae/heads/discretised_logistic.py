"""The discretised logistic head: gray levels around a loc, with a spread of their own."""

from __future__ import annotations

import math

from torch import Tensor

from pyrovae.distributions import DiscretisedLogistic as DiscretisedLogisticDistribution
from pyrovae.distributions._supports import check_levels
from pyrovae.heads._outputs import check_event_dim, joined, parts
from pyrovae.types import Distribution


class DiscretisedLogistic:
    r"""Gray levels from a logistic variable of which the network gives the loc and the log scale.

    .. math::
        \mathrm{head}(t) = \prod_i \Big[
        \sigma\Big(\frac{y_i + h - m_i}{e^{s_i}}\Big) - \sigma\Big(\frac{y_i - h - m_i}{e^{s_i}}\Big) \Big],
        \qquad (m, s) = t, \quad y = 2 x - 1, \quad h = \tfrac{1}{L - 1}

    with the bins of 0 and 1 open to their sides (:class:`pyrovae.distributions.DiscretisedLogistic`). The
    network's numbers are on the scale from -1 to 1, as in the papers, so an output of zero is a broad
    distribution around the middle. The data are the levels k / (L - 1) in [0, 1], as
    :class:`pyrovae.data.Pixels` gives them.

    Arguments:
        levels: L; bytes have 256.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)``, locs first, become an event of shape ``(d,)``, and with ``event_dim=3``
        channels ``(..., 2 C, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: for fewer than two levels; when the split dimension is odd; data off the grid.

    References:
        Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling, 2016, Improving Variational Inference with
        Inverse Autoregressive Flow, https://arxiv.org/abs/1606.04934

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.DiscretisedLogistic(levels=3)(torch.zeros(5, 2))
        >>> p.log_prob(torch.tensor([[0.5]])).exp()[0]  # sigmoid(1/2) - sigmoid(-1/2)
        tensor(0.2449)
    """

    def __init__(self, levels: int = 256, event_dim: int = 1) -> None:
        check_levels("heads.DiscretisedLogistic", levels)
        self.levels = levels
        self.event_dim = check_event_dim("DiscretisedLogistic", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 2 d."""
        return 2 * d

    def __call__(self, t: Tensor) -> Distribution:
        of = "a loc and a log scale"
        loc, log_scale = parts("DiscretisedLogistic", t, 2, event_dim=self.event_dim, of=of)
        made = DiscretisedLogisticDistribution(0.5 * (loc + 1), log_scale - math.log(2), levels=self.levels)
        return joined(made, self.event_dim)

    def __repr__(self) -> str:
        return f"DiscretisedLogistic(levels={self.levels}, event_dim={self.event_dim})"
