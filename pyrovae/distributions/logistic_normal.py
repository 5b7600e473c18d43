"""The logistic-normal distribution on the simplex, all of whose arithmetic is in logarithms."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import Normal, TransformedDistribution, constraints
from torch import Tensor
from torch.distributions import StickBreakingTransform
from torch.nn.functional import logsigmoid, pad

from pyrovae.distributions._shares import above_zero


class LogisticNormal(TransformedDistribution):  # type: ignore[misc]
    r"""A normal on :math:`\mathbb R^{d-1}`, carried to the simplex of d shares by breaking a stick.

    .. math::
        x \sim \mathcal N(\mu, \operatorname{diag} \sigma^2), \qquad
        v_i = \operatorname{sigmoid}\big(x_i - \log (d - i)\big), \qquad
        y_i = v_i \prod_{j < i} (1 - v_j), \qquad y_d = \prod_{j < d} (1 - v_j)

    .. math:: \log p(y) = \sum_{i < d} \log \mathcal N(x_i; \mu_i, \sigma_i^2) - \sum_{i \le d} \log y_i

    The offsets put :math:`x = 0` at the middle of the simplex. It is torch's ``LogisticNormal``, and its
    divergences are those of the normals; here the rest of the stick is added up from its end and products
    are sums of logarithms, so that no digits cancel, and shares are kept from zero, at 1e-28 in float32:
    the density of any draw is finite.

    Arguments:
        loc, scale: of the normal, ``(..., d - 1)``, d from 2 on.

    References:
        Aitchison and Shen, 1980, Logistic-Normal Distributions, Biometrika 67(2).
        Srivastava and Sutton, 2017, Autoencoding Variational Inference for Topic Models,
        https://arxiv.org/abs/1703.01488

    Example:
        >>> import torch
        >>> from pyrovae.distributions import LogisticNormal
        >>> q = LogisticNormal(torch.zeros(4, 2), torch.ones(4, 2))
        >>> q.batch_shape, q.event_shape
        (torch.Size([4]), torch.Size([3]))
        >>> q.log_prob(torch.tensor([0.2, 0.3, 0.5]))
        tensor([1.2980, 1.2980, 1.2980, 1.2980])
    """

    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.simplex

    def __init__(self, loc: Tensor, scale: Tensor, *, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args).to_event(1)
        super().__init__(base, [StickBreakingTransform()], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogisticNormal:
        new = self._get_checked_instance(LogisticNormal, _instance)
        expanded: LogisticNormal = super().expand(batch_shape, _instance=new)
        return expanded

    @property
    def loc(self) -> Tensor:
        """Of the normal, ``(..., d - 1)``."""
        loc: Tensor = self.base_dist.base_dist.loc
        return loc

    @property
    def scale(self) -> Tensor:
        """Of the normal, ``(..., d - 1)``."""
        scale: Tensor = self.base_dist.base_dist.scale
        return scale

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density by the first d - 1 shares, nats, ``(...)`` for points of the simplex ``(..., d)``."""
        if self._validate_args:
            self._validate_sample(value)
        rest = above_zero(value.flip(-1).cumsum(-1).flip(-1)[..., 1:]).log()
        log_value = above_zero(value).log()
        x = log_value[..., :-1] - rest + _offsets(rest)
        deviation = (x - self.loc) / self.scale
        # Not by torch's Normal, whose gradient divides by the fourth power of the scale.
        log_normal = -0.5 * deviation.square() - self.scale.log() - 0.5 * math.log(2 * math.pi)
        return log_normal.sum(-1) - log_value.sum(-1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Points of the simplex, ``sample_shape + (..., d)``, differentiable in loc and scale."""
        x = self.base_dist.rsample(torch.Size(sample_shape))
        x = x - _offsets(x)
        log_value = pad(logsigmoid(x), (0, 1)) + pad(logsigmoid(-x).cumsum(-1), (1, 0))
        return above_zero(log_value.softmax(-1))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """As :meth:`rsample`, without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def __repr__(self) -> str:
        return f"LogisticNormal(batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)})"


def _offsets(x: Tensor) -> Tensor:
    """The logarithm of how many shares come after each, ``(d - 1,)``."""
    return torch.arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device).log()
