"""A categorical distribution whose categories are gray levels in [0, 1]."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.distributions import _rows
from pyrovae.distributions._supports import Grid, all_values, check_levels, level_of, value_of


class GridCategorical(TorchDistribution):
    r"""Any probabilities on the gray levels :math:`\tfrac{k}{L - 1}`, k = 0, ..., L - 1.

    .. math:: P\big(\tfrac{k}{L - 1}\big) = \operatorname{softmax}(t)_k

    Unlike those of a ``Categorical``, its values are numbers: it has a mean and a variance.

    Arguments:
        logits: t, ``(..., L)``.

    Raises:
        ValueError: for fewer than two logits; a value off the grid.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import GridCategorical
        >>> p = GridCategorical(torch.tensor([0.0, 0.0, 0.0]))
        >>> p.log_prob(torch.tensor(0.5)).exp(), p.mean
        (tensor(0.3333), tensor(0.5000))
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012
    has_enumerate_support = True

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.levels = logits.shape[-1] if logits.ndim else 0
        check_levels("GridCategorical", self.levels)
        self.logits = _rows.log_softmax(logits)
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The gray levels."""
        return Grid(self.levels)

    def expand(self, batch_shape: Any, _instance: Any = None) -> GridCategorical:
        new: GridCategorical = self._get_checked_instance(  # type: ignore[no-untyped-call]
            GridCategorical, _instance
        )
        batch = torch.Size(batch_shape)
        new.levels, new.logits = self.levels, self.logits.expand((*batch, self.levels))
        super(GridCategorical, new).__init__(batch, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """In [0, 1]."""
        return self.logits.exp() @ all_values(self.levels, self.logits)

    @property
    def variance(self) -> Tensor:
        """Of the gray levels."""
        away = all_values(self.levels, self.logits) - self.mean.unsqueeze(-1)
        return (self.logits.exp() * away.square()).sum(-1)

    @property
    def mode(self) -> Tensor:
        """The likeliest level."""
        return value_of(self.logits.argmax(-1).to(self.logits.dtype), self.levels)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability, nats."""
        if self._validate_args:
            self._validate_sample(value)
        return _rows.at_index(self.logits, level_of(value, self.levels).long())

    def entropy(self) -> Tensor:
        """Nats, at most log L."""
        return torch.special.entr(self.logits.exp()).sum(-1)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Gray levels, in [0, 1]."""
        with torch.no_grad():
            level = torch.distributions.Categorical(logits=self.logits).sample(torch.Size(sample_shape))
            return value_of(level.to(self.logits.dtype), self.levels)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All levels, ``(L, 1, ...)`` or ``(L, ...)``."""
        values = all_values(self.levels, self.logits).reshape(-1, *[1] * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def __repr__(self) -> str:
        return f"GridCategorical(batch_shape={tuple(self.batch_shape)}, levels={self.levels})"
