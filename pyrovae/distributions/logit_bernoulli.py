"""The Bernoulli distribution by logits, its density in few passes."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.nn import functional as F


class LogitBernoulli(dist.Bernoulli):  # type: ignore[misc]
    r"""Zeros and ones, of which logits are given.

    .. math:: \log P(x) = \log \sigma(t) - (1 - x)\, t, \qquad x \in \{0, 1\}

    To Pyro it is a ``Bernoulli``. Torch's takes the binary cross-entropy and turns its sign, this one the
    logarithm itself.

    Arguments:
        logits: t, ``(...)``.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogitBernoulli
        >>> LogitBernoulli(torch.tensor([-200.0, 0.0, 3.0])).log_prob(torch.ones(3))
        tensor([-2.0000e+02, -6.9315e-01, -4.8587e-02])
    """

    family = "Bernoulli"
    """What it is called where its parameters don't matter."""

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.logits = self._param = logits
        torch.distributions.Distribution.__init__(self, logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogitBernoulli:
        new: Any = self._get_checked_instance(LogitBernoulli, _instance)
        return super().expand(batch_shape, _instance=new)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability, nats."""
        if self._validate_args:
            self._validate_sample(value)
        return torch.addcmul(F.logsigmoid(self.logits), value - 1, self.logits)
