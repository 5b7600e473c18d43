"""The Laplace prior, which favours latents near the centre and lets a few be far from it."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from pyrovae.distributions import LogScaleLaplace
from pyrovae.errors import explain
from pyrovae.priors import _checks
from pyrovae.types import Distribution


class Laplace(nn.Module):
    r"""Independent Laplace variables.

    .. math:: p(z) = \prod_{i=1}^d \frac{1}{2 b_i}\, e^{-|z_i - \mu_i| / b_i}

    Unlike the standard normal it is not the same in all directions: the axes mean something, and sparse codes
    are cheap along them.

    Arguments:
        dim: the number of latent dimensions, d.
        scale: b; :math:`\sqrt{1/2}` gives variance one. Where it starts when it is learned.
        learn: whether the locs, which start at zero, and the scales, one a dimension, are parameters.

    Raises:
        ValueError: for a number of dimensions or a scale that isn't positive.

    References:
        Barello, Charles and Pillow, 2018, Sparse-Coding Variational Auto-Encoders,
        https://doi.org/10.1101/399246

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> priors.Laplace(2)().log_prob(torch.zeros(2))  # -2 ln 2
        tensor(-1.3863)
    """

    starts_at_best = True
    loc: Tensor
    log_scale: Tensor

    def __init__(self, dim: int, *, scale: float = 1.0, learn: bool = False) -> None:
        super().__init__()
        self.dim = _checks.size("priors.Laplace, dim", dim)
        self.scale, self.learn = _checks.positive("priors.Laplace, scale", scale), learn
        loc, log_scale = torch.zeros(dim), torch.full((dim,), math.log(scale))
        if learn:
            self.loc, self.log_scale = nn.Parameter(loc), nn.Parameter(log_scale)
        else:
            self.register_buffer("loc", loc)
            self.register_buffer("log_scale", log_scale)

    def start_from(self, z: Tensor) -> Self:
        """Takes medians and mean deviations of draws ``(n, d)``: what makes them likeliest.

        Raises:
            ValueError: for draws of another shape, that don't vary in some dimension, or of a fixed prior.
        """
        where = "Laplace.start_from"
        if not self.learn:
            raise ValueError(
                explain(
                    where,
                    expected="a prior whose locs and scales are learned",
                    got="a fixed one",
                    remedy="Write Laplace(dim, learn=True).",
                )
            )
        z = _checks.draws(where, z, self.dim)
        loc = z.median(0).values
        _checks.keep(self.log_scale, _checks.varied(where, (z - loc).abs().mean(0)).log())
        _checks.keep(self.loc, loc)
        return self

    def forward(self) -> Distribution:
        return LogScaleLaplace(self.loc, self.log_scale).to_event(1)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, scale={self.scale:g}, learn={self.learn}"
