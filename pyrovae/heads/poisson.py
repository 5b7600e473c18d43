"""The Poisson head: counts of a rate that the network gives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pyrovae.distributions.log_rate_poisson import LogRatePoisson
from pyrovae.errors import explain, nearest
from pyrovae.heads._outputs import check_event_dim, entries
from pyrovae.types import Distribution

_LINKS = ("log", "softplus")


class Poisson:
    r"""Independent counts, Poisson each, of which the network gives the rates.

    .. math::
        \mathrm{head}(t) = \prod_i \mathrm{Poisson}\big(x_i \mid \lambda(t_i)\big), \qquad
        \lambda(t) = e^t \ \text{or}\ \log(1 + e^t)

    The exponential is the canonical link: gradients are :math:`x_i - \lambda_i`. Where counts are large and
    the network is fresh it may overshoot; softplus grows like :math:`t` only. Either way the density works
    on the logarithm of the rate and is exact for rates of any smallness.

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.
        link: ``"log"`` (the network gives log rates) or ``"softplus"``.

    Shapes: features ``(..., d)`` become an event of shape ``(d,)``, and with ``event_dim=3`` channels
        ``(..., C, H, W)`` become ``(C, H, W)``. Data are whole numbers from 0 on, as floats or integers.

    Raises:
        ValueError: for another link, or an output of too few dimensions.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Poisson()(torch.zeros(5, 64))
        >>> p.log_prob(torch.zeros(64))[0].item()  # 64 times minus a rate of 1
        -64.0
    """

    def __init__(self, event_dim: int = 1, *, link: str = "log") -> None:
        if link not in _LINKS:
            raise ValueError(
                explain(
                    "heads.Poisson, link",
                    expected="'log' or 'softplus'",
                    got=repr(link),
                    remedy=nearest(str(link), _LINKS),
                )
            )
        self.event_dim, self.link = check_event_dim("Poisson", event_dim), link

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: d."""
        return d

    def __call__(self, t: Tensor) -> Distribution:
        t = entries("Poisson", t, self.event_dim)
        counts: Any = LogRatePoisson(t if self.link == "log" else _log_softplus(t))
        joint: Distribution = counts.to_event(self.event_dim)
        return joint

    def __repr__(self) -> str:
        return f"Poisson(event_dim={self.event_dim}, link={self.link!r})"


def _log_softplus(t: Tensor) -> Tensor:
    """log log(1 + e^t). Far below zero it is t, where a softplus underflows."""
    return torch.where(t < -20, t, softplus(t.clamp(min=-20)).log())
