"""The von Mises-Fisher distribution: what the normal is in space, on the unit sphere."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from pyro.distributions.util import broadcast_shape
from torch import Tensor

from pyrovae.distributions import _radial
from pyrovae.errors import explain


class VonMisesFisher(TorchDistribution):
    r"""The von Mises-Fisher distribution on the unit sphere :math:`S^{m-1}` of :math:`\mathbb R^m`.

    .. math::
        f(x) = \frac{e^{\kappa \mu^\top x}}{C_m(\kappa)}, \qquad
        C_m(\kappa) = (2\pi)^{m/2} \kappa^{1 - m/2} I_{m/2-1}(\kappa)

    a density with respect to the area of the sphere, uniform for :math:`\kappa = 0`. Everything is scaled at
    the mode and holds for any dimension and concentration, in float32 too; :math:`C_m`, the moments and their
    derivatives are one sum of quadrature (see ``pyrovae.distributions._radial``).

    ``rsample`` draws the cosine to :math:`\mu` by the inverse of its distribution function, a direction
    across from normals, and turns both from the first axis to :math:`\mu` by a reflection (Ulrich, 1984;
    Davidson et al., 2018). Unlike there, no proposal is rejected: the number of operations is fixed, so that
    a captured step can hold them, and the gradient by :math:`\kappa` is the implicit one, which needs no
    correction (Naesseth et al., 2017).

    Arguments:
        loc: mean directions, unit vectors ``(..., m)``, m from 2 on.
        concentration: :math:`\kappa \ge 0`, ``(...)``; batch shapes broadcast.

    Raises:
        ValueError: for a loc that isn't of unit length, a negative concentration, or shapes that don't fit.

    References:
        Ulrich, 1984, Computer Generation of Distributions on the m-Sphere, Applied Statistics 33(2).
        Naesseth, Ruiz, Linderman and Blei, 2017, https://arxiv.org/abs/1610.05683
        Davidson, Falorsi, De Cao, Kipf and Tomczak, 2018, Hyperspherical VAEs, https://arxiv.org/abs/1804.00891

    Example:
        >>> import torch
        >>> from pyrovae.distributions import VonMisesFisher
        >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(10.0))
        >>> q.mean
        tensor([0.0000, 0.0000, 0.9000])
        >>> round(q.log_prob(torch.tensor([0.0, 0.0, 1.0])).item(), 4)
        0.4647
        >>> _ = torch.manual_seed(0)
        >>> q.rsample((2,)).shape
        torch.Size([2, 3])
    """

    arg_constraints = {"loc": constraints.sphere, "concentration": constraints.nonnegative}  # noqa: RUF012
    support = constraints.sphere
    has_rsample = True
    first_order = True
    """Draws have first derivatives by the concentration, and no second ones."""

    loc: Tensor
    concentration: Tensor
    _given: Tensor

    def __init__(
        self, loc: Tensor, concentration: Tensor | float, *, validate_args: bool | None = None
    ) -> None:
        if loc.ndim < 1 or loc.shape[-1] < 2:
            raise ValueError(
                explain(
                    "VonMisesFisher, loc",
                    expected="unit vectors (..., m) of m >= 2 dimensions",
                    got=f"shape {tuple(loc.shape)}",
                    remedy="Put the vectors along the last dimension; on a circle m is 2.",
                )
            )
        concentration = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        try:
            batch_shape = torch.Size(broadcast_shape(loc.shape[:-1], concentration.shape))
        except ValueError as error:
            raise ValueError(
                explain(
                    "VonMisesFisher, concentration",
                    expected=f"a shape that broadcasts with loc's batch {tuple(loc.shape[:-1])}",
                    got=f"{tuple(concentration.shape)}",
                    remedy="Give one number for each vector: squeeze a last dimension of 1.",
                )
            ) from error
        self.loc = loc.expand(batch_shape + loc.shape[-1:])
        self.concentration = concentration.expand(batch_shape)
        self._given = _without_copies(concentration, batch_shape)
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)

    @classmethod
    def infer_shapes(cls, **arg_shapes: Any) -> tuple[torch.Size, torch.Size]:
        """Batch and event shape for the shapes of the arguments."""
        loc, concentration = arg_shapes["loc"], arg_shapes["concentration"]
        return torch.Size(broadcast_shape(loc[:-1], concentration)), torch.Size(loc[-1:])

    def expand(self, batch_shape: Any, _instance: Any = None) -> VonMisesFisher:
        new: VonMisesFisher = self._get_checked_instance(  # type: ignore[no-untyped-call]
            VonMisesFisher, _instance
        )
        batch_shape = torch.Size(batch_shape)
        new.loc = self.loc.expand(batch_shape + self.event_shape)
        new.concentration = self.concentration.expand(batch_shape)
        new._given = _without_copies(self._given, batch_shape)
        super(VonMisesFisher, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        r""":math:`\frac{I_{m/2}(\kappa)}{I_{m/2-1}(\kappa)} \mu`, inside the sphere, ``(..., m)``."""
        below, _ = _radial.moments(self._given, self._dim)
        return (1 - below).unsqueeze(-1) * self.loc

    @property
    def mode(self) -> Tensor:
        """The mean direction, ``(..., m)``."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Of each coordinate, ``(..., m)``."""
        below, across = (x.unsqueeze(-1) for x in _radial.moments(self._given, self._dim))
        side = across / (self._dim - 1)
        return side + (below * (2 - below) - across - side) * self.loc.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density by area, nats, ``(...)`` for unit vectors ``(..., m)``."""
        if self._validate_args:
            self._validate_sample(value)
        return self.concentration * ((self.loc * value).sum(-1) - 1) - self.log_normalizer

    @property
    def log_normalizer(self) -> Tensor:
        r""":math:`\log C_m(\kappa) - \kappa`, ``(...)``."""
        return _radial.log_normalizer(self._given, self._dim).expand(self.batch_shape)

    def entropy(self) -> Tensor:
        """Nats, by area: that of the uniform distribution where the concentration is zero."""
        below, _ = _radial.moments(self._given, self._dim)
        return self.log_normalizer + self.concentration * below

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Unit vectors, ``sample_shape + (..., m)``, differentiable in loc and concentration."""
        sample_shape = torch.Size(sample_shape)
        copies = self.batch_shape[: len(self.batch_shape) - self._given.ndim]
        along, across = _radial.draw(self._given, self._dim, sample_shape + copies)
        noise = self.loc.new_empty((*sample_shape, *self.batch_shape, self._dim - 1)).normal_()
        side = noise / noise.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(noise.dtype).tiny)
        point = torch.cat((along.unsqueeze(-1), across.unsqueeze(-1) * side), -1)
        return _turn(point, self.loc)

    @property
    def _dim(self) -> int:
        return self.event_shape[0]


def _without_copies(concentration: Tensor, batch_shape: torch.Size) -> Tensor:
    """Expanded to the right of its dimensions only: the quadrature is once for all particles on the left."""
    return concentration.expand(batch_shape[len(batch_shape) - concentration.ndim :])


def _turn(point: Tensor, loc: Tensor) -> Tensor:
    """Turns the sphere so that the first axis becomes loc: a reflection, by the longer of two normals."""
    sign = torch.where(loc[..., :1] < 0, -1.0, 1.0).to(loc.dtype)
    normal = torch.cat((loc[..., :1] + sign, loc[..., 1:]), -1)
    # For a unit vector, half the square of the normal's length is 1 + |loc_1|.
    half_square = 1 + loc[..., :1].abs()
    return -sign * (point - normal * (point * normal).sum(-1, keepdim=True) / half_square)
