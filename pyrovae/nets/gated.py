"""The gated transition of the deep Markov model: partly linear, partly not, each dimension as it chooses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.errors import explain


class GatedTransition(nn.Module):
    r"""From a state to the loc and the log variance of the next one, for :class:`pyrovae.heads.Normal`.

    .. math::
        \mu = (1 - g) \odot (A z + b) + g \odot h, \qquad s = W \operatorname{relu}(h) + c, \qquad
        g = \operatorname{sigmoid}\big(\mathrm{MLP}(z)\big), \qquad h = \mathrm{MLP}(z)

    Each dimension chooses between a linear and a nonlinear next state. A starts at the identity and b at
    zero, as in the paper; there the variance is :math:`\operatorname{softplus}(s)`, here :math:`e^s`.

    Arguments:
        dim: the number of latent dimensions, d.
        hidden: the width of the hidden layer of both networks.

    Shapes: ``(..., d)`` to ``(..., 2 d)``, all loc first.

    Raises:
        ValueError: for sizes that are not positive, or states of another shape.

    References:
        Krishnan, Shalit and Sontag, 2017, Structured Inference Networks for Nonlinear State Space Models,
            https://arxiv.org/abs/1609.09869

    Example:
        >>> import torch
        >>> from pyrovae import heads, nets
        >>> heads.normal(nets.GatedTransition(3, 16)(torch.zeros(5, 3))).event_shape
        torch.Size([3])
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        for name, size in (("dim", dim), ("hidden", hidden)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(
                    explain(
                        f"GatedTransition, {name}",
                        expected="a positive whole number",
                        got=repr(size),
                        remedy="Write GatedTransition(4, 32), say.",
                    )
                )
        self.dim, self.hidden = dim, hidden
        self.linear = nn.Linear(dim, dim)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(dim))
            self.linear.bias.zero_()
        self.first = nn.Linear(dim, 2 * hidden)
        self.gate, self.proposal = nn.Linear(hidden, dim), nn.Linear(hidden, dim)
        self.log_variance = nn.Linear(dim, dim)

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim == 0 or z.shape[-1] != self.dim:
            raise ValueError(
                explain(
                    "GatedTransition",
                    expected=f"states of shape (..., {self.dim})",
                    got=f"shape {tuple(z.shape)}",
                    remedy="dim must be that of the latent.",
                )
            )
        for_gate, for_proposal = self.first(z).relu().chunk(2, -1)
        gate, proposal = self.gate(for_gate).sigmoid(), self.proposal(for_proposal)
        loc = torch.lerp(self.linear(z), proposal, gate)
        return torch.cat((loc, self.log_variance(proposal.relu())), -1)
