"""A normal head with a full covariance, by its Cholesky factor."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import pad

from pyrovae import distributions
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class FullNormal:
    r"""A normal whose entries may all correlate: the network gives loc, log variances and correlations.

    .. math::
        \mathrm{head}(t) = \mathcal N(\mu, L L^\top), \qquad
        L = \begin{pmatrix}
            e^{s_1 / 2} \\ a_{21} & e^{s_2 / 2} \\ a_{31} & a_{32} & e^{s_3 / 2} \\ & & & \ddots
        \end{pmatrix}, \qquad (\mu, s, a) = t

    Any covariance has one such factor, and :math:`t = 0` is the standard normal. With :math:`a = 0` it is
    :class:`Normal` of the features before. KL divergences to normal priors are in closed form. For events of
    one dimension only: a factor for an image's every pixel would be a matrix of all pixels.

    Shapes: features ``(..., d + d (d + 1) / 2)`` become an event ``(d,)``: d locs, d log variances, and the
    :math:`d (d - 1) / 2` numbers below the diagonal of L.

    Raises:
        ValueError: when the last dimension is of no such size.

    References:
        Opper and Archambeau, 2009, The Variational Gaussian Approximation Revisited, Neural Computation 21.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.FullNormal()
        >>> head.features(3)
        9
        >>> head(torch.tensor([0.0, 0.0, 0.0, 0.0, 2.0])).covariance_matrix
        tensor([[1., 2.],
                [2., 5.]])
    """

    event_dim = 1

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        d = entries("heads.FullNormal", d)
        return d + d * (d + 1) // 2

    def __call__(self, t: Tensor) -> Distribution:
        d = (math.isqrt(9 + 8 * last(t)) - 3) // 2
        if d < 1 or self.features(d) != last(t):
            raise misfit(
                "heads.FullNormal",
                t,
                "d + d (d + 1) / 2 (a loc and a log variance each, and a factor's lower triangle)",
                "Give the network features(d) outputs: 2, 5, 9, 14, 20, ... for d = 1, 2, 3, 4, 5, ...",
            )
        loc, log_variance, below = t.split([d, d, d * (d - 1) // 2], -1)
        factor = _strictly_lower(below, d) + (0.5 * log_variance).exp().diag_embed()
        return distributions.FullNormal(loc, factor)

    def __repr__(self) -> str:
        return "FullNormal()"


def _strictly_lower(below: Tensor, d: int) -> Tensor:
    """Numbers ``(..., d (d - 1) / 2)`` as the part below the diagonal, ``(..., d, d)``.

    The triangle of n rows is half of a rectangle of its numbers and the same ones in reverse; the n that
    would stand twice are left out.
    """
    n = d - 1
    square = pad(below[..., n:], (0, below.shape[-1])) + pad(below.flip(-1), (below.shape[-1] - n, 0))
    square = square.reshape(*below.shape[:-1], n, n).tril()
    return pad(square, (0, 1, 1, 0))
