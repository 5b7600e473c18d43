"""GECO: the rate is minimised under a constraint on the reconstruction."""

from __future__ import annotations

import math
from typing import Unpack

import torch

from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Term
from pyrovae.objectives.termwise import TermOptions, Termwise, Weighed


class GECO(Termwise):
    r"""Generalised ELBO with constrained optimisation: as little rate as a given reconstruction needs.

    .. math:: \min_{\theta, \phi} \max_{\lambda \ge 0} \; \mathrm{KL}(q(z \mid x) \,\|\, p(z)) + \lambda\, C,
        \qquad C = -\mathbb E_q[\log p(x \mid z)] - \tau

    The multiplier follows the moving average :math:`\bar C` of the constraint,
    :math:`\lambda \leftarrow \lambda\, e^{\eta \bar C / |\tau|}`, kept in the state of the objective.

    Arguments:
        tolerance: :math:`\tau`, the reconstruction error that is good enough, nats per datum.
        rate: :math:`\eta`, how fast the multiplier follows; the faster, the more it overshoots.
        decay: of the moving average.
        num_particles, options: as of :class:`Termwise`.

    References:
        Rezende and Viola, 2018, Taming VAEs, https://arxiv.org/abs/1810.00597
    """

    bounds = (1e-4, 1e4)
    """Between which the multiplier stays."""

    def __init__(
        self,
        tolerance: float,
        *,
        rate: float = 0.01,
        decay: float = 0.99,
        num_particles: int = 1,
        **options: Unpack[TermOptions],
    ) -> None:
        super().__init__(num_particles, **options)
        if not isinstance(tolerance, int | float) or not math.isfinite(tolerance) or tolerance == 0:
            raise ValueError(
                explain(
                    "GECO, tolerance",
                    expected="a reconstruction error in nats per datum, not 0",
                    got=repr(tolerance),
                    remedy="Train an ELBO first, and take what it reaches.",
                )
            )
        if not (rate > 0 and 0 <= decay < 1):
            raise ValueError(
                explain(
                    "GECO",
                    expected="a positive rate and a decay in [0, 1)",
                    got=f"rate={rate}, decay={decay}",
                    remedy="Leave them out for 0.01 and 0.99.",
                )
            )
        self.tolerance, self.rate, self.decay = float(tolerance), float(rate), float(decay)

    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        stated = [term for term in terms if not term.is_latent]
        latent = [term for term in terms if term.is_latent]
        error = -self._total(drawn, stated).detach() / drawn.count - self.tolerance
        multiplier = self.state.get("geco.multiplier", error.device)
        average = self.state.get("geco.average", error.device)
        begun = self.state.get("geco.begun", error.device)
        factor = multiplier.clone().to(error.dtype)
        loss = factor * error * drawn.count - self._total(drawn, latent)

        def learn() -> None:
            # The first error begins the average: before it, begun is 0.
            decay = self.decay * begun
            average.mul_(decay).add_((1.0 - decay) * error.to(average.dtype))
            begun.fill_(1.0)
            multiplier.mul_(torch.exp(self.rate * average / abs(self.tolerance))).clamp_(*self.bounds)

        weighed = [*(term.times(factor) for term in stated), *latent]
        return Weighed(weighed, loss=loss.detach(), learn=learn)

    def _keeps(self) -> dict[str, float]:
        return {**super()._keeps(), "geco.multiplier": 1.0, "geco.average": 0.0, "geco.begun": 0.0}

    def _options(self) -> list[str]:
        return [*super()._options(), f"tolerance={self.tolerance}"]
