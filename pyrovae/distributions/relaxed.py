"""Relaxed choices (Concrete, Gumbel-softmax) whose own draws have finite densities at any temperature."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TransformedDistribution, constraints
from torch import Tensor
from torch.distributions import SigmoidTransform
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical
from torch.distributions.transforms import ExpTransform
from torch.distributions.utils import clamp_probs

from pyrovae.distributions._shares import above_zero


class RelaxedBernoulli(TransformedDistribution):  # type: ignore[misc]
    r"""A number in the unit interval that comes the closer to 0 or 1 the lower the temperature.

    .. math:: y = \operatorname{sigmoid}\Big(\frac{\ell + \log u - \log(1 - u)}{T}\Big), \qquad u \sim U(0, 1)

    As torch's, but for logits beyond :math:`\pm 16`: there torch's float32 draws are those of :math:`\pm 16`,
    and have no gradient. Draws are kept inside of [smallest normal number, 1 - epsilon].

    Arguments:
        temperature: T, a tensor of one number.
        logits: :math:`\ell`, ``(...)``.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712
        Jang, Gu and Poole, 2017, Categorical Reparameterization with Gumbel-Softmax,
        https://arxiv.org/abs/1611.01144

    Example:
        >>> import torch
        >>> from pyrovae.distributions import RelaxedBernoulli
        >>> q = RelaxedBernoulli(torch.tensor(0.5), torch.zeros(3))
        >>> q.log_prob(torch.tensor([0.1, 0.5, 0.9]))
        tensor([ 0.0408, -0.6931,  0.0408])
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, temperature: Tensor, logits: Tensor, *, validate_args: bool | None = None) -> None:
        base = _Logit(temperature, logits=logits, validate_args=validate_args)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> RelaxedBernoulli:
        new = self._get_checked_instance(RelaxedBernoulli, _instance)
        expanded: RelaxedBernoulli = super().expand(batch_shape, _instance=new)
        return expanded

    @property
    def temperature(self) -> Tensor:
        """T."""
        temperature: Tensor = self.base_dist.temperature
        return temperature

    @property
    def logits(self) -> Tensor:
        r""":math:`\ell`, ``(...)``."""
        logits: Tensor = self.base_dist.logits
        return logits

    def __repr__(self) -> str:
        return f"RelaxedBernoulli(batch_shape={tuple(self.batch_shape)})"


class _Logit(LogitRelaxedBernoulli):
    """The logit of a relaxed Bernoulli, drawn by logits of any size."""

    has_rsample = True

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(_Logit, _instance)  # type: ignore[no-untyped-call]
        return super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        u = clamp_probs(torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device))
        return (self.logits + u.log() - (-u).log1p()) / self.temperature


class RelaxedOneHot(TransformedDistribution):  # type: ignore[misc]
    r"""A point of the simplex that comes the closer to a corner the lower the temperature.

    .. math:: y = \operatorname{softmax}\Big(\frac{\ell + g}{T}\Big), \qquad g_i \sim \mathrm{Gumbel}

    .. math::
        p(y) = \Gamma(d)\, T^{d-1} \prod_i \frac{e^{\ell_i} y_i^{-T - 1}}{\sum_j e^{\ell_j} y_j^{-T}}

    As torch's ``RelaxedOneHotCategorical``, but that shares are kept from zero, at 1e-28 in float32:
    at low temperatures it loses them, and torch's density of such a draw is NaN.

    Arguments:
        temperature: T, a tensor of one number.
        logits: :math:`\ell`, ``(..., d)``.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712
        Jang, Gu and Poole, 2017, Categorical Reparameterization with Gumbel-Softmax,
        https://arxiv.org/abs/1611.01144

    Example:
        >>> import torch
        >>> from pyrovae.distributions import RelaxedOneHot
        >>> q = RelaxedOneHot(torch.tensor(0.5), torch.zeros(3))
        >>> q.log_prob(torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]))
        tensor([-0.5344, 95.4810])
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012
    support = constraints.simplex

    def __init__(self, temperature: Tensor, logits: Tensor, *, validate_args: bool | None = None) -> None:
        base = ExpRelaxedCategorical(temperature, logits=logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> RelaxedOneHot:
        new = self._get_checked_instance(RelaxedOneHot, _instance)
        expanded: RelaxedOneHot = super().expand(batch_shape, _instance=new)
        return expanded

    @property
    def temperature(self) -> Tensor:
        """T."""
        temperature: Tensor = self.base_dist.temperature
        return temperature

    @property
    def logits(self) -> Tensor:
        r""":math:`\ell`, normalised, ``(..., d)``."""
        logits: Tensor = self.base_dist.logits
        return logits

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density by the first d - 1 shares, nats, ``(...)`` for points of the simplex ``(..., d)``."""
        if self._validate_args:
            self._validate_sample(value)
        log_value = above_zero(value).log()
        density: Tensor = self.base_dist.log_prob(log_value) - log_value.sum(-1)
        return density

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Points of the simplex, ``sample_shape + (..., d)``, differentiable in temperature and logits."""
        # Once more normalised: exponentials of large numbers add up to one by rounding of these only.
        return above_zero(self.base_dist.rsample(torch.Size(sample_shape)).softmax(-1))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """As :meth:`rsample`, without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def __repr__(self) -> str:
        return f"RelaxedOneHot(batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)})"
