"""The logistic distribution on gray levels: each has the mass of its bin, those at the ends of all beyond."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from pyrovae.distributions._supports import Grid, check_levels, level_of, value_of


class DiscretisedLogistic(TorchDistribution):
    r"""A logistic variable rounded to the nearest of L gray levels :math:`\tfrac{k}{L - 1}` in [0, 1].

    .. math::
        P(x) = \sigma\Big(\frac{x + h - \mu}{e^s}\Big) - \sigma\Big(\frac{x - h - \mu}{e^s}\Big),
        \qquad h = \frac{1}{2 (L - 1)}

    with :math:`\sigma(\infty)` in place of the first term for :math:`x = 1` and :math:`\sigma(-\infty)` in
    place of the second for :math:`x = 0`. The difference is computed as
    :math:`\log \sigma(\beta) + \log \sigma(-\alpha) + \log(1 - e^{\alpha - \beta})`, :math:`\alpha < \beta`
    being the two arguments: exact and finite for any of them, so that no approximation takes over in the
        tails.

    Arguments:
        loc, log_scale: :math:`\mu` and s, on the scale of x, of shapes that broadcast.
        levels: L.

    Raises:
        ValueError: for fewer than two levels; a value off the grid.

    References:
        Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling, 2016, Improving Variational Inference with
        Inverse Autoregressive Flow, https://arxiv.org/abs/1606.04934
        Salimans, Karpathy, Chen and Kingma, 2017, PixelCNN++, https://arxiv.org/abs/1701.05517

    Example:
        >>> import torch
        >>> from pyrovae.distributions import DiscretisedLogistic
        >>> p = DiscretisedLogistic(torch.tensor(0.5), torch.tensor(-2.0), levels=3)
        >>> p.log_prob(torch.tensor([0.0, 0.5, 1.0])).exp()
        tensor([0.1362, 0.7276, 0.1362])
    """

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}  # noqa: RUF012

    def __init__(
        self, loc: Tensor, log_scale: Tensor, *, levels: int = 256, validate_args: bool | None = None
    ) -> None:
        check_levels("DiscretisedLogistic", levels)
        self.levels = levels
        self.loc, self.log_scale = broadcast_all(loc, log_scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The gray levels."""
        return Grid(self.levels)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiscretisedLogistic:
        new: DiscretisedLogistic = self._get_checked_instance(  # type: ignore[no-untyped-call]
            DiscretisedLogistic, _instance
        )
        new.levels = self.levels
        new.loc, new.log_scale = self.loc.expand(batch_shape), self.log_scale.expand(batch_shape)
        super(DiscretisedLogistic, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """In [0, 1]: a sum over the levels, one at a time."""
        return self._moments()[0]

    @property
    def variance(self) -> Tensor:
        """That of the gray levels, bins and ends included."""
        mean, mean_square = self._moments()
        return (mean_square - mean.square()).clamp(min=0)

    @property
    def mode(self) -> Tensor:
        """The likeliest level: the one nearest to the loc, or an end with all the mass beyond it."""
        inner = value_of(level_of(self.loc, self.levels).clamp(0, self.levels - 1), self.levels)
        candidates = torch.stack([inner, torch.zeros_like(inner), torch.ones_like(inner)])
        best = log_mass(candidates, self.loc, self.log_scale, self.levels).argmax(0, keepdim=True)
        return candidates.gather(0, best).squeeze(0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability, nats."""
        if self._validate_args:
            self._validate_sample(value)
        return log_mass(value, self.loc, self.log_scale, self.levels)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Gray levels, in [0, 1]."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.batch_shape
            return rounded_draw(self.loc.expand(shape), self.log_scale.expand(shape), self.levels)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """First and second, by the probabilities of at least each level, without a tensor of all levels."""
        inverse = (-self.log_scale).exp()
        first = second = torch.zeros_like(self.loc)
        for level in range(1, self.levels):
            edge = (level - 0.5) / (self.levels - 1)
            at_least = torch.sigmoid((self.loc - edge) * inverse)
            first, second = first + at_least, second + (2 * level - 1) * at_least
        return first / (self.levels - 1), second / (self.levels - 1) ** 2

    def __repr__(self) -> str:
        return f"DiscretisedLogistic(batch_shape={tuple(self.batch_shape)}, levels={self.levels})"


def log_mass(value: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """The log probability of gray levels under logistic variables, nats; shapes broadcast."""
    steps = levels - 1
    level = level_of(value, levels)
    inverse = (-log_scale).exp()
    up_to = logsigmoid(((level + 0.5) / steps - loc) * inverse)
    beyond = logsigmoid((loc - (level - 0.5) / steps) * inverse)
    inner = up_to + beyond + (-torch.expm1(-inverse / steps)).log()
    return torch.where(level <= 0, up_to, torch.where(level >= steps, beyond, inner))


def rounded_draw(loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """Logistic variables, one for each entry, rounded to gray levels."""
    limits = torch.finfo(loc.dtype)
    u = torch.rand_like(loc).clamp(limits.tiny, 1 - limits.eps / 2)
    x = loc + log_scale.exp() * (u.log() - (-u).log1p())
    return value_of(level_of(x, levels).clamp(0, levels - 1), levels)
