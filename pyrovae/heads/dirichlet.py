"""A head for shares: the Dirichlet distribution."""

from __future__ import annotations

import pyro.distributions as dist
from torch import Tensor
from torch.nn.functional import softplus

from pyrovae.arguments import is_positive, shown
from pyrovae.errors import explain
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class Dirichlet:
    r"""A Dirichlet distribution of which the network gives the concentrations.

    .. math::
        \mathrm{head}(t) = \mathrm{Dir}(\alpha), \qquad \alpha = \mathrm{least} + \operatorname{softplus}(t)

    Draws have implicit gradients, and divergences between Dirichlets are in closed form. For events of one
    dimension only.

    Arguments:
        least: the smallest concentration. Of one below 0.05 some draws are zero in float32, held at the
            smallest normal number; below 0.01 their gradients are wrong.

    Shapes: features ``(..., d)`` become an event ``(d,)`` of shares that add up to one, d from 2 on.

    Raises:
        ValueError: for a ``least`` that isn't positive, or a last dimension of size one.

    References:
        Figurnov, Mohamed and Mnih, 2018, Implicit Reparameterization Gradients,
        https://arxiv.org/abs/1805.08498
        Joo, Lee, Park and Moon, 2019, Dirichlet Variational Autoencoder, https://arxiv.org/abs/1901.02739

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> heads.Dirichlet()(torch.tensor([0.0, 2.0])).concentration
        tensor([0.7031, 2.1369])
    """

    event_dim = 1

    def __init__(self, least: float = 0.01) -> None:
        if not is_positive(least):
            raise ValueError(
                explain(
                    "heads.Dirichlet, least",
                    expected="a positive number",
                    got=shown(least),
                    remedy="Try 0.01.",
                )
            )
        self.least = least

    def features(self, d: int) -> int:
        """How many network outputs make an event of d shares."""
        return entries("heads.Dirichlet", d, least=2)

    def __call__(self, t: Tensor) -> Distribution:
        if last(t) < 2:
            raise misfit(
                "heads.Dirichlet", t, "2 or more (a concentration for each share)", "Give it d outputs."
            )
        return dist.Dirichlet(self.least + softplus(t))

    def __repr__(self) -> str:
        return f"Dirichlet(least={self.least:g})"
