"""Normal priors: the standard one, and a diagonal one whose loc and scale are learned."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import nn

from pyrovae.errors import explain
from pyrovae.types import Distribution


class StandardNormal(nn.Module):
    r"""The prior of the original VAE, :math:`p(z) = \mathcal N(0, I_d)`.

    Arguments:
        dim: the number of latent dimensions, d.

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
        self.dim = _positive(dim)
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

    Example:
        >>> from pyrovae import priors
        >>> prior = priors.DiagonalNormal(8)
        >>> [name for name, _ in prior.named_parameters()]
        ['loc', 'log_scale']
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _positive(dim)
        self.loc = nn.Parameter(torch.zeros(dim))
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def forward(self) -> Distribution:
        return dist.Normal(self.loc, self.log_scale.exp()).to_event(1)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


def _positive(dim: int) -> int:
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(
            explain("dim", expected="a positive number of latent dimensions", got=repr(dim), remedy="Try 8.")
        )
    return dim
