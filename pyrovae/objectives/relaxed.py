"""Estimators for 0/1 and one-hot sites that differentiate through a relaxed draw, or through a mean."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Independent
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from pyrovae.distributions.unwrapping import unwrapped
from pyrovae.errors import explain
from pyrovae.objectives.estimators import Drawn, Estimator, Setting
from pyrovae.objectives.schedules import Schedule


class StraightThrough(Estimator):
    r"""A hard draw whose gradient is taken to be that of its mean. Biased.

    .. math:: z \sim q_\phi, \qquad
        \frac{\partial z}{\partial \phi} := \frac{\partial\, \mathbb E_q[z]}{\partial \phi}

    For Bernoulli and one-hot sites.

    References:
        Bengio, Léonard and Courville, 2013, Estimating or Propagating Gradients Through Stochastic Neurons,
        https://arxiv.org/abs/1308.3432
    """

    unbiased = False

    def lacks(self, fn: Any) -> str | None:
        return None if isinstance(unwrapped(fn), _BINARY + _ONE_HOT) else "0/1 or one-hot values"

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        with torch.no_grad():
            hard = fn.sample()
        mean = fn.mean
        # The difference is exactly zero, so that the value stays in the support to the last bit.
        return Drawn(hard + (mean - mean.detach()))


class GumbelSoftmax(Estimator):
    r"""A relaxed draw (or a hard one with the relaxed one's gradient) beside the discrete KL. Biased.

    .. math:: z = \operatorname{softmax}\big((\log \pi + g) / \tau\big), \qquad g_i \sim \mathrm{Gumbel}

    for a one-hot site, :math:`\sigma((\log \frac{\pi}{1 - \pi} + l) / \tau)` with logistic noise for a
    Bernoulli. The KL term is that of the discrete distributions.

    Arguments:
        temperature: :math:`\tau`, a number or a schedule.
        hard: hand the programs the hard draw, and differentiate the relaxed one (straight through).

    References:
        Jang, Gu and Poole, 2017, Categorical Reparameterization with Gumbel-Softmax,
        https://arxiv.org/abs/1611.01144
    """

    unbiased = False

    def __init__(self, temperature: float | Schedule = 0.5, *, hard: bool = False) -> None:
        self.temperature, self.hard = _temperature("temperature", temperature), hard

    def lacks(self, fn: Any) -> str | None:
        return None if isinstance(unwrapped(fn), _BINARY + _ONE_HOT) else "0/1 or one-hot values"

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        relaxed = _relaxed(fn, _at(self.temperature, setting.step))
        soft = _into_support(fn, relaxed.rsample())
        with torch.no_grad():
            hard = _rounded(fn, soft)
        if self.hard:
            return Drawn(hard + (soft - soft.detach()))
        # A soft value has no density under the discrete distributions: theirs are read at the hard one.
        return Drawn(soft, densities=lambda guide, prior: (guide.log_prob(hard), prior.log_prob(hard)))

    def schedules(self) -> list[Schedule]:
        return [self.temperature] if isinstance(self.temperature, Schedule) else []

    def __repr__(self) -> str:
        return f"{type(self).__name__}(temperature={self.temperature}, hard={self.hard})"


class Concrete(GumbelSoftmax):
    r"""Both sides of the site relaxed to the Concrete distribution: an ELBO, of the relaxed model.

    .. math:: \mathbb E_{q_\tau(z \mid x)}
        \big[\log p(x \mid z) + \log p_{\tau'}(z) - \log q_\tau(z \mid x)\big]

    The densities are those of the unsquashed variable (the logit, or the logarithm), which lose no digits at
    low temperatures. Seen as an estimator for the discrete model it is biased at any temperature.

    Arguments:
        temperature: :math:`\tau` of the guide, a number or a schedule.
        prior_temperature: :math:`\tau'` of the prior; by default the guide's.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712
    """

    def __init__(
        self, temperature: float | Schedule = 0.5, *, prior_temperature: float | Schedule | None = None
    ) -> None:
        super().__init__(temperature)
        self.prior_temperature = (
            self.temperature
            if prior_temperature is None
            else _temperature("prior_temperature", prior_temperature)
        )

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        relaxed = _relaxed(fn, _at(self.temperature, setting.step))
        free = relaxed.rsample()
        tau = _at(self.prior_temperature, setting.step)

        def densities(guide: Any, prior: Any) -> tuple[Tensor, Tensor]:
            return tuple(  # type: ignore[return-value]
                _summed(side, _relaxed(side, t).log_prob(free))
                for side, t in ((guide, _at(self.temperature, setting.step)), (prior, tau))
            )

        return Drawn(_into_support(fn, free), densities=densities)

    def schedules(self) -> list[Schedule]:
        both = (self.temperature, self.prior_temperature)
        return [tau for tau in dict.fromkeys(both) if isinstance(tau, Schedule)]

    def __repr__(self) -> str:
        return f"Concrete(temperature={self.temperature}, prior_temperature={self.prior_temperature})"


_BINARY = (dist.Bernoulli, torch.distributions.Bernoulli)
_ONE_HOT = (dist.OneHotCategorical, torch.distributions.OneHotCategorical)


def _temperature(name: str, value: float | Schedule) -> float | Schedule:
    if not isinstance(value, Schedule) and not (isinstance(value, int | float) and value > 0):
        raise ValueError(
            explain(name, expected="a positive number or a schedule", got=repr(value), remedy="Try 0.5.")
        )
    return value


def _at(value: float | Schedule, step: Tensor) -> Tensor:
    if isinstance(value, Schedule):
        return value.at(step)
    return torch.as_tensor(value, dtype=torch.get_default_dtype(), device=step.device)


def _relaxed(fn: Any, temperature: Tensor) -> Any:
    """The relaxed distribution of the unsquashed variable, entry by entry."""
    base = unwrapped(fn)
    logits = base.logits
    temperature = temperature.to(logits.dtype)
    if isinstance(base, _BINARY):
        return LogitRelaxedBernoulli(temperature, logits=logits, validate_args=False)
    return ExpRelaxedCategorical(temperature, logits=logits, validate_args=False)


def _into_support(fn: Any, free: Tensor) -> Tensor:
    return torch.sigmoid(free) if isinstance(unwrapped(fn), _BINARY) else free.exp()


def _rounded(fn: Any, soft: Tensor) -> Tensor:
    if isinstance(unwrapped(fn), _BINARY):
        return (soft > 0.5).to(soft.dtype)
    return torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)


def _summed(fn: Any, log_prob: Tensor) -> Tensor:
    """Sums what the nested ``Independent`` of a distribution count to the event."""
    dims = 0
    while isinstance(fn, Independent):
        dims += fn.reinterpreted_batch_ndims
        fn = fn.base_dist
    return log_prob.sum(list(range(-dims, 0))) if dims else log_prob
