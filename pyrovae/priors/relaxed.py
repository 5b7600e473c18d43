"""Priors of choices relaxed to numbers between."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae import distributions
from pyrovae.priors import _checks
from pyrovae.types import Distribution


class _Relaxed(nn.Module):
    """A temperature, and logits that start at zero."""

    least = 1
    tau: Tensor
    logits: Tensor

    def __init__(self, dim: int, temperature: float, learn: bool) -> None:
        super().__init__()
        name = f"priors.{type(self).__name__}"
        self.dim = _checks.size(f"{name}, dim", dim, self.least)
        self.temperature = _checks.positive(
            f"{name}, temperature",
            temperature,
            remedy="Try 0.5: the lower, the closer to a choice, and the steeper the gradients.",
        )
        self.learn = learn
        self.register_buffer("tau", torch.tensor(float(temperature)))
        if learn:
            self.logits = nn.Parameter(torch.zeros(dim))
        else:
            self.register_buffer("logits", torch.zeros(dim))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, temperature={self.temperature:g}, learn={self.learn}"


class RelaxedBernoulli(_Relaxed):
    r"""Independent bits relaxed to the unit interval (binary Concrete).

    .. math::
        p(z) = \prod_{i=1}^d \mathrm{RelaxedBernoulli}(z_i \mid T, \ell_i)

    The prior of a :class:`pyrovae.heads.RelaxedBernoulli` posterior, of a temperature of its own. For true
    bits take :class:`Bernoulli`.

    Arguments:
        dim: the number of bits, d.
        temperature: T, fixed: a prior that could learn it would follow the posterior away from bits.
        learn: whether the logits, which start at zero, are parameters.

    Raises:
        ValueError: for a number of bits or a temperature that isn't positive.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> priors.RelaxedBernoulli(2)().log_prob(torch.tensor([0.5, 0.5]))  # 2 ln(1/2)
        tensor(-1.3863)
    """

    def __init__(self, dim: int, *, temperature: float = 0.5, learn: bool = False) -> None:
        super().__init__(dim, temperature, learn)

    def forward(self) -> Distribution:
        return distributions.RelaxedBernoulli(self.tau, self.logits).to_event(1)


class RelaxedOneHot(_Relaxed):
    r"""A choice among d relaxed to the simplex (Concrete, or Gumbel-softmax).

    .. math:: p(z) = \mathrm{RelaxedOneHot}(z \mid T, \ell)

    The prior of a :class:`pyrovae.heads.RelaxedOneHot` posterior, of a temperature of its own. For true
    choices take :class:`OneHot`.

    Arguments:
        dim: the number of choices, d, from 2 on.
        temperature: T, fixed: a prior that could learn it would follow the posterior away from choices.
        learn: whether the logits, which start at zero, are parameters.

    Raises:
        ValueError: for fewer than two choices, or a temperature that isn't positive.

    References:
        Maddison, Mnih and Teh, 2017, The Concrete Distribution, https://arxiv.org/abs/1611.00712
        Jang, Gu and Poole, 2017, Categorical Reparameterization with Gumbel-Softmax,
        https://arxiv.org/abs/1611.01144

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> priors.RelaxedOneHot(3, temperature=1.0)().log_prob(torch.full((3,), 1 / 3))  # ln 2
        tensor(0.6931)
    """

    least = 2

    def __init__(self, dim: int, *, temperature: float = 0.5, learn: bool = False) -> None:
        super().__init__(dim, temperature, learn)

    def forward(self) -> Distribution:
        return distributions.RelaxedOneHot(self.tau, self.logits)
