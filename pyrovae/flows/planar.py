"""The planar flow: each layer pushes along one direction by where a vector lies along another."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pyrovae.flows._conditioning import START, Read
from pyrovae.flows._root import root
from pyrovae.flows.base import Flow, Moved, check_size

LEAST = 1e-3
"""How far above -1 the product of the two directions stays: the smallest volume that a layer leaves."""


class Planar(Flow):
    r"""Planar flow.

    .. math::
        y = x + \hat u \tanh(w^\top x + b), \qquad
        \Big|\det \frac{\partial y}{\partial x}\Big| = 1 + w^\top \hat u\, \big(1 - \tanh^2(w^\top x + b)\big)

    with u moved along w so that :math:`w^\top \hat u > -1`, where it is invertible; u = 0 is the identity.
    The parameters u, w and b of each layer are read off the context, or constants without one. The way back
    is a root of a function of one variable, found to rounding: densities of any value are exact.

    Arguments:
        dim: the number of entries, d.
        context: the size of what the encoder tells the flow, 0 for nothing.
        layers: how many.

    Raises:
        ValueError: for sizes that are not positive.

    References:
        Rezende and Mohamed, 2015, Variational Inference with Normalizing Flows,
        https://arxiv.org/abs/1505.05770

    Example:
        >>> import torch
        >>> from pyrovae import flows
        >>> _ = torch.manual_seed(0)
        >>> transform = flows.Planar(3, context=8, layers=16)(torch.randn(5, 8))
        >>> x = torch.randn(5, 3)
        >>> torch.allclose(transform.inv(transform(x)), x)
        True
    """

    def __init__(self, dim: int, *, context: int = 0, layers: int = 8) -> None:
        super().__init__(dim, context=context)
        check_size("Planar, layers", layers, 1)
        self.layers = layers
        # u, w and b, layer by layer.
        u, w = START * torch.randn(layers, dim) / math.sqrt(dim), torch.randn(layers, dim) / math.sqrt(dim)
        self.read = Read(torch.cat((u, w, torch.zeros(layers, 1)), -1).flatten(), context)

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        log_det = x.new_zeros(())
        for u, w, b, m in self._by_layer(context):
            h = ((w * x).sum(-1, keepdim=True) + b).tanh()
            x = x + u * h
            log_det = log_det + (m * (1 - h.square())).log1p()
        return x, log_det.squeeze(-1)

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        log_det = y.new_zeros(())
        for u, w, b, m in reversed(self._by_layer(context)):
            h = root((w * y).sum(-1, keepdim=True) + b, m).tanh()
            y = y - u * h
            log_det = log_det + (m * (1 - h.square())).log1p()
        return y, log_det.squeeze(-1)

    def _by_layer(self, context: Tensor | None) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """For each layer u, moved, w, b and the product of u and w."""
        t = self.read(context).unflatten(-1, (self.layers, -1))
        u, w, b = t.split((self.dim, self.dim, 1), -1)
        given = (u * w).sum(-1, keepdim=True)
        # 0 at 0, and above -1.
        product = LEAST - 1 + (1 - LEAST) * F.softplus(given + math.log(math.e - 1))
        length = w.square().sum(-1, keepdim=True).clamp(min=1e-12)
        moved = u + (product - given) * w / length
        m = (moved * w).sum(-1, keepdim=True).clamp(min=LEAST - 1)
        return [*zip(*(part.unbind(-2) for part in (moved, w, b, m)), strict=True)]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, layers={self.layers}"
