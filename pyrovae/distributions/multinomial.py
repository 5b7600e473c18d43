"""The multinomial distribution by logits, of any number of draws."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions.constraints import Constraint

from pyrovae.errors import explain


class CountsOf(Constraint):
    """Vectors of whole numbers from 0 on that add up to a given total."""

    is_discrete = True
    event_dim = 1

    def __init__(self, total_count: int) -> None:
        self.total_count = total_count

    def check(self, value: Tensor) -> Tensor:
        """Whether each vector is one, ``(...)`` for ``(..., d)``."""
        whole = constraints.nonnegative_integer.check(value).all(-1)
        return whole & (value.sum(-1) == self.total_count)

    def __repr__(self) -> str:
        return f"counts that add up to {self.total_count}"


class Multinomial(TorchDistribution):
    r"""How often each of d kinds is drawn, in so many draws as the counts themselves add up to.

    .. math::
        \log p(x) = \log N! - \sum_i \log x_i! + \sum_i x_i \log \operatorname{softmax}(t)_i,
        \qquad N = \sum_i x_i

    the exact probability given N, the coefficient included.

    Arguments:
        logits: :math:`t`, ``(..., d)``.
        total_count: N, needed for draws and moments only. Where it is given, counts must add up to it.

    Shapes: counts ``(..., d)``, floats of whole value or integers; draws are floats.

    Raises:
        ValueError: for draws or moments without ``total_count``.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import Multinomial
        >>> p = Multinomial(torch.zeros(3), total_count=4)
        >>> round(p.log_prob(torch.tensor([2.0, 1.0, 1.0])).exp().item(), 4)  # 12 / 81
        0.1481
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012

    logits: Tensor

    def __init__(
        self, logits: Tensor, total_count: int | None = None, *, validate_args: bool | None = None
    ) -> None:
        self.logits, self.total_count = logits, total_count
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Multinomial:
        new: Multinomial = self._get_checked_instance(  # type: ignore[no-untyped-call]
            Multinomial, _instance
        )
        batch_shape = torch.Size(batch_shape)
        new.logits, new.total_count = self.logits.expand(batch_shape + self.event_shape), self.total_count
        super(Multinomial, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Constraint:
        """Whole numbers from 0 on, that add up to ``total_count`` where it is given."""
        if self.total_count is None:
            return constraints.independent(constraints.nonnegative_integer, 1)
        return CountsOf(self.total_count)

    @property
    def mean(self) -> Tensor:
        """``total_count`` times the probabilities, ``(..., d)``."""
        return self._known_total("mean") * self.logits.softmax(-1)

    @property
    def variance(self) -> Tensor:
        """Of each count, ``(..., d)``."""
        p = self.logits.softmax(-1)
        return self._known_total("variance") * p * (1 - p)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(...)`` for counts ``(..., d)``."""
        if self._validate_args:
            self._validate_sample(value)
        x = value.to(self.logits.dtype)
        log_coefficient = torch.lgamma(x.sum(-1) + 1) - torch.lgamma(x + 1).sum(-1)
        return log_coefficient + (x * self.logits.log_softmax(-1)).sum(-1)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Counts, ``sample_shape + (..., d)``."""
        with torch.no_grad():
            draws = torch.distributions.Multinomial(
                self._known_total("draws"), logits=self.logits, validate_args=False
            )
            return draws.sample(torch.Size(sample_shape))

    def _known_total(self, what: str) -> int:
        if self.total_count is None:
            raise ValueError(
                explain(
                    f"Multinomial, {what}",
                    expected="the number of draws",
                    got="total_count=None, with which only given counts can be scored",
                    remedy="Write heads.Multinomial(total_count=N), or use log_prob alone.",
                )
            )
        return self.total_count
