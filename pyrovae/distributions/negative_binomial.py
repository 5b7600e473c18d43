"""The negative binomial distribution by the logarithms of its mean and of its inverse dispersion."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.nn.functional import softplus

from pyrovae.distributions import _draws, _stirling

_LEAST, _MOST = -60.0, 80.0
"""Beyond these log inverse dispersions nothing changes any more that single precision could tell."""


class NegativeBinomial(TorchDistribution):
    r"""Counts of mean :math:`\mu` and variance :math:`\mu + \mu^2 / \theta`: a Poisson of a gamma's rate.

    .. math::
        p(x) = \frac{\Gamma(x + \theta)}{\Gamma(\theta)\, x!}
        \Big(\frac{\theta}{\theta + \mu}\Big)^\theta \Big(\frac{\mu}{\theta + \mu}\Big)^x,
        \qquad \mu = e^m,\ \theta = e^r

    This is scVI's parametrisation; :math:`\theta \to \infty` is the Poisson distribution. Torch's own
    subtracts :math:`\log \Gamma(\theta)` from :math:`\log \Gamma(x + \theta)`, which in float32 costs whole
    nats from :math:`\theta = 10^6` on. Here, with :math:`a = \theta + N` and Stirling's series
    :math:`\delta`, the difference is

    .. math::
        \log \frac{\Gamma(\theta + x)}{\Gamma(\theta)} - x r
        = \big(a + x - \tfrac12\big) \log\big(1 + \tfrac xa\big) - x + x \log\big(1 + \tfrac N\theta\big)
        + \delta(a + x) - \delta(a) - \sum_{j < N} \log\big(1 + \tfrac{x}{\theta + j}\big)

    in which nothing large is subtracted, for any :math:`\theta`.

    Arguments:
        log_mean: :math:`m`, ``(...)``.
        log_inverse_dispersion: :math:`r`, ``(...)``; shapes broadcast.

    Shapes: counts ``(...)``, floats of whole value or integers; draws are floats.

    References:
        Lopez, Regier, Cole, Jordan and Yosef, 2018, Deep Generative Modeling for Single-Cell Transcriptomics,
        Nature Methods 15, https://www.nature.com/articles/s41592-018-0229-2

    Example:
        >>> import torch
        >>> from pyrovae.distributions import NegativeBinomial
        >>> p = NegativeBinomial(torch.tensor(2.0).log(), torch.tensor(1.0).log())  # geometric
        >>> [round(p.log_prob(torch.tensor(x)).exp().item(), 4) for x in (0.0, 1.0, 2.0)]
        [0.3333, 0.2222, 0.1481]
        >>> round(p.variance.item(), 4)
        6.0
    """

    arg_constraints = {  # noqa: RUF012
        "log_mean": constraints.real,
        "log_inverse_dispersion": constraints.real,
    }
    support = constraints.nonnegative_integer

    log_mean: Tensor
    log_inverse_dispersion: Tensor

    def __init__(
        self, log_mean: Tensor, log_inverse_dispersion: Tensor, *, validate_args: bool | None = None
    ) -> None:
        self.log_mean, self.log_inverse_dispersion = torch.broadcast_tensors(log_mean, log_inverse_dispersion)
        super().__init__(self.log_mean.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> NegativeBinomial:
        new: NegativeBinomial = self._get_checked_instance(  # type: ignore[no-untyped-call]
            NegativeBinomial, _instance
        )
        new.log_mean = self.log_mean.expand(batch_shape)
        new.log_inverse_dispersion = self.log_inverse_dispersion.expand(batch_shape)
        super(NegativeBinomial, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`, ``(...)``."""
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        r""":math:`\mu + \mu^2 / \theta`, ``(...)``."""
        return self.log_mean.exp() + (2 * self.log_mean - self.log_inverse_dispersion).exp()

    @property
    def mode(self) -> Tensor:
        r""":math:`\lfloor \mu (\theta - 1) / \theta \rfloor`, and 0 for :math:`\theta \le 1`, ``(...)``."""
        shrunk = 1 - (-self.log_inverse_dispersion).exp()
        return (self.log_mean.exp() * shrunk.clamp(min=0)).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        x, m = value.to(self.log_mean.dtype), self.log_mean
        r = self.log_inverse_dispersion.clamp(_LEAST, _MOST)
        shift, terms = _stirling.series(m.dtype)
        # Not x / theta: its gradient divides by theta again, and underflows.
        theta, inverse = r.exp(), (-r).exp()
        share, ratio = shift * inverse, x * inverse
        skipped = ratio.log1p()
        for j in range(1, shift):
            skipped = skipped + (x / (theta + j)).log1p()
        a = theta + shift
        up = a + x
        # softplus is log (theta + mu) / theta; its threshold keeps float64 exact.
        spread = softplus(m - r, threshold=40)
        return (
            (up - 0.5) * (ratio / (1 + share)).log1p()
            + x * (m - spread + share.log1p())
            + (_stirling.delta(up, terms) - _stirling.delta(a, terms))
            - skipped
            - theta * spread
            - (torch.lgamma(x + 1) + x)
        )

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Counts, ``sample_shape + (...)``."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            m, r = self.log_mean.expand(shape), self.log_inverse_dispersion.expand(shape)
            theta = r.exp()
            # A gamma of little theta underflows, its logarithm need not: the gamma of theta is the one of
            # 1 + theta times U^(1 / theta).
            log_gamma = torch._standard_gamma(1 + theta).log() + torch.rand_like(theta).log() / theta
            return _draws.poisson((m - r + log_gamma).clamp(max=80).exp())
