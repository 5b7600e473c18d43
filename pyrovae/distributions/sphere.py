"""The uniform distribution on the unit sphere, the prior that hides no direction."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.distributions import _radial
from pyrovae.errors import explain


class SphericalUniform(TorchDistribution):
    r"""The uniform distribution on the unit sphere :math:`S^{m-1}` of :math:`\mathbb R^m`.

    .. math:: f(x) = \frac{\Gamma(m/2)}{2 \pi^{m/2}}

    a density with respect to the area of the sphere.

    Arguments:
        dim: m, from 2 on; an event has the shape ``(m,)``.
        dtype, device: of the draws; torch's defaults where not given.

    Raises:
        ValueError: for fewer than two dimensions.

    References:
        Davidson, Falorsi, De Cao, Kipf and Tomczak, 2018, Hyperspherical VAEs, https://arxiv.org/abs/1804.00891

    Example:
        >>> import torch
        >>> from pyrovae.distributions import SphericalUniform
        >>> prior = SphericalUniform(3)
        >>> prior
        SphericalUniform(dim=3)
        >>> prior.expand([4]).log_prob(torch.eye(3)[0])
        tensor([-2.5310, -2.5310, -2.5310, -2.5310])
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.sphere
    has_rsample = True

    def __init__(
        self,
        dim: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 2:
            raise ValueError(
                explain(
                    "SphericalUniform, dim",
                    expected="an integer from 2 on",
                    got=repr(dim),
                    remedy="A circle has 2, the sphere of our space 3.",
                )
            )
        self.dtype, self.device = dtype, device
        super().__init__(torch.Size(), torch.Size((dim,)), validate_args=validate_args)

    @property
    def dim(self) -> int:
        """m, the number of dimensions around the sphere."""
        return self.event_shape[0]

    def expand(self, batch_shape: Any, _instance: Any = None) -> SphericalUniform:
        new: SphericalUniform = self._get_checked_instance(  # type: ignore[no-untyped-call]
            SphericalUniform, _instance
        )
        new.dtype, new.device = self.dtype, self.device
        super(SphericalUniform, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """The centre, zeros ``(..., m)``."""
        return torch.zeros(self.batch_shape + self.event_shape, dtype=self.dtype, device=self.device)

    @property
    def variance(self) -> Tensor:
        """Of each coordinate, 1/m, ``(..., m)``."""
        return torch.full_like(self.mean, 1 / self.dim)

    def log_prob(self, value: Tensor) -> Tensor:
        """Minus the log area of the sphere, nats, ``(...)`` for unit vectors ``(..., m)``."""
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(self.batch_shape, value.shape[:-1])
        return torch.full(shape, -_radial.log_area(self.dim), dtype=value.dtype, device=value.device)

    def entropy(self) -> Tensor:
        """The log area of the sphere, nats, ``(...)``."""
        return torch.full(self.batch_shape, _radial.log_area(self.dim), dtype=self.dtype, device=self.device)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Unit vectors, ``sample_shape + (..., m)``: directions of standard normals."""
        noise = torch.randn(self._extended_shape(sample_shape), dtype=self.dtype, device=self.device)
        return noise / noise.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(noise.dtype).tiny)

    def __repr__(self) -> str:
        return f"SphericalUniform(dim={self.dim})"
