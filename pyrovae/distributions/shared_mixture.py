"""A mixture of diagonal normals that all data share, as a prior is: scored by one product of matrices."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pyrovae.distributions.normal_mixture import NormalMixture
from pyrovae.errors import explain


class SharedMixture(NormalMixture):
    r"""A mixture of K diagonal normals, the same for all data.

    .. math::
        \log p(z) = \log \sum_{k=1}^K \exp\Big(
            c_k + \sum_i z_i \frac{\mu_{ki}}{\sigma_{ki}^2} - \frac12 \sum_i \frac{z_i^2}{\sigma_{ki}^2}
        \Big)

    In this form the densities of n data are one product of an (n, 2 d) and a (2 d, K) matrix; the differences
    :math:`z_i - \mu_{ki}`, n times K times d numbers, are never formed. What the expansion loses by
    cancellation, about :math:`z^2 / \sigma^2` times the precision of a number, float64 makes up for: single
    precision is scored in double, where the loss is smaller than that of rounding :math:`z` to single. Double
    itself, and devices without it, take the differences.

    Arguments:
        loc, log_scale: of the components, ``(K, d)``.
        logits: of their weights, ``(K,)``, up to a constant.

    Raises:
        ValueError: for shapes that don't fit.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import SharedMixture
        >>> p = SharedMixture(torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), torch.zeros(2, 2), torch.zeros(2))
        >>> p.expand([3]).log_prob(torch.zeros(3, 2))
        tensor([-3.8379, -3.8379, -3.8379])
    """

    log_scale: Tensor

    def __init__(
        self, loc: Tensor, log_scale: Tensor, logits: Tensor, *, validate_args: bool | None = None
    ) -> None:
        if loc.ndim != 2 or log_scale.shape != loc.shape or logits.shape != loc.shape[:1]:
            raise ValueError(
                explain(
                    "SharedMixture",
                    expected="locs and log scales (K, d), logits (K,)",
                    got=", ".join(str(tuple(x.shape)) for x in (loc, log_scale, logits)),
                    remedy="For a mixture of its own for each datum, take NormalMixture.",
                )
            )
        self.log_scale = log_scale
        super().__init__(loc, log_scale.exp(), logits, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> SharedMixture:
        new: SharedMixture = self._get_checked_instance(  # type: ignore[no-untyped-call]
            SharedMixture, _instance
        )
        new.loc, new.scale, new.log_scale, new.logits = self.loc, self.scale, self.log_scale, self.logits
        super(NormalMixture, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """That of all components together, ``(..., d)``."""
        return super().mean.expand(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Of each coordinate, ``(..., d)``."""
        spread = (self.loc - self.probs @ self.loc).square()
        return (self.probs @ (self.scale.square() + spread)).expand(self.batch_shape + self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for ``(..., d)``."""
        if value.dtype == torch.float64 or value.device.type == "mps":
            log_prob = super().log_prob(value)
        else:
            if self._validate_args:
                self._validate_sample(value)
            log_prob = self._by_product(value.double()).to(value.dtype)
        return log_prob.expand(torch.broadcast_shapes(log_prob.shape, self.batch_shape))

    def _by_product(self, z: Tensor) -> Tensor:
        loc, log_scale = self.loc.double(), self.log_scale.double()
        # What all components have in common needs no digits.
        centre = loc.detach().mean(0)
        z, loc = z - centre, loc - centre
        precision = (-2 * log_scale).exp()
        linear = loc * precision
        factors = torch.cat([-0.5 * precision, linear], -1)
        constant = (
            self.logits.double()
            - 0.5 * (loc * linear).sum(-1)
            - log_scale.sum(-1)
            - 0.5 * math.log(2 * math.pi) * loc.shape[-1]
        )
        return (torch.cat([z.square(), z], -1) @ factors.mT + constant).logsumexp(-1)

    def __repr__(self) -> str:
        return (
            f"SharedMixture(components={self.logits.shape[-1]}, batch_shape={tuple(self.batch_shape)}, "
            f"event_shape={tuple(self.event_shape)})"
        )
