"""The Dirichlet prior of shares: topics of which few may count."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae.priors import _checks
from pyrovae.types import Distribution


class Dirichlet(nn.Module):
    r"""A Dirichlet distribution of d shares.

    .. math:: p(z) \propto \prod_{i=1}^d z_i^{\alpha_i - 1}, \qquad \sum_i z_i = 1

    One is the uniform distribution; below one, most of the shares are small. The divergence of a
    :class:`pyrovae.heads.Dirichlet` posterior is in closed form.

    Arguments:
        dim: the number of shares, d, from 2 on.
        concentration: :math:`\alpha`, the same for all, or where they start when they are learned.
        learn: whether the concentrations, one a share, are parameters.

    Raises:
        ValueError: for fewer than two shares, or a concentration that isn't positive.

    References:
        Joo, Lee, Park and Moon, 2019, Dirichlet Variational Autoencoder, https://arxiv.org/abs/1901.02739

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> priors.Dirichlet(3)().log_prob(torch.tensor([0.2, 0.3, 0.5]))  # ln 2, everywhere
        tensor(0.6931)
    """

    log_concentration: Tensor

    def __init__(self, dim: int, *, concentration: float = 1.0, learn: bool = False) -> None:
        super().__init__()
        self.dim = _checks.size("priors.Dirichlet, dim", dim, least=2)
        self.concentration = _checks.positive("priors.Dirichlet, concentration", concentration)
        self.learn = learn
        log_concentration = torch.full((dim,), concentration).log()
        if learn:
            self.log_concentration = nn.Parameter(log_concentration)
        else:
            self.register_buffer("log_concentration", log_concentration)

    def forward(self) -> Distribution:
        return dist.Dirichlet(self.log_concentration.exp())

    def extra_repr(self) -> str:
        return f"dim={self.dim}, concentration={self.concentration:g}, learn={self.learn}"
