"""A mixture of discretised logistics: one gray level, of several kinds."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
from pyro.distributions import constraints
from torch import Tensor

from pyrovae.distributions._supports import Grid
from pyrovae.distributions.discretised_logistic import DiscretisedLogistic


class LogisticMixture(dist.MixtureSameFamily):  # type: ignore[misc]
    r"""A gray level from one of K discretised logistic variables.

    .. math:: P(x) = \sum_{k=1}^K \operatorname{softmax}(w)_k\, \mathrm{DL}(x \mid \mu_k, s_k)

    To Pyro it is a ``MixtureSameFamily`` of :class:`pyrovae.distributions.DiscretisedLogistic`.

    Arguments:
        logits: w, ``(..., K)``.
        loc, log_scale: :math:`\mu` and s, on the scale of x, ``(..., K)``.
        levels: L.

    Raises:
        ValueError: for fewer than two levels; a value off the grid.

    References:
        Salimans, Karpathy, Chen and Kingma, 2017, PixelCNN++, https://arxiv.org/abs/1701.05517

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogisticMixture
        >>> p = LogisticMixture(torch.zeros(2), torch.tensor([0.0, 1.0]), torch.full((2,), -3.0), levels=3)
        >>> p.log_prob(torch.tensor([0.0, 0.5, 1.0])).exp()
        tensor([0.4967, 0.0066, 0.4967])
    """

    levels: int

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        log_scale: Tensor,
        *,
        levels: int = 256,
        validate_args: bool | None = None,
    ) -> None:
        self.levels = levels
        super().__init__(
            dist.Categorical(logits=logits),
            DiscretisedLogistic(loc, log_scale, levels=levels),
            validate_args=validate_args,
        )

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The gray levels."""
        return Grid(self.levels)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogisticMixture:
        new: Any = self._get_checked_instance(LogisticMixture, _instance)
        new.levels = self.levels
        return super().expand(batch_shape, _instance=new)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability, nats."""
        if self._validate_args:
            self._validate_sample(value)
        # The weights are normalised: torch's class does it again, and copies what isn't contiguous.
        logits: Tensor = self.mixture_distribution.logits
        each: Tensor = logits + self.component_distribution.log_prob(value.unsqueeze(-1))
        return each.logsumexp(-1)

    def __repr__(self) -> str:
        return (
            f"LogisticMixture(components={self._num_component}, levels={self.levels}, "
            f"batch_shape={tuple(self.batch_shape)})"
        )
