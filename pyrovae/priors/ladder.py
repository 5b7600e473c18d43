"""The ladder prior: latents in a row, each drawn given the one above it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae import distributions
from pyrovae.errors import explain
from pyrovae.heads import normal
from pyrovae.types import Distribution


class Ladder(nn.Module):
    r"""A hierarchical prior of any depth, from the top down, each level normal given the one above.

    .. math::
        p(z_L) = \mathcal N(0, I), \qquad
        p(z_l \mid z_{l+1}) = \mathcal N\big(\mu_l(z_{l+1}), \operatorname{diag} \sigma_l^2(z_{l+1})\big)

    The levels are numbered from the bottom, :math:`z_1` being next to the data. The levels are normal one by
    one, their joint distribution is not.

    It is used in either of two ways. Level by level, with a latent site for each, in
    :class:`pyrovae.models.Ladder`, whose decoder sees :math:`z_1`; :class:`pyrovae.guides.Ladder` is its
    posterior, and takes the same object. Or as the prior of one vector :math:`z = (z_1, \dots, z_L)`, in
    :class:`pyrovae.models.VAE` with any guide, where the decoder sees all levels.

    Arguments:
        sizes: :math:`d_1, \dots, d_L`, bottom up.
        nets: for each level but the highest, bottom up, the network from ``(..., d_{l+1})`` to
            ``(..., 2 d_l)``: :math:`\mu_l` and :math:`\log \sigma_l^2`, as :data:`pyrovae.heads.normal`
            reads them.

    Shapes: called, it makes a distribution of an event ``(d_1 + ... + d_L,)``.

    Raises:
        ValueError: for sizes that are not positive, or not one more than networks; when used, for a network
            of another output.
        TypeError: for something else than networks.

    References:
        Sønderby, Raiko, Maaløe, Sønderby and Winther, 2016, Ladder Variational Autoencoders,
        https://arxiv.org/abs/1602.02282

    Example:
        >>> import pyro
        >>> from pyrovae import nets, priors
        >>> pyro.set_rng_seed(0)
        >>> prior = priors.Ladder((8, 4, 2), (nets.MLP(4, 32, 2 * 8), nets.MLP(2, 32, 2 * 4)))
        >>> prior().event_shape
        torch.Size([14])
        >>> z3 = prior.conditional(3).expand([5]).sample()
        >>> prior.conditional(2, z3).sample().shape
        torch.Size([5, 4])
    """

    zero: Tensor
    one: Tensor

    def __init__(self, sizes: Sequence[int], nets: Sequence[Callable[[Tensor], Tensor]]) -> None:
        super().__init__()
        sizes, nets = tuple(sizes), tuple(nets)
        _check(sizes, nets)
        self.sizes, self.nets, self.dim = sizes, nets, sum(sizes)
        self.networks = nn.ModuleList(net for net in nets if isinstance(net, nn.Module))
        self.register_buffer("zero", torch.zeros(sizes[-1]), persistent=False)
        self.register_buffer("one", torch.ones(sizes[-1]), persistent=False)

    def conditional(self, level: int, above: Tensor | None = None) -> Distribution:
        r""":math:`p(z_l \mid z_{l+1})`, a diagonal normal.

        Arguments:
            level: l, from 1 to L.
            above: :math:`z_{l+1}`, ``(..., d_{l+1})``; none at the top, whose batch shape is empty.

        Raises:
            ValueError: for a level that is not there, or one below the top without what is above it.
        """
        if level not in range(1, len(self.sizes) + 1):
            raise ValueError(
                explain(
                    "Ladder, level",
                    expected=f"a number from 1, at the bottom, to {len(self.sizes)}",
                    got=repr(level),
                    remedy="The levels are counted from 1.",
                )
            )
        if level == len(self.sizes):
            return dist.Normal(self.zero, self.one).to_event(1)
        if above is None:
            raise ValueError(
                explain(
                    f"Ladder, level {level}",
                    expected=f"the latent above it, (..., {self.sizes[level]})",
                    got="none",
                    remedy=f"Pass a draw of level {level + 1}; the top alone needs none.",
                )
            )
        found = normal(self.nets[level - 1](above))
        size = self.sizes[level - 1]
        if found.event_shape != (size,):
            raise ValueError(
                explain(
                    f"Ladder, network of level {level}",
                    expected=f"{2 * size} outputs, a loc and a log variance for each of {size}",
                    got=str(2 * found.event_shape[0]),
                    remedy="The networks go bottom up, each from the size above to twice its own.",
                )
            )
        return found

    def forward(self) -> Distribution:
        below = [functools.partial(self.conditional, level) for level in range(1, len(self.sizes))]
        return distributions.Ladder(self.conditional(len(self.sizes)), below, self.sizes)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}"


def _check(sizes: tuple[int, ...], nets: tuple[Callable[[Tensor], Tensor], ...]) -> None:
    if not sizes or any(isinstance(d, bool) or not isinstance(d, int) or d < 1 for d in sizes):
        raise ValueError(
            explain(
                "Ladder, sizes",
                expected="a positive size for each level, bottom up",
                got=repr(sizes),
                remedy="Write (16, 8, 4), say.",
            )
        )
    if len(nets) != len(sizes) - 1:
        raise ValueError(
            explain(
                "Ladder, nets",
                expected=f"{len(sizes) - 1} networks, one for each level but the highest",
                got=str(len(nets)),
                remedy="Write Ladder((8, 4), (nets.MLP(4, 32, 2 * 8),)).",
            )
        )
    for net in nets:
        if not callable(net):
            raise TypeError(
                explain(
                    "Ladder, nets",
                    expected="networks",
                    got=repr(net),
                    remedy="Pass modules, as nets.MLP(4, 32, 2 * 8).",
                )
            )
