"""The Laplace head: absolute residuals, of which a few large ones cost less than under a normal."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions import LogScaleLaplace
from pyrovae.heads._outputs import check_event_dim, joined, parts
from pyrovae.types import Distribution


class Laplace:
    r"""Independent Laplace variables of which the network gives the loc and the log scale.

    .. math::
        \mathrm{head}(t) = \prod_i \frac{1}{2 b_i}\, e^{-|x_i - \mu_i| / b_i}, \qquad (\mu, \log b) = t

    The loc that fits best is the median, where a normal's is the mean.

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)``, locs first, become an event of shape ``(d,)``, and with ``event_dim=3``
        channels ``(..., 2 C, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: when the split dimension is odd, so the network's output does not fit.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Laplace()(torch.zeros(5, 2 * 3))
        >>> round(p.log_prob(torch.ones(5, 3))[0].item(), 3)  # 3 (-1 - ln 2)
        -5.079
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("Laplace", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 2 d."""
        return 2 * d

    def __call__(self, t: Tensor) -> Distribution:
        loc, log_scale = parts("Laplace", t, 2, event_dim=self.event_dim, of="a loc and a log scale")
        return joined(LogScaleLaplace(loc, log_scale), self.event_dim)

    def __repr__(self) -> str:
        return f"Laplace(event_dim={self.event_dim})"
