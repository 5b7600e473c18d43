"""The Beta head: entries strictly between 0 and 1."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions import LogConcentrationBeta
from pyrovae.heads._outputs import check_event_dim, joined, parts
from pyrovae.types import Distribution


class Beta:
    r"""Independent Beta variables of which the network gives the logarithms of both concentrations.

    .. math::
        \mathrm{head}(t) = \prod_i \mathrm{Beta}\big(x_i \mid a_i, b_i\big), \qquad (\log a, \log b) = t

    A network output of zero makes it uniform. Data must lie in the open interval: at 0 and 1 the density is
    zero or infinite. Gray values, which hit both, go through :class:`pyrovae.data.Dequantize` first;
    :class:`ContinuousBernoulli` takes the closed interval as it is.

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)``, all :math:`\log a` first, become an event of shape ``(d,)``, and with
        ``event_dim=3`` channels ``(..., 2 C, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: when the split dimension is odd; data outside (0, 1).

    References:
        Ferrari and Cribari-Neto, 2004, Beta Regression for Modelling Rates and Proportions, J. Appl. Stat.
        31(7).

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Beta()(torch.tensor([2.0, 2.0]).log())
        >>> round(p.log_prob(torch.tensor([0.5])).exp().item(), 4)  # 6 x (1 - x)
        1.5
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("Beta", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 2 d."""
        return 2 * d

    def __call__(self, t: Tensor) -> Distribution:
        of = "two log concentrations"
        log_a, log_b = parts("Beta", t, 2, event_dim=self.event_dim, of=of)
        return joined(LogConcentrationBeta(log_a, log_b), self.event_dim)

    def __repr__(self) -> str:
        return f"Beta(event_dim={self.event_dim})"
