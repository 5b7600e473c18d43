"""The masked autoregressive flow: the density of any value in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pyrovae.flows._layers import Autoregressive
from pyrovae.flows._maps import Affine
from pyrovae.flows.base import Activation, Moved


class MAF(Autoregressive):
    r"""Masked autoregressive flow: the value's entries before tell each one's loc and scale.

    A layer's density of y, all entries at once, from

    .. math::
        x_i = (y_i - m_i)\, e^{-s_i}, \qquad (m_i, s_i) = \mathrm{net}_i(y_1, \dots, y_{i-1}, c)

    with s bounded smoothly by 5. The density of a value takes one pass, a draw one for each entry: made for
    priors and likelihoods, as :class:`IAF` is for posteriors. Every second layer runs from the last entry to
    the first.

    Arguments:
        dim: the number of entries, d.
        context: the size of what each layer is told, 0 for nothing.
        layers: how many.
        hidden: the widths of each network's hidden layers.
        activation: what makes their activation.

    Raises:
        ValueError: for sizes that are not positive.

    References:
        Papamakarios, Pavlakou and Murray, 2017, Masked Autoregressive Flow for Density Estimation,
        https://arxiv.org/abs/1705.07057

    Example:
        >>> from pyrovae import flows, priors
        >>> prior = priors.Flow(flows.MAF(8, layers=4))
        >>> prior().expand([5]).sample().shape
        torch.Size([5, 8])
    """

    def __init__(
        self,
        dim: int,
        *,
        context: int = 0,
        layers: int = 2,
        hidden: Sequence[int] = (64,),
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__(dim, context=context, layers=layers, hidden=hidden, activation=activation)
        self.map = Affine()
        self._make_nets()

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        return self._one_by_one(x, context, self.map.push)

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        return self._direct(y, context, self.map.pull)
