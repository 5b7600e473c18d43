"""Heads for choices relaxed to numbers between, whose draws have gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pyrovae import distributions
from pyrovae.arguments import is_positive, shown
from pyrovae.errors import explain
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class _Relaxed(nn.Module):
    """A temperature, fixed or learned on the log scale."""

    event_dim = 1

    def __init__(self, temperature: float, learn: bool) -> None:
        super().__init__()
        if not is_positive(temperature):
            raise ValueError(
                explain(
                    f"heads.{type(self).__name__}, temperature",
                    expected="a positive number",
                    got=shown(temperature),
                    remedy="Try 0.5: the lower, the closer to a choice, and the steeper the gradients.",
                )
            )
        self.temperature, self.learn = temperature, learn
        log_temperature = torch.tensor(math.log(temperature))
        if learn:
            self.log_temperature = nn.Parameter(log_temperature)
        else:
            self.register_buffer("log_temperature", log_temperature)

    def _current(self, t: Tensor) -> Tensor:
        return self.log_temperature.exp().to(t.dtype)

    def extra_repr(self) -> str:
        return f"temperature={self.log_temperature.exp().item():.4g}, learn={self.learn}"


class RelaxedBernoulli(_Relaxed):
    r"""Independent yes-or-no choices relaxed to the unit interval, by logits (binary Concrete).

    .. math::
        \mathrm{head}(t) = \prod_i \mathrm{RelaxedBernoulli}(y_i \mid T, t_i), \qquad
        y = \operatorname{sigmoid}\Big(\frac{t + \log u - \log(1 - u)}{T}\Big)

    A posterior of its own kind: the bound is one of the relaxed model, with a prior on the unit interval such
    as the same head's of fixed logits. To train a model of true bits by relaxed draws, take
    :class:`Bernoulli` and ``objectives.Concrete``, whose temperature can follow a schedule.

    Arguments:
        temperature: T, or where it starts when it is learned; below 1 draws crowd at 0 and 1.
        learn: whether T is a parameter.

    Shapes: features ``(..., d)`` become an event ``(d,)`` in the unit interval.

    Raises:
        ValueError: for a temperature that isn't positive and finite, or features without a dimension.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> q = heads.RelaxedBernoulli(temperature=0.1)(torch.tensor([-9.0, 9.0]))
        >>> torch.round(q.rsample(), decimals=2)
        tensor([0., 1.])
    """

    def __init__(self, temperature: float = 0.5, *, learn: bool = False) -> None:
        super().__init__(temperature, learn)

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        return entries("heads.RelaxedBernoulli", d)

    def forward(self, t: Tensor) -> Distribution:
        if not last(t):
            raise misfit("heads.RelaxedBernoulli", t, "d, 1 or more (logits)", "Give it d outputs.")
        return distributions.RelaxedBernoulli(self._current(t), t).to_event(1)


class RelaxedOneHot(_Relaxed):
    r"""One choice among d relaxed to the simplex, by logits (Concrete, or Gumbel-softmax).

    .. math::
        \mathrm{head}(t): \quad y = \operatorname{softmax}\Big(\frac{t + g}{T}\Big), \qquad
        g_i \sim \mathrm{Gumbel}

    A posterior of its own kind: the bound is one of the relaxed model, with a prior on the simplex such as
    the same head's of fixed logits, or a Dirichlet. To train a model of true choices by relaxed draws, take
    :class:`OneHot` and ``objectives.GumbelSoftmax`` or ``objectives.Concrete``, whose temperature can follow
    a schedule.

    Arguments:
        temperature: T, or where it starts when it is learned; below :math:`1 / (d - 1)` the density has no
            mode inside of the simplex.
        learn: whether T is a parameter.

    Shapes: features ``(..., d)`` become an event ``(d,)`` of shares that add up to one, d from 2 on.

    Raises:
        ValueError: for a temperature that isn't positive and finite, or a last dimension of fewer than two.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712
        Jang, Gu and Poole, 2017, Categorical Reparameterization with Gumbel-Softmax,
        https://arxiv.org/abs/1611.01144

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> q = heads.RelaxedOneHot(temperature=0.1)(torch.tensor([-9.0, 9.0, 0.0]))
        >>> torch.round(q.rsample(), decimals=2)
        tensor([0., 1., 0.])
    """

    def __init__(self, temperature: float = 0.5, *, learn: bool = False) -> None:
        super().__init__(temperature, learn)

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        return entries("heads.RelaxedOneHot", d, least=2)

    def forward(self, t: Tensor) -> Distribution:
        if last(t) < 2:
            raise misfit(
                "heads.RelaxedOneHot", t, "2 or more (a logit for each choice)", "Give it d outputs."
            )
        return distributions.RelaxedOneHot(self._current(t), t)
