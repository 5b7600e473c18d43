"""A normal head whose covariance is a diagonal and a few directions."""

from __future__ import annotations

from torch import Tensor

from pyrovae import distributions
from pyrovae.heads._sizes import positive
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class LowRankNormal:
    r"""A normal of which the entries correlate in a few directions: d (2 + r) numbers instead of a matrix.

    .. math::
        \mathrm{head}(t) = \mathcal N\big(\mu, S (I + V V^\top) S\big), \qquad
        S = \operatorname{diag} e^{s / 2}, \quad V \in \mathbb R^{d \times r}, \qquad (\mu, s, V) = t

    V is measured by the diagonal's scales. So the matrix that is factorised, :math:`I_r + V^\top V`, is well
    behaved however small a variance becomes, in float32 too. :math:`t = 0` is the standard normal; there V
    has no gradient on average, and the network's weights lead away. KL divergences to normal priors are in
    closed form. For events of one dimension only.

    Arguments:
        rank: r, how many directions.

    Shapes: features ``(..., d (2 + r))`` become an event ``(d,)``: d locs, d log variances, and V row by row.

    Raises:
        ValueError: for a rank that isn't positive, or a last dimension that (2 + r) doesn't divide.

    References:
        Rezende, Mohamed and Wierstra, 2014, Stochastic Backpropagation, section 4.3 (rank one),
        https://arxiv.org/abs/1401.4082
        Ong, Nott and Smith, 2018, Gaussian Variational Approximation with a Factor Covariance Structure,
        https://arxiv.org/abs/1701.03208

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.LowRankNormal(rank=1)
        >>> head.features(2)
        6
        >>> head(torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, -1.0])).covariance_matrix
        tensor([[ 2., -1.],
                [-1.,  2.]])
    """

    event_dim = 1

    def __init__(self, rank: int) -> None:
        positive("LowRankNormal", rank=rank)
        self.rank = rank

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        return entries("heads.LowRankNormal", d) * (2 + self.rank)

    def __call__(self, t: Tensor) -> Distribution:
        d, rest = divmod(last(t), 2 + self.rank)
        if rest or not d:
            raise misfit(
                "heads.LowRankNormal",
                t,
                f"{2 + self.rank} * d (a loc, a log variance and {self.rank} factors for each of d)",
                "Give the network features(d) outputs.",
            )
        loc, log_variance, factor = t.split([d, d, d * self.rank], -1)
        return distributions.LowRankNormal(loc, 0.5 * log_variance, factor.unflatten(-1, (d, self.rank)))

    def __repr__(self) -> str:
        return f"LowRankNormal(rank={self.rank})"
