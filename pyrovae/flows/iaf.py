"""The inverse autoregressive flow: a posterior's draws in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pyrovae.flows._layers import Autoregressive
from pyrovae.flows._maps import Gate
from pyrovae.flows.base import Activation, Moved


class IAF(Autoregressive):
    r"""Inverse autoregressive flow: a draw's entries before tell the gate that each goes through.

    A layer takes the base's draw x to y, all entries at once:

    .. math::
        y_i = \frac{g_i}{g_0}\, x_i + (1 - g_i)\, m_i, \qquad
        g_i = 0.001 + 0.999 \operatorname{sigmoid}(s_i + 2), \qquad
        (m_i, s_i) = \mathrm{net}_i(x_1, \dots, x_{i-1}, c)

    the gate of the paper, through which nothing explodes, but for the thousandth that keeps a way back.
    Divided by where it starts, at s = 0, it starts as the identity.

    Draws, with their density, take one pass; the density of any other value takes one for each entry. Every
    second layer runs from the last entry to the first.

    Arguments:
        dim: the number of entries, d.
        context: the size of what the encoder tells each layer, 0 for nothing.
        layers: how many.
        hidden: the widths of each network's hidden layers.
        activation: what makes their activation.

    Raises:
        ValueError: for sizes that are not positive.

    References:
        Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling, 2016, Improving Variational Inference with
        Inverse Autoregressive Flow, https://arxiv.org/abs/1606.04934

    Example:
        >>> import torch
        >>> from pyrovae import flows, guides, heads, nets
        >>> head = heads.Flowed(heads.normal, flows.IAF(8, context=16))
        >>> guide = guides.Amortized(z=(nets.MLP(64, 32, head.features(8)), head))
        >>> guide(torch.zeros(5, 64))["z"].shape
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
        self.map = Gate()
        self._make_nets()

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        return self._direct(x, context, self.map.push)

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        return self._one_by_one(y, context, self.map.pull)
