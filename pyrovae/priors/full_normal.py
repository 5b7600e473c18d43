"""A normal prior whose dimensions may correlate."""

from __future__ import annotations

from typing import Self

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.priors import _checks
from pyrovae.types import Distribution


class FullNormal(nn.Module):
    r"""A normal prior with learned loc and covariance.

    .. math:: p(z) = \mathcal N(\mu, L L^\top)

    L is lower triangular with a positive diagonal, which is learned on the log scale. It starts at the
    standard normal. KL divergences of normal posteriors to it are in closed form.

    Arguments:
        dim: the number of latent dimensions, d.

    Raises:
        ValueError: for a number of dimensions that isn't positive.

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(10_000, 2) @ torch.tensor([[1.0, 2.0], [0.0, 1.0]])
        >>> priors.FullNormal(2).start_from(z)().covariance_matrix.detach().round()
        tensor([[1., 2.],
                [2., 5.]])
    """

    starts_at_best = True
    index: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = _checks.size("priors.FullNormal, dim", dim)
        self.loc = nn.Parameter(torch.zeros(dim))
        self.log_diagonal = nn.Parameter(torch.zeros(dim))
        self.below = nn.Parameter(torch.zeros(dim * (dim - 1) // 2))
        rows, columns = torch.tril_indices(dim, dim, -1)
        self.register_buffer("index", rows * dim + columns, persistent=False)

    @property
    def scale_tril(self) -> Tensor:
        """L, ``(d, d)``."""
        d = self.dim
        below = self.below.new_zeros(d * d).index_copy(0, self.index, self.below)
        return below.reshape(d, d) + self.log_diagonal.exp().diag_embed()

    def start_from(self, z: Tensor) -> Self:
        """Takes mean and covariance of draws ``(n, d)``: the normal under which they are likeliest.

        Raises:
            ValueError: for draws of another shape, or that lie in a plane of fewer than d dimensions.
        """
        z = _checks.draws("FullNormal.start_from", z, self.dim)
        factor, failed = torch.linalg.cholesky_ex(torch.atleast_2d(z.T.cov(correction=0)))
        if failed or not torch.isfinite(factor).all():
            raise ValueError(
                explain(
                    "FullNormal.start_from",
                    expected=f"draws that fill {self.dim} dimensions",
                    got=f"{len(z)} of a singular covariance",
                    remedy="Pass more of them, or take a DiagonalNormal.",
                )
            )
        _checks.keep(self.loc, z.mean(0))
        _checks.keep(self.log_diagonal, factor.diagonal().log())
        _checks.keep(self.below, factor.flatten()[self.index.to(factor.device)])
        return self

    def forward(self) -> Distribution:
        return dist.MultivariateNormal(self.loc, scale_tril=self.scale_tril)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
