"""Normal heads: a diagonal normal whose loc and variance come from the network, and one of a shared scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pyrovae.arguments import is_positive, shown
from pyrovae.distributions import LogScaleNormal
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, entries, joined, parts
from pyrovae.types import Distribution


class Normal:
    r"""A diagonal normal of which the network gives the loc and the log variance.

    .. math::
        \mathrm{head}(t) = \mathcal N\big(\mu, \operatorname{diag}\, e^{s}\big), \qquad (\mu, s) = t

    with :math:`t` split in two halves along the first event dimension. As a likelihood it is bounded only if
    no entry can be told exactly: where a pixel is the same in all data, its variance goes to zero. Dequantise
    gray values (:class:`pyrovae.data.Dequantize`), or share the scale (:class:`IsotropicNormal`,
    :class:`OptimalNormal`).

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)`` become an event of shape ``(d,)``, and with ``event_dim=3`` channels
        ``(..., 2 C, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: when the split dimension is odd, so the network's output does not fit.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, appendix C.2,
        https://arxiv.org/abs/1312.6114

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> q = heads.normal(torch.zeros(5, 2 * 3))
        >>> q.batch_shape, q.event_shape
        (torch.Size([5]), torch.Size([3]))
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("Normal", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 2 d."""
        return 2 * d

    def __call__(self, t: Tensor) -> Distribution:
        of = "a loc and a log variance"
        loc, log_variance = parts("Normal", t, 2, event_dim=self.event_dim, of=of)
        return joined(LogScaleNormal(loc, 0.5 * log_variance), self.event_dim)

    def __repr__(self) -> str:
        return f"Normal(event_dim={self.event_dim})"


class IsotropicNormal(nn.Module):
    r"""A normal around the network's output with one scale for all entries and all data.

    .. math::
        \mathrm{head}(t) = \mathcal N\big(t, \sigma^2 I\big)

    With a linear decoder and a standard normal prior the model is probabilistic PCA.

    Arguments:
        scale: :math:`\sigma`, or where it starts when it is learned.
        learn: whether :math:`\sigma` is a parameter (learned on the log scale) or stays as it is.
        event_dim: how many rightmost dimensions make one datum.

    Shapes: features ``(..., d)`` become an event ``(d,)``, and with ``event_dim=3`` ``(..., C, H, W)`` one
        ``(C, H, W)``.

    Raises:
        ValueError: for a scale that is not positive and finite.

    References:
        Tipping and Bishop, 1999, Probabilistic Principal Component Analysis, JRSS B 61(3).

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.IsotropicNormal(scale=0.5)
        >>> round(head(torch.zeros(4, 2)).base_dist.scale[0, 0].item(), 4)
        0.5
    """

    def __init__(self, scale: float = 1.0, *, learn: bool = True, event_dim: int = 1) -> None:
        super().__init__()
        if not is_positive(scale):
            raise ValueError(
                explain("scale", expected="a positive number", got=shown(scale), remedy="Try 1.0.")
            )
        self.scale, self.learn = scale, learn
        self.event_dim = check_event_dim("IsotropicNormal", event_dim)
        log_scale = torch.tensor(math.log(scale))
        if learn:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: d."""
        return d

    def forward(self, t: Tensor) -> Distribution:
        loc = entries("IsotropicNormal", t, self.event_dim)
        return joined(LogScaleNormal(loc, self.log_scale), self.event_dim)

    def extra_repr(self) -> str:
        return f"scale={self.log_scale.exp().item():.4g}, learn={self.learn}, event_dim={self.event_dim}"
