"""The Poisson distribution by the logarithm of its rate."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.distributions import _draws


class LogRatePoisson(TorchDistribution):
    r"""The Poisson distribution of rate :math:`e^t`.

    .. math::
        \log p(x) = x t - e^t - \log x!

    With the rate as its parameter a logarithm undoes what an exponential has just done, and a rate that
    underflows gives NaN for a gradient. Here only :math:`t > 88` overflows in float32.

    Arguments:
        log_rate: :math:`t`, ``(...)``.

    Shapes: counts ``(...)``, floats of whole value or integers; draws are floats.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogRatePoisson
        >>> p = LogRatePoisson(torch.tensor(3.0).log())
        >>> round(p.log_prob(torch.tensor(2.0)).item(), 4)  # 2 ln 3 - 3 - ln 2
        -1.4959
    """

    arg_constraints = {"log_rate": constraints.real}  # noqa: RUF012
    support = constraints.nonnegative_integer

    log_rate: Tensor

    def __init__(self, log_rate: Tensor, *, validate_args: bool | None = None) -> None:
        self.log_rate = log_rate
        super().__init__(log_rate.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogRatePoisson:
        new: LogRatePoisson = self._get_checked_instance(  # type: ignore[no-untyped-call]
            LogRatePoisson, _instance
        )
        new.log_rate = self.log_rate.expand(batch_shape)
        super(LogRatePoisson, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """The rate, ``(...)``."""
        return self.log_rate.exp()

    @property
    def variance(self) -> Tensor:
        """The rate, ``(...)``."""
        return self.log_rate.exp()

    @property
    def mode(self) -> Tensor:
        """The largest whole number that the rate reaches, ``(...)``."""
        return self.log_rate.exp().floor()

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        value = value.to(self.log_rate.dtype)
        return value * self.log_rate - self.log_rate.exp() - torch.lgamma(value + 1)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Counts, ``sample_shape + (...)``."""
        return _draws.poisson(self.log_rate.detach().exp().expand(self._extended_shape(sample_shape)))
