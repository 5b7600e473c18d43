"""A head for directions: the von Mises-Fisher distribution on the sphere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from pyrovae import distributions
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class VonMisesFisher:
    r"""A von Mises-Fisher distribution of which the network gives the direction and the concentration.

    .. math::
        \mathrm{head}(t) = \mathrm{vMF}\Big(\frac{v}{\|v\|}, \kappa\Big), \qquad
        \kappa = (d - 1) \operatorname{softplus}(s), \qquad (v, s) = t

    The concentration is counted in numbers of dimensions, for that is what makes it large: the mean cosine to
    the direction is near :math:`\kappa / d` for a small one. The length of v has no meaning; a v of zero
    counts as the first axis. The divergence from :class:`pyrovae.distributions.SphericalUniform` is in closed
    form. For events of one dimension only.

    Shapes: features ``(..., d + 1)`` become an event ``(d,)`` of unit length, d from 2 on (a circle).

    Raises:
        ValueError: for fewer than three features.

    References:
        Davidson, Falorsi, De Cao, Kipf and Tomczak, 2018, Hyperspherical VAEs, https://arxiv.org/abs/1804.00891

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> q = heads.VonMisesFisher()(torch.tensor([0.0, 3.0, 4.0, 1.0]))
        >>> q.loc, q.concentration
        (tensor([0.0000, 0.6000, 0.8000]), tensor(2.6265))
    """

    event_dim = 1

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        return entries("heads.VonMisesFisher", d, least=2) + 1

    def __call__(self, t: Tensor) -> Distribution:
        d = last(t) - 1
        if d < 2:
            raise misfit(
                "heads.VonMisesFisher",
                t,
                "d + 1, 3 or more (a direction of d entries and a concentration)",
                "Give the network features(d) outputs; a circle has d = 2.",
            )
        direction, s = t.split([d, 1], -1)
        concentration = (d - 1) * softplus(s.squeeze(-1))
        return distributions.VonMisesFisher(_unit(direction), concentration)

    def __repr__(self) -> str:
        return "VonMisesFisher()"


def _unit(v: Tensor) -> Tensor:
    """Vectors of length one; the first axis, without a gradient, for those too short to have a direction."""
    axis = pad(torch.ones_like(v[..., :1]), (0, v.shape[-1] - 1))
    v = torch.where(v.abs().amax(-1, keepdim=True) > 1e-12, v, axis)
    return v / v.norm(dim=-1, keepdim=True)
