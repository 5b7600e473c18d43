"""A normal head that keeps a committed rate: its divergence from the standard normal never falls below it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyrovae.arguments import is_positive, shown
from pyrovae.distributions import LogScaleNormal
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, joined, parts
from pyrovae.types import Distribution

_SLACK = 0.01
"""How far above the rate, relative to it, a divergence must lie to be reached whatever the loc and scale."""


class CommittedNormal:
    r"""A diagonal normal that is at least ``rate`` nats away from the prior :math:`\mathcal N(0, I)`.

    .. math::
        \mathrm{KL}\big(\mathrm{head}(t) \,\|\, \mathcal N(0, I_d)\big) \ge \mathrm{rate}
        \qquad \text{for all features } t = (m, s)

    The posterior can't collapse onto a standard normal prior, whatever the decoder, without any change of the
    objective. With :math:`\delta = \mathrm{rate} / d` and :math:`\sigma^2 = e^s` one dimension has

    .. math::
        \mathrm{KL} = \tfrac12 (\mu^2 + e^s - 1 - s) \ge \delta
        \iff \mu^2 \ge \rho(s) := 2 \delta + 1 + s - e^s .

    So the loc is kept out of :math:`(-b, b)`, with a :math:`b \ge \sqrt{\max(0, \rho)}`:

    .. math::
        \mu = m \pm b(s), \text{ the sign being that of } m, \qquad
        b = \begin{cases} \sqrt \rho & \rho \ge w \\ \max(0, \rho + w) / (2 \sqrt w) & \rho < w \end{cases},
        \qquad w = 0.02\, \delta .

    *The rate is kept.* :math:`|\mu| = |m| + b \ge b`, and :math:`b^2 - \rho` is 0 for :math:`\rho \ge w`,
    :math:`(\rho - w)^2 / 4w \ge 0` for :math:`|\rho| < w`, and :math:`-\rho > 0` below.
    *Nothing else is lost.* Every normal of a KL of :math:`1.01\, \delta` or more in each dimension is
    reached: there :math:`\mu^2 - \rho = 2 (\mathrm{KL} - \delta) \ge w`, and :math:`b^2 - \rho` is larger
    only where :math:`b = 0`; so :math:`|\mu| \ge b`, and :math:`m = \mu \mp b` gives it.
    *Gradients stay alive and finite.* :math:`\partial \mu / \partial m = 1` everywhere, and :math:`b` has
    a slope of at most :math:`1 / (2 \sqrt w)` in :math:`\rho`. At 0 the slope of
    :math:`\sqrt{\max(0, \rho)}` has no bound.

    This is the paper's bound for independent normals with two differences. There the loc is
    :math:`\sqrt{\rho} + \max(0, m)`: half of the posteriors can't be reached, and a negative feature has no
    gradient; and :math:`\sigma` is confined to where :math:`\rho \ge 0`, though outside any loc will do.

    Arguments:
        rate: nats per datum, of all dimensions together; each keeps ``rate / d`` of them.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)`` become an event of shape ``(d,)``, and with ``event_dim=3`` channels
        ``(..., 2 C, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: for a rate that is not positive and finite, or a split dimension that is odd.

    References:
        Razavi, van den Oord, Poole and Vinyals, 2019, Preventing Posterior Collapse with delta-VAEs,
        https://arxiv.org/abs/1901.03416

    Example:
        >>> import torch
        >>> from torch.distributions import kl_divergence
        >>> from pyrovae import heads, priors
        >>> q = heads.CommittedNormal(rate=2.0)(torch.zeros(5, 2 * 4))
        >>> p = priors.StandardNormal(4)().expand([5])
        >>> print(kl_divergence(q, p))
        tensor([2., 2., 2., 2., 2.])
    """

    def __init__(self, rate: float, event_dim: int = 1) -> None:
        if not is_positive(rate):
            raise ValueError(
                explain(
                    "rate",
                    expected="a positive number of nats per datum",
                    got=shown(rate),
                    remedy="Try 1.0; without a rate to keep it is heads.normal.",
                )
            )
        self.rate, self.event_dim = rate, check_event_dim("CommittedNormal", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 2 d."""
        return 2 * d

    def __call__(self, t: Tensor) -> Distribution:
        of = "a loc and a log variance"
        free, log_variance = parts("CommittedNormal", t, 2, event_dim=self.event_dim, of=of)
        nearest = self._nearest(log_variance, self.rate / math.prod(free.shape[-self.event_dim :]))
        # Not torch.sign, which is 0 at 0.
        loc = free + torch.where(free < 0, -nearest, nearest)
        return joined(LogScaleNormal(loc, 0.5 * log_variance), self.event_dim)

    def _nearest(self, log_variance: Tensor, rate: float) -> Tensor:
        """How near to zero the loc may come, ``b``, at a rate of one dimension."""
        width = 2 * _SLACK * rate
        # Beyond these b is 0. Without them exp may overflow, and its gradient be NaN.
        s = log_variance.clamp(-(3 * rate + 2), math.log(2 * rate + 1) + 2)
        needed = 2 * rate + 1 + s - s.exp()
        near = (needed + width).clamp(min=0) / (2 * math.sqrt(width))
        return torch.where(needed < width, near, torch.where(needed < width, width, needed).sqrt())

    def __repr__(self) -> str:
        return f"CommittedNormal(rate={self.rate:g}, event_dim={self.event_dim})"
