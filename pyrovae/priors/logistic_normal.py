"""The logistic-normal prior of shares: topics whose proportions may be anything but sparse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae import distributions
from pyrovae.priors import _checks
from pyrovae.types import Distribution


class LogisticNormal(nn.Module):
    r"""A normal of d - 1 dimensions, carried to the simplex of d shares by breaking a stick.

    .. math:: p(z) = T_\# \mathcal N(\mu, \operatorname{diag} \sigma^2)

    with T as in :class:`pyrovae.distributions.LogisticNormal`; :math:`\mu = 0`, where it starts, is the
    middle of the simplex. The divergence of a :class:`pyrovae.heads.LogisticNormal` posterior is that of the
    normals, in closed form.

    Arguments:
        dim: the number of shares, d, from 2 on.
        scale: :math:`\sigma`, or where it starts when it is learned: the larger, the fewer shares count.
        learn: whether :math:`\mu` and :math:`\sigma` are parameters.

    Raises:
        ValueError: for fewer than two shares, or a scale that isn't positive.

    References:
        Srivastava and Sutton, 2017, Autoencoding Variational Inference for Topic Models,
        https://arxiv.org/abs/1703.01488

    Example:
        >>> from pyrovae import priors
        >>> priors.LogisticNormal(3)()
        LogisticNormal(batch_shape=(), event_shape=(3,))
    """

    loc: Tensor
    log_scale: Tensor

    def __init__(self, dim: int, *, scale: float = 1.0, learn: bool = False) -> None:
        super().__init__()
        self.dim = _checks.size("priors.LogisticNormal, dim", dim, least=2)
        self.scale, self.learn = _checks.positive("priors.LogisticNormal, scale", scale), learn
        loc, log_scale = torch.zeros(dim - 1), torch.full((dim - 1,), scale).log()
        if learn:
            self.loc, self.log_scale = nn.Parameter(loc), nn.Parameter(log_scale)
        else:
            self.register_buffer("loc", loc)
            self.register_buffer("log_scale", log_scale)

    def forward(self) -> Distribution:
        return distributions.LogisticNormal(self.loc, self.log_scale.exp())

    def extra_repr(self) -> str:
        return f"dim={self.dim}, scale={self.scale:g}, learn={self.learn}"
