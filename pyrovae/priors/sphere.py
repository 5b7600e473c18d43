"""The uniform prior on the unit sphere."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.distributions import SphericalUniform
from pyrovae.priors import _checks
from pyrovae.types import Distribution


class Sphere(nn.Module):
    r"""The uniform distribution on the unit sphere of :math:`\mathbb R^d`.

    .. math:: p(z) = \frac{\Gamma(d/2)}{2 \pi^{d/2}}, \qquad \|z\| = 1

    Its posterior is :class:`pyrovae.heads.VonMisesFisher`, with a divergence in closed form. No point of the
    sphere is a centre that posteriors could fall back to.

    Arguments:
        dim: the number of dimensions around the sphere, d, from 2 on: its surface has one less.

    Raises:
        ValueError: for fewer than two dimensions.

    References:
        Davidson, Falorsi, De Cao, Kipf and Tomczak, 2018, Hyperspherical VAEs, https://arxiv.org/abs/1804.00891

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> _ = torch.manual_seed(0)
        >>> priors.Sphere(3)().sample().norm()
        tensor(1.)
    """

    like: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _checks.size("priors.Sphere, dim", dim, least=2)
        # It has no numbers of its own: where it draws, and how precisely, is where this one is.
        self.register_buffer("like", torch.empty(0), persistent=False)

    def forward(self) -> Distribution:
        return SphericalUniform(self.dim, dtype=self.like.dtype, device=self.like.device)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
