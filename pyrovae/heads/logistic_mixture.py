"""The mixture of discretised logistics of PixelCNN++, for gray images, colour images and vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyrovae.distributions import ColourLogisticMixture
from pyrovae.distributions import LogisticMixture as Mixture
from pyrovae.distributions._supports import check_levels
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, joined, per_entry
from pyrovae.types import Distribution


class LogisticMixture:
    r"""Gray levels from a mixture of K logistic variables, rounded; the channels of a colour pixel together.

    For vectors and gray images the entries are independent given t:

    .. math::
        \mathrm{head}(t) = \prod_i \sum_{k=1}^K \pi_{ik}\, \mathrm{DL}\big(x_i \mid m_{ik}, s_{ik}\big)

    with DL the discretised logistic of :class:`DiscretisedLogistic`. For images of three channels a pixel has
    one component for all of them, and the loc of a channel is linear in those before:

    .. math::
        m^g(r) = m^g + \alpha\, y_r, \qquad m^b(r, g) = m^b + \beta\, y_r + \gamma\, y_g, \qquad y = 2 x - 1

    with :math:`\alpha, \beta, \gamma` for each component and pixel, the network's by tanh as in the paper's
    code. The network's numbers are on the scale from -1 to 1; the data are the levels k / (L - 1) in [0, 1],
    as :class:`pyrovae.data.Pixels` gives them.

    Arguments:
        components: K.
        levels: L; bytes have 256.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 3 K d)`` become an event of shape ``(d,)``; an entry's are side by side: K logits
        of :math:`\pi`, K locs, K log scales. With ``event_dim=3``, ``(..., 3 K, H, W)`` become ``(1, H, W)``,
        and ``(..., 10 K, H, W)`` become ``(3, H, W)``: K logits, then K locs for each channel, log scales
        likewise, then K each of :math:`\alpha, \beta, \gamma`.

    Raises:
        ValueError: for sizes that are not positive; images of other than one or three channels; a network
            output of another size; data off the grid.

    References:
        Salimans, Karpathy, Chen and Kingma, 2017, PixelCNN++: Improving the PixelCNN with Discretized
        Logistic Mixture Likelihood and Other Modifications, https://arxiv.org/abs/1701.05517

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.LogisticMixture(components=5, event_dim=3)
        >>> head.features(1), head.features(3)
        (15, 50)
        >>> head(torch.zeros(4, 50, 8, 8)).event_shape
        torch.Size([3, 8, 8])
    """

    def __init__(self, components: int = 10, *, levels: int = 256, event_dim: int = 1) -> None:
        if isinstance(components, bool) or not isinstance(components, int) or components < 1:
            raise ValueError(
                explain(
                    "heads.LogisticMixture, components",
                    expected="a positive whole number",
                    got=repr(components),
                    remedy="Try 10, or 5 for small images.",
                )
            )
        check_levels("heads.LogisticMixture", levels)
        self.components, self.levels = components, levels
        self.event_dim = check_event_dim("LogisticMixture", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 3 K d, for images of 3 channels 10 K.

        Raises:
            ValueError: for images of other than one or three channels.
        """
        if self.event_dim == 3:
            if d not in (1, 3):
                raise ValueError(
                    explain(
                        "heads.LogisticMixture.features",
                        expected="images of one channel or of three",
                        got=f"{d} channels",
                        remedy="For other channels take heads.DiscretisedLogistic(event_dim=3).",
                    )
                )
            return {1: 3, 3: 10}[d] * self.components
        return 3 * self.components * d

    def __call__(self, t: Tensor) -> Distribution:
        if self.event_dim == 3:
            channels = t.shape[-3] if t.ndim >= 3 else 0
            if channels == 10 * self.components:
                return self._colour(t)
            if channels != 3 * self.components:
                raise ValueError(
                    explain(
                        "heads.LogisticMixture",
                        expected=f"a network output of {3 * self.components} channels for gray images, or of "
                        f"{10 * self.components} for colour",
                        got=f"shape {tuple(t.shape)}",
                        remedy="Give the network head.features(1) or head.features(3) channels.",
                    )
                )
        of = f"{self.components} logits, locs and log scales"
        own = per_entry("LogisticMixture", t, 3 * self.components, event_dim=self.event_dim, of=of)
        logits, loc, log_scale = own.chunk(3, -1)
        mixture = Mixture(logits, *_on_unit_interval(loc, log_scale), levels=self.levels)
        return joined(mixture, self.event_dim)

    def _colour(self, t: Tensor) -> Distribution:
        logits, rest = t.split([self.components, 9 * self.components], -3)
        loc, log_scale, coefficients = rest.unflatten(-3, (3, 3, self.components)).unbind(-5)
        return ColourLogisticMixture(
            logits,
            *_on_unit_interval(loc, log_scale),
            torch.tanh(coefficients),
            levels=self.levels,
        )

    def __repr__(self) -> str:
        return (
            f"LogisticMixture(components={self.components}, levels={self.levels}, event_dim={self.event_dim})"
        )


def _on_unit_interval(loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """From the scale of -1 to 1 to that of the data."""
    return 0.5 * (loc + 1), log_scale - math.log(2)
