"""A network for data with gaps: it is told which entries are missing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.arguments import is_part, shown
from pyrovae.errors import explain


class Filled(nn.Module):
    r"""A network that is given data with 0 in place of NaN, and beside them which entries were missing.

    .. math::
        \mathrm{Filled}(x) = \mathrm{net}\big([x \odot (1 - m),\ m]\big), \qquad m_i = 1(x_i \text{ is NaN})

    The encoder for data that :class:`pyrovae.heads.Masked` scores: a posterior given what was seen. Gradients
    never meet the NaN. Without the mask a gap and a value of 0 would look the same.

    Arguments:
        net: takes twice the entries: ``(..., 2 d)`` for vectors, ``(..., 2 C, H, W)`` for images.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images. The mask is
            appended along the first of them.

    Shapes: ``(..., d)`` to whatever ``net`` makes of ``(..., 2 d)``.

    Raises:
        TypeError: for something that is not a network.
        ValueError: for an input of fewer dimensions than a datum has.

    References:
        Collier, Nazabal and Williams, 2020, VAEs in the Presence of Missing Data,
        https://arxiv.org/abs/2006.05301

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> nets.Filled(torch.nn.Identity())(torch.tensor([3.0, float("nan")]))
        tensor([3., 0., 0., 1.])
        >>> nets.Filled(nets.MLP(2 * 64, 16))(torch.zeros(5, 64)).shape
        torch.Size([5, 16])
    """

    def __init__(self, net: nn.Module, event_dim: int = 1) -> None:
        super().__init__()
        if not is_part(net):
            raise TypeError(
                explain(
                    "nets.Filled",
                    expected="a network",
                    got=shown(net),
                    remedy="Write nets.Filled(nets.MLP(2 * d, ...)).",
                )
            )
        if isinstance(event_dim, bool) or not isinstance(event_dim, int) or event_dim < 1:
            raise ValueError(
                explain(
                    "nets.Filled, event_dim",
                    expected="how many dimensions make one datum, from 1 on",
                    got=shown(event_dim),
                    remedy="Give 1 for vectors, 3 for images (C, H, W).",
                )
            )
        self.net, self.event_dim = net, event_dim

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < self.event_dim:
            raise ValueError(
                explain(
                    "nets.Filled",
                    expected=f"data of {self.event_dim} dimensions or more",
                    got=f"shape {tuple(x.shape)}",
                    remedy="event_dim is 1 for vectors, 3 for images.",
                )
            )
        missing = x.isnan()
        output: Tensor = self.net(
            torch.cat([torch.where(missing, 0.0, x), missing.to(x.dtype)], -self.event_dim)
        )
        return output

    def extra_repr(self) -> str:
        return f"event_dim={self.event_dim}"
