"""A head for shares: a normal carried to the simplex."""

from __future__ import annotations

from torch import Tensor

from pyrovae import distributions
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class LogisticNormal:
    r"""A logistic-normal distribution of d shares, of which the network gives the normal's loc and variance.

    .. math::
        \mathrm{head}(t) = T_\# \mathcal N(\mu, \operatorname{diag} e^s), \qquad (\mu, s) = t,

    with T the breaking of a stick, see :class:`pyrovae.distributions.LogisticNormal`. For a prior of the same
    kind the divergence is that of the normals, in closed form. For events of one dimension only.

    Shapes: features ``(..., 2 (d - 1))`` become an event ``(d,)`` of shares that add up to one, d from 2 on.

    Raises:
        ValueError: when the last dimension is odd or zero.

    References:
        Aitchison and Shen, 1980, Logistic-Normal Distributions, Biometrika 67(2).
        Srivastava and Sutton, 2017, Autoencoding Variational Inference for Topic Models,
        https://arxiv.org/abs/1703.01488

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.LogisticNormal()
        >>> head.features(3)
        4
        >>> head(torch.zeros(5, 4))
        LogisticNormal(batch_shape=(5,), event_shape=(3,))
    """

    event_dim = 1

    def features(self, d: int) -> int:
        """How many network outputs make an event of d shares."""
        return 2 * (entries("heads.LogisticNormal", d, least=2) - 1)

    def __call__(self, t: Tensor) -> Distribution:
        if last(t) % 2 or not last(t):
            raise misfit(
                "heads.LogisticNormal",
                t,
                "2 * (d - 1) (locs and log variances, for one entry less than there are shares)",
                "Give the network features(d) outputs for d shares.",
            )
        loc, log_variance = t.chunk(2, -1)
        return distributions.LogisticNormal(loc, (0.5 * log_variance).exp())

    def __repr__(self) -> str:
        return "LogisticNormal()"
