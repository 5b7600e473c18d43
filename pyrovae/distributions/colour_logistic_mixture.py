"""The mixture of discretised logistics for colour: the channels of a pixel share a component."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.distributions._supports import Grid, check_levels, level_of, value_of
from pyrovae.distributions.discretised_logistic import log_mass, rounded_draw
from pyrovae.errors import explain


class ColourLogisticMixture(TorchDistribution):
    r"""Images of three channels, each pixel from a mixture in which green follows red, and blue both.

    .. math::
        P(r, g, b) = \sum_{k=1}^K \pi_k\;
        & \mathrm{DL}\big(r \mid \mu^r_k, s^r_k\big)\;
          \mathrm{DL}\big(g \mid \mu^g_k + \alpha_k (r - \tfrac12),\, s^g_k\big) \\
        & \mathrm{DL}\big(b \mid \mu^b_k + \beta_k (r - \tfrac12) + \gamma_k (g - \tfrac12),\, s^b_k\big)

    with DL the discretised logistic (:class:`pyrovae.distributions.DiscretisedLogistic`) and the channels on
    the grid in [0, 1]; on [-1, 1], where the middle is zero, this is the paper's equation. The probabilities
    of all :math:`L^3` colours of a pixel sum to one, and draws, rounded channel by channel, have them.

    Arguments:
        logits: of :math:`\pi`, ``(..., K, H, W)``.
        loc, log_scale: :math:`\mu` and s, ``(..., 3, K, H, W)``.
        coefficients: :math:`\alpha, \beta, \gamma`, in this order, ``(..., 3, K, H, W)``.
        levels: L.

    Raises:
        ValueError: for shapes that are not these; fewer than two levels; a value off the grid.

    References:
        Salimans, Karpathy, Chen and Kingma, 2017, PixelCNN++: Improving the PixelCNN with Discretized
        Logistic Mixture Likelihood and Other Modifications, https://arxiv.org/abs/1701.05517

    Example:
        >>> import torch
        >>> from pyrovae.distributions import ColourLogisticMixture
        >>> three = torch.zeros(5, 3, 10, 8, 8)
        >>> p = ColourLogisticMixture(torch.zeros(5, 10, 8, 8), three, three, three)
        >>> p.batch_shape, p.event_shape
        (torch.Size([5]), torch.Size([3, 8, 8]))
    """

    arg_constraints = {  # noqa: RUF012
        "logits": constraints.independent(constraints.real, 3),
        "loc": constraints.independent(constraints.real, 4),
        "log_scale": constraints.independent(constraints.real, 4),
        "coefficients": constraints.independent(constraints.real, 4),
    }

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        log_scale: Tensor,
        coefficients: Tensor,
        *,
        levels: int = 256,
        validate_args: bool | None = None,
    ) -> None:
        check_levels("ColourLogisticMixture", levels)
        inner = tuple(logits.shape[-3:])
        for name, given in (("loc", loc), ("log_scale", log_scale), ("coefficients", coefficients)):
            if len(inner) < 3 or tuple(given.shape[-4:]) != (3, *inner):
                raise ValueError(
                    explain(
                        f"ColourLogisticMixture, {name}",
                        expected="shape (..., 3, K, H, W), with logits (..., K, H, W)",
                        got=f"{tuple(given.shape)}, with logits {tuple(logits.shape)}",
                        remedy="Put channels first, components second.",
                    )
                )
        self.levels = levels
        batch = torch.broadcast_shapes(
            logits.shape[:-3], *(x.shape[:-4] for x in (loc, log_scale, coefficients))
        )
        self.logits = logits.expand(*batch, *inner)
        self.loc, self.log_scale, self.coefficients = (
            x.expand(*batch, 3, *inner) for x in (loc, log_scale, coefficients)
        )
        super().__init__(batch, torch.Size((3, *inner[1:])), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=3)
    def support(self) -> Any:
        """The gray levels, for each entry."""
        return constraints.independent(Grid(self.levels), 3)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ColourLogisticMixture:
        new: ColourLogisticMixture = self._get_checked_instance(  # type: ignore[no-untyped-call]
            ColourLogisticMixture, _instance
        )
        batch = torch.Size(batch_shape)
        new.levels = self.levels
        new.logits = self.logits.expand(batch + self.logits.shape[-3:])
        new.loc, new.log_scale, new.coefficients = (
            x.expand(batch + x.shape[-4:]) for x in (self.loc, self.log_scale, self.coefficients)
        )
        super(ColourLogisticMixture, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of images ``(..., 3, H, W)``, nats, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        exact = value_of(level_of(value, self.levels), self.levels)
        red, green, _ = (exact - 0.5).unsqueeze(-3).unbind(-4)
        loc_red, loc_green, loc_blue = self.loc.unbind(-4)
        alpha, beta, gamma = self.coefficients.unbind(-4)
        loc_green, loc_blue = loc_green + alpha * red, loc_blue + beta * red + gamma * green
        loc = torch.stack(torch.broadcast_tensors(loc_red, loc_green, loc_blue), -4)
        mass = log_mass(exact.unsqueeze(-3), loc, self.log_scale, self.levels).sum(-4)
        pixels: Tensor = (self.logits.log_softmax(-3) + mass).logsumexp(-3)
        return pixels.sum((-2, -1))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Images ``sample_shape + (..., 3, H, W)`` on the grid."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.batch_shape
            weights = self.logits.movedim(-3, -1).softmax(-1)
            picked = torch.distributions.Categorical(weights).sample(torch.Size(sample_shape))
            where = picked.unsqueeze(-3).unsqueeze(-4)

            def chosen(x: Tensor) -> list[Tensor]:
                full = x.expand(shape + x.shape[-4:])
                return list(full.gather(-3, where.expand(*shape, 3, 1, *x.shape[-2:])).squeeze(-3).unbind(-3))

            loc, log_scale, (alpha, beta, gamma) = map(chosen, (self.loc, self.log_scale, self.coefficients))
            red = rounded_draw(loc[0], log_scale[0], self.levels)
            green = rounded_draw(loc[1] + alpha * (red - 0.5), log_scale[1], self.levels)
            shift = beta * (red - 0.5) + gamma * (green - 0.5)
            return torch.stack([red, green, rounded_draw(loc[2] + shift, log_scale[2], self.levels)], -3)

    def __repr__(self) -> str:
        return (
            f"ColourLogisticMixture(components={self.logits.shape[-3]}, levels={self.levels}, "
            f"batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)})"
        )
