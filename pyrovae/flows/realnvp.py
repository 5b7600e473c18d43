"""RealNVP: affine couplings, in one pass on both ways."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pyrovae.flows._layers import Couplings
from pyrovae.flows._maps import Affine
from pyrovae.flows.base import Activation


class RealNVP(Couplings):
    r"""Affine couplings: one half of the entries tells the loc and scale of the other.

    .. math::
        y_a = x_a, \qquad y_b = x_b\, e^{s(x_a, c)} + m(x_a, c)

    with s bounded smoothly by 5; the halves change from layer to layer, so that two move every entry. Draws
    and densities both take one pass.

    Arguments:
        dim: the number of entries, d, from 2 on.
        context: the size of what each layer is told, 0 for nothing.
        layers: how many.
        hidden: the widths of each network's hidden layers.
        activation: what makes their activation.

    Raises:
        ValueError: for sizes that are not positive, and for one entry.

    References:
        Dinh, Sohl-Dickstein and Bengio, 2017, Density Estimation using Real NVP,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> from pyrovae import flows, priors
        >>> prior = priors.Flow(flows.RealNVP(8, layers=6))
        >>> prior().event_shape
        torch.Size([8])
    """

    def __init__(
        self,
        dim: int,
        *,
        context: int = 0,
        layers: int = 4,
        hidden: Sequence[int] = (64,),
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__(dim, context=context, layers=layers, hidden=hidden, activation=activation)
        self.map = Affine()
        self._make_layers()
