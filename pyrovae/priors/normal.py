"""Normal priors: the standard one, and a diagonal one whose loc and scale are learned."""

from __future__ import annotations

from typing import Self

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae.priors import _checks
from pyrovae.types import Distribution


class StandardNormal(nn.Module):
    r"""The prior of the original VAE, :math:`p(z) = \mathcal N(0, I_d)`.

    Arguments:
        dim: the number of latent dimensions, d.

    Raises:
        ValueError: for a number of dimensions that isn't positive.

    Example:
        >>> from pyrovae import priors
        >>> prior = priors.StandardNormal(8)
        >>> prior().event_shape
        torch.Size([8])
    """

    zero: torch.Tensor
    one: torch.Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _checks.size("priors.StandardNormal, dim", dim)
        self.register_buffer("zero", torch.zeros(dim), persistent=False)
        self.register_buffer("one", torch.ones(dim), persistent=False)

    def forward(self) -> Distribution:
        return dist.Normal(self.zero, self.one).to_event(1)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class DiagonalNormal(nn.Module):
    r"""A normal prior with learned loc and scale.

    .. math:: p(z) = \mathcal N(\mu, \operatorname{diag} \sigma^2)

    It starts at the standard normal; the scale is learned on the log scale.

    Arguments:
        dim: the number of latent dimensions, d.

    Raises:
        ValueError: for a number of dimensions that isn't positive.

    Example:
        >>> from pyrovae import priors
        >>> prior = priors.DiagonalNormal(8)
        >>> [name for name, _ in prior.named_parameters()]
        ['loc', 'log_scale']
    """

    starts_at_best = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _checks.size("priors.DiagonalNormal, dim", dim)
        self.loc = nn.Parameter(torch.zeros(dim))
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def start_from(self, z: Tensor) -> Self:
        """Takes the moments of draws ``(n, d)``: the normal under which they are likeliest.

        Raises:
            ValueError: for draws of another shape, or that don't vary in some dimension.

        Example:
            >>> import torch
            >>> from pyrovae import priors
            >>> priors.DiagonalNormal(1).start_from(torch.tensor([[1.0], [5.0]]))().mean.detach()
            tensor([3.])
        """
        where = "DiagonalNormal.start_from"
        z = _checks.draws(where, z, self.dim)
        scale = _checks.varied(where, z.std(0, correction=0))
        _checks.keep(self.loc, z.mean(0))
        _checks.keep(self.log_scale, scale.log())
        return self

    def forward(self) -> Distribution:
        return dist.Normal(self.loc, self.log_scale.exp()).to_event(1)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
