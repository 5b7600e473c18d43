"""The distribution of a whole ladder of vectors, each given the one above it, as one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.types import Distribution


class Ladder(TorchDistribution):
    r"""A chain of vectors from the top down, side by side in one, the lowest first.

    .. math::
        p(z_1, \dots, z_L) = p(z_L) \prod_{l < L} p(z_l \mid z_{l+1})

    A draw starts at the top and comes down; the density of any value is exact.

    Arguments:
        top: the distribution of the highest vector, an event ``(d_L,)`` with pathwise samples.
        conditionals: for each level below it, from the lowest up, what makes :math:`p(z_l \mid z_{l+1})`
            of the vector above, ``(..., d_{l+1})``: a distribution of batch shape ``(...)`` and event
            ``(d_l,)``.
        sizes: :math:`d_1, \dots, d_L`, from the lowest up; an event has the shape ``(d_1 + ... + d_L,)``.

    Raises:
        ValueError: when the sizes are not one for each level, or the last is not the top's.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> from pyrovae.distributions import Ladder
        >>> top = dist.Normal(torch.zeros(1), 1.0).to_event(1)
        >>> walk = Ladder(top, [lambda above: dist.Normal(above.repeat(1, 2), 0.5).to_event(1)], (2, 1))
        >>> walk.event_shape, walk.expand([4]).sample().shape
        (torch.Size([3]), torch.Size([4, 3]))
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        top: Distribution,
        conditionals: Sequence[Callable[[Tensor], Distribution]],
        sizes: Sequence[int],
        *,
        validate_args: bool | None = None,
    ) -> None:
        sizes = tuple(sizes)
        if len(sizes) != len(conditionals) + 1 or tuple(top.event_shape) != sizes[-1:]:
            raise ValueError(
                explain(
                    "Ladder, sizes",
                    expected=f"{len(conditionals) + 1} sizes, one for each level, the last being the top's "
                    f"{tuple(top.event_shape)}",
                    got=repr(sizes),
                    remedy="Count the levels from the lowest up.",
                )
            )
        self.top, self.conditionals, self.sizes = top, tuple(conditionals), sizes
        super().__init__(top.batch_shape, torch.Size((sum(sizes),)), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Ladder:
        new: Ladder = self._get_checked_instance(Ladder, _instance)  # type: ignore[no-untyped-call]
        new.top, new.conditionals, new.sizes = self.top.expand(batch_shape), self.conditionals, self.sizes
        super(Ladder, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws from the top down, ``sample_shape + (..., d_1 + ... + d_L)``."""
        found: list[Tensor] = [self.top.rsample(sample_shape)]
        for conditional in reversed(self.conditionals):
            found.append(conditional(found[-1]).rsample())
        return torch.cat(found[::-1], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density, nats, ``(...)``: the sum over the levels."""
        if self._validate_args:
            self._validate_sample(value)
        levels = value.split(self.sizes, dim=-1)
        total: Tensor = self.top.log_prob(levels[-1])
        for conditional, (level, above) in zip(self.conditionals, pairwise(levels), strict=True):
            total = total + conditional(above).log_prob(level)
        return total

    def __repr__(self) -> str:
        return f"Ladder(sizes={self.sizes})"
