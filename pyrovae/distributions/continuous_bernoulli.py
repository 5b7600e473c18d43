"""The continuous Bernoulli distribution, exact for any logit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

_SERIES_BELOW = 1.0
_RATIO = -1 / math.expm1(_SERIES_BELOW)
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
"""The Bernoulli numbers B_2, B_4, ..., B_18."""
_SINGLE = 5
"""How many terms of the series count in single precision."""
_NODES, _WEIGHTS = (half.tolist() for half in np.polynomial.legendre.leggauss(6))


class ContinuousBernoulli(TorchDistribution):
    r"""The density on [0, 1] that is proportional to a Bernoulli's probability.

    .. math::
        p(x) = \frac{e^{\eta x}}{\int_0^1 e^{\eta u}\, du} = \frac{\eta\, e^{\eta x}}{e^\eta - 1},
        \qquad \eta = \log \frac{\lambda}{1 - \lambda}

    uniform for :math:`\eta = 0`. Around it all is computed by series in :math:`\eta`, elsewhere by the
    distance from the edge that the density favours, so that value and gradients are right to rounding for any
    logit. Of torch's class, in float32, neither is: it cuts :math:`\lambda` off at 1e-7 (at :math:`\eta = 50`
    its density has mass 0.3 and no gradient through the normaliser), is off by 1.4% in the gradient at
    :math:`\lambda = 0.499`, and inside (0.499, 0.501) its draws have no gradient.

    Arguments:
        logits: :math:`\eta`, any shape.

    References:
        Loaiza-Ganem and Cunningham, 2019, The Continuous Bernoulli: Fixing a Pervasive Error in Variational
        Autoencoders, https://arxiv.org/abs/1907.06845

    Example:
        >>> import torch
        >>> from pyrovae.distributions import ContinuousBernoulli
        >>> p = ContinuousBernoulli(torch.tensor([0.0, 50.0]))
        >>> p.log_prob(torch.tensor([0.3, 1.0])).exp()
        tensor([ 1.0000, 50.0000])
        >>> p.mean
        tensor([0.5000, 0.9800])
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ContinuousBernoulli:
        new: ContinuousBernoulli = self._get_checked_instance(  # type: ignore[no-untyped-call]
            ContinuousBernoulli, _instance
        )
        new.logits = self.logits.expand(batch_shape)
        super(ContinuousBernoulli, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """In (0, 1); unlike a Bernoulli's it isn't the sigmoid of the logit."""
        near = 0.5 + self._near * _series(self._near, _MEAN)
        off = self._far.reciprocal() - torch.expm1(self._far).reciprocal()
        return self._either(near, torch.where(self.logits > 0, 1 - off, off))

    @property
    def variance(self) -> Tensor:
        """At most 1/12, that of the uniform distribution."""
        edge = (-self._far).exp() / torch.expm1(-self._far).square()
        return self._either(_series(self._near, _VARIANCE), self._far.reciprocal().square() - edge)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        rising = (self.logits > 0).to(self.logits.dtype)
        # Of a steepness beyond the range of the series the rest is a closed form, which begins at 0.
        slope = self.logits * (2 * rising - 1)
        # At the boundary itself each of these has half a slope; of clamp's that differs between versions.
        edge = slope.new_full((), _SERIES_BELOW)
        near, more = slope.minimum(edge), slope.maximum(edge) - edge
        top = 0.5 * near - near.square() * _series(near, _NORMALISER)
        top = top + (more / _SERIES_BELOW).log1p() - (_RATIO * torch.expm1(-more)).log1p()
        return self.logits * (value - rising) + top

    def entropy(self) -> Tensor:
        """Nats: zero for the uniform distribution, and negative otherwise."""
        near = self._near.square() * (_series(self._near, _NORMALISER) - _series(self._near, _MEAN))
        rest = (-(-self._far).exp()).log1p() - self._far / torch.expm1(self._far)
        return self._either(near, 1 - self._far.log() + rest)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of no more than a value of [0, 1]."""
        slope = self.logits.abs().clamp(min=torch.finfo(self.logits.dtype).eps)
        rising = self.logits > 0
        share = torch.expm1(-slope * value) / torch.expm1(-slope)
        return torch.where(rising, (-slope * (1 - value)).exp() * share, share)

    def icdf(self, value: Tensor) -> Tensor:
        r"""The quantile, differentiable in the logits.

        Near zero, where the usual formula divides rounding errors by the logit, it is a mean: of
        :math:`\tfrac12 (1 + \tanh(s + \operatorname{artanh}(2u - 1)))` over :math:`s \in [0, \eta / 2]`.
        """
        centred = 2 * value - 1
        near = torch.zeros_like(self._near * value)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            slope = torch.tanh((0.25 + 0.25 * node) * self._near)
            near = near + 0.5 * weight * (slope + centred) / (1 + slope * centred)
        share = torch.where(self.logits > 0, 1 - value, value) * torch.expm1(-self._far)
        least = torch.finfo(self.logits.dtype).eps / 2 - 1
        off = -share.clamp(min=least).log1p() / self._far
        far = torch.where(self.logits > 0, 1 - off, off)
        return self._either(0.5 + 0.5 * near, far).clamp(0, 1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws by the inverse of the distribution function."""
        shape = torch.Size(sample_shape) + self.batch_shape
        return self.icdf(torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device))

    @property
    def _is_near(self) -> Tensor:
        return self.logits.abs() < _SERIES_BELOW

    @property
    def _near(self) -> Tensor:
        """The logits, within the range of the series."""
        return torch.where(self._is_near, self.logits, 0.0)

    @property
    def _far(self) -> Tensor:
        """How steep the log density is, outside of that range."""
        return torch.where(self._is_near, _SERIES_BELOW, self.logits.abs())

    def _either(self, near: Tensor, far: Tensor) -> Tensor:
        return torch.where(self._is_near, near, far)


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """A polynomial in the square of x, of as many terms as the dtype can tell."""
    coefficients = coefficients if x.dtype == torch.float64 else coefficients[:_SINGLE]
    square = x.square()
    total = coefficients[-1] * square + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        total = total * square + coefficient
    return total


_NORMALISER = tuple(b / (2 * n * math.factorial(2 * n)) for n, b in enumerate(_BERNOULLI, 1))
_MEAN = tuple(b / math.factorial(2 * n) for n, b in enumerate(_BERNOULLI, 1))
_VARIANCE = tuple((2 * n - 1) * b / math.factorial(2 * n) for n, b in enumerate(_BERNOULLI, 1))
