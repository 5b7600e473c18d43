"""A learned mixture of diagonal normals."""

from __future__ import annotations

import math
import warnings
from typing import Self

import torch
from torch import Tensor, nn

from pyrovae.distributions import SharedMixture
from pyrovae.priors import _checks
from pyrovae.randomness import seed_of
from pyrovae.types import Distribution


class NormalMixture(nn.Module):
    r"""A mixture of K diagonal normals, with learned locs, scales and weights.

    .. math:: p(z) = \sum_{k=1}^K \pi_k\, \mathcal N(z; \mu_k, \operatorname{diag} \sigma_k^2)

    It starts with components spread over the standard normal's place: locs and scales such that the whole has
    mean zero and variance one.

    Arguments:
        dim: the number of latent dimensions, d.
        components: K.

    Raises:
        ValueError: for numbers of dimensions or components that aren't positive.

    References:
        Dilokthanakul et al., 2016, Deep Unsupervised Clustering with Gaussian Mixture Variational
        Autoencoders, https://arxiv.org/abs/1611.02648

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> _ = torch.manual_seed(0)
        >>> prior = priors.NormalMixture(8, components=10)
        >>> prior()
        SharedMixture(components=10, batch_shape=(), event_shape=(8,))
    """

    def __init__(self, dim: int, components: int) -> None:
        super().__init__()
        self.dim = _checks.size("priors.NormalMixture, dim", dim)
        self.components = _checks.size("priors.NormalMixture, components", components)
        share = 0.5 if components > 1 else 0.0  # of the variance, what is between components
        self.loc = nn.Parameter(math.sqrt(share) * torch.randn(components, dim))
        self.log_scale = nn.Parameter(torch.full((components, dim), 0.5 * math.log(1 - share)))
        self.logits = nn.Parameter(torch.zeros(components))

    def start_from(self, z: Tensor, *, seed: int = 0) -> Self:
        """Fits the mixture to draws ``(n, d)`` by expectation maximisation, from clusters of k-means.

        Arguments:
            z: draws of the posterior, as many as components at least.
            seed: of the clusters.

        Raises:
            ValueError: for draws of another shape, too few, or that don't vary in some dimension.

        Example:
            >>> import torch
            >>> from pyrovae import priors
            >>> z = torch.tensor([-3.0, -2.9, 2.9, 3.0])[:, None]
            >>> priors.NormalMixture(1, 2).start_from(z).loc.sort(0).values.detach().flatten()
            tensor([-2.9500,  2.9500])
        """
        from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
        from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]

        where = "NormalMixture.start_from"
        z = _checks.draws(where, z, self.dim, least=max(2, self.components))
        scale = _checks.varied(where, z.std(0, correction=0))
        found = GaussianMixture(
            self.components,
            covariance_type="diag",
            random_state=seed_of("mixture", seed) % 2**32,
        )
        with warnings.catch_warnings():
            # Gradients go on from wherever it stands after its hundred rounds.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # In units of each dimension's spread, what keeps variances from zero means the same everywhere.
            found.fit((z / scale).cpu().numpy())
        units = scale.cpu()
        _checks.keep(self.loc, torch.from_numpy(found.means_) * units)
        _checks.keep(self.log_scale, 0.5 * torch.from_numpy(found.covariances_).log() + units.log())
        _checks.keep(self.logits, torch.from_numpy(found.weights_).log())
        return self

    def forward(self) -> Distribution:
        return SharedMixture(self.loc, self.log_scale, self.logits)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, components={self.components}"
