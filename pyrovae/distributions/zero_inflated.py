"""Counts of which some are zero for another reason."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions.constraints import Constraint
from torch.nn.functional import logsigmoid

from pyrovae.errors import explain


class ZeroInflated(TorchDistribution):
    r"""A distribution of counts, or zero with a probability of its own.

    .. math::
        p(x) = \pi\, 1(x = 0) + (1 - \pi)\, p_{\mathrm{base}}(x), \qquad \pi = \operatorname{sigmoid}(g)

    Probabilities of any smallness are kept: at zero the two are added by their logarithms. (Pyro's class
    goes over to probabilities, and to minus infinity for :math:`g > 17`, once it was asked for a draw.)

    Arguments:
        base: the distribution of what hasn't dropped out, with an empty event shape.
        logits: :math:`g`, ``(...)``; batch shapes broadcast.

    Raises:
        ValueError: for a base of vectors.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogRatePoisson, ZeroInflated
        >>> p = ZeroInflated(LogRatePoisson(torch.tensor(0.0)), torch.tensor(0.0))
        >>> round(p.log_prob(torch.tensor(0.0)).exp().item(), 4)  # 1/2 + 1/2e
        0.6839
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012

    logits: Tensor

    def __init__(self, base: Any, logits: Tensor, *, validate_args: bool | None = None) -> None:
        if base.event_shape:
            raise ValueError(
                explain(
                    "ZeroInflated, base",
                    expected="a distribution of single counts, with an empty event shape",
                    got=f"events of shape {tuple(base.event_shape)}",
                    remedy="Call .to_event afterwards.",
                )
            )
        shape = torch.broadcast_shapes(base.batch_shape, logits.shape)
        self.base, self.logits = base.expand(shape), logits.expand(shape)
        super().__init__(shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ZeroInflated:
        new: ZeroInflated = self._get_checked_instance(  # type: ignore[no-untyped-call]
            ZeroInflated, _instance
        )
        new.base, new.logits = self.base.expand(batch_shape), self.logits.expand(batch_shape)
        super(ZeroInflated, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        """The base's."""
        support: Constraint = self.base.support
        return support

    @property
    def mean(self) -> Tensor:
        r""":math:`(1 - \pi) \mu`, ``(...)``."""
        mean: Tensor = torch.sigmoid(-self.logits) * self.base.mean
        return mean

    @property
    def variance(self) -> Tensor:
        r""":math:`(1 - \pi) (\sigma^2 + \pi \mu^2)`, ``(...)``."""
        inflation = torch.sigmoid(self.logits) * self.base.mean.square()
        variance: Tensor = torch.sigmoid(-self.logits) * (self.base.variance + inflation)
        return variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        counted = logsigmoid(-self.logits) + self.base.log_prob(value)
        return torch.where(value == 0, torch.logaddexp(logsigmoid(self.logits), counted), counted)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Counts, ``sample_shape + (...)``."""
        with torch.no_grad():
            counts: Tensor = self.base.sample(sample_shape)
            dropped = torch.rand_like(counts) < torch.sigmoid(self.logits)
            return counts.masked_fill(dropped, 0)
