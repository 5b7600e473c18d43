"""The categorical distribution by logits, normalised in one operation."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrovae.distributions import _rows


class LogitCategorical(dist.Categorical):
    r"""One of K categories, of which logits are given.

    .. math:: P(x) = \operatorname{softmax}(t)_x, \qquad x \in \{0, \dots, K - 1\}

    To Pyro it is a ``Categorical``. Torch's takes the logarithm of the sum from the logits, forward and
    backward in ten passes over all of them; this one takes ``log_softmax``, in two.

    Arguments:
        logits: t, ``(..., K)``.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogitCategorical
        >>> LogitCategorical(torch.zeros(4)).log_prob(torch.tensor(2)).exp()
        tensor(0.2500)
    """

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.logits = self._param = _rows.log_softmax(logits)
        self._num_events = logits.shape[-1]
        torch.distributions.Distribution.__init__(self, logits.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogitCategorical:
        new: Any = self._get_checked_instance(LogitCategorical, _instance)  # type: ignore[no-untyped-call]
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of codes, as floats or integers, nats."""
        if getattr(value, "_pyro_categorical_support", None) == id(self):
            # All categories in order, as Pyro enumerates them: it has no need to look them up.
            listed: Tensor = super().log_prob(value)  # type: ignore[no-untyped-call]
            return listed
        if self._validate_args:
            self._validate_sample(value)
        return _rows.at_index(self.logits, value.long())
