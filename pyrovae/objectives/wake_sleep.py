"""Reweighted wake-sleep: the model by IWAE, the guide by maximum likelihood of latents drawn in two ways."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from pyro import poutine
from pyro.distributions import Delta
from torch import Tensor

from pyrovae.distributions.unwrapping import unwrapped
from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._power_means import Part, value_of, weights_of
from pyrovae.objectives._read import Site, sites_of
from pyrovae.objectives.estimators import Estimator, ScoreFunction
from pyrovae.objectives.multi_sample import MultiSample, log_weight_of, scale_of
from pyrovae.objectives.objective import Options, Outcome
from pyrovae.types import Program


class ReweightedWakeSleep(MultiSample):
    r"""Reweighted wake-sleep: no gradient ever passes through a draw.

    .. math::
        \theta &: \; \nabla_\theta \log \tfrac1K \sum_k w_k \\
        \phi &: \; (1 - s) \sum_k \tilde w_k\, \nabla_\phi \log q_\phi(z_k \mid x)
            + s\, \nabla_\phi \log q_\phi(z^* \mid x^*), \qquad (z^*, x^*) \sim p_\theta

    The first part of the guide's update is wake-phi, the second, on latents and data that the model has
    dreamt, sleep-phi. Neither follows the bound's own gradient: both minimise
    :math:`\mathrm{KL}(p(z \mid x) \,\|\, q(z \mid x))`, over the data and over the model's dreams. What is
    reported is the IWAE bound.

    Arguments:
        num_particles: :math:`K`.
        sleep: :math:`s`, the share of sleep-phi, in [0, 1].

    References:
        Bornschein and Bengio, 2015, Reweighted Wake-Sleep, https://arxiv.org/abs/1406.2751
        Le et al., 2019, Revisiting Reweighted Wake-Sleep, https://arxiv.org/abs/1805.10469
    """

    def __init__(self, num_particles: int = 10, *, sleep: float = 0.0, **options: Unpack[Options]) -> None:
        if not 0 <= sleep <= 1:
            raise ValueError(
                explain(
                    "ReweightedWakeSleep, sleep",
                    expected="a share in [0, 1]",
                    got=repr(sleep),
                    remedy="0 is wake-phi alone, 1 sleep-phi alone.",
                )
            )
        if options.get("estimators") is not None:
            raise ValueError(
                explain(
                    "ReweightedWakeSleep, estimators",
                    expected="none: it has an update of its own for every site",
                    got=repr(options["estimators"]),
                    remedy="Leave it out.",
                )
            )
        self.sleep = float(sleep)
        super().__init__(num_particles, **options)

    @property
    def default_path(self) -> Estimator:
        return _WAKE

    @property
    def why_default(self) -> str:
        return "the guide learns the density of its draws"

    def _is_unbiased(self, estimator: Estimator) -> bool:
        return False

    def _check(self, drawn: Draw) -> None:
        super()._check(drawn)
        for latent in drawn.latents:
            if isinstance(unwrapped(latent.guide), Delta):
                raise ValueError(
                    explain(
                        f"guide, site {latent.name!r}",
                        expected="a distribution whose density can be learned",
                        got="a point, Delta",
                        remedy="Use ELBO for an autoencoder.",
                    )
                )

    def _parts(self) -> tuple[list[Part], list[Part]]:
        parts = [Part(1.0, 1, 1.0)]
        return parts, parts

    def differentiable_loss(self, model: Program, guide: Program, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().differentiable_loss(model, guide, *args, **kwargs)
        if self.sleep == 0.0 or not torch.is_grad_enabled():
            return loss
        asleep = self.sleep * _sleep(model, guide, args, kwargs)
        return loss + (asleep - asleep.detach())

    def _outcome(self, drawn: Draw, *, learn: bool) -> Outcome:
        log_weight, scale = log_weight_of(drawn, drawn.terms), scale_of(drawn)
        parts = self._parts()[0]
        loss = -(scale * value_of(log_weight, parts)).sum()
        elbo = (scale * log_weight.mean(0)).sum()
        if not learn:
            return Outcome(loss, elbo, None)
        weight = weights_of(log_weight.detach(), parts).direct * scale
        log_p = log_weight_of(drawn, [*drawn.likelihood, *drawn.priors.values()])
        log_q = -log_weight_of(drawn, [*drawn.posteriors.values(), *drawn.factors])
        return Outcome(loss, elbo, -(weight * (log_p + (1 - self.sleep) * log_q)).sum())

    def _options(self) -> list[str]:
        return [f"num_particles={self.num_particles}", f"sleep={self.sleep}"]


class _Wake(ScoreFunction):
    """Draws that no gradient passes through; the guide learns their density."""

    def __repr__(self) -> str:
        return "wake-sleep"


_WAKE = _Wake()


def _sleep(model: Program, guide: Program, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """-log q of the latents of a dream, given its data; summed, with the scales of the plates."""
    with poutine.block(), torch.no_grad():
        awake = sites_of(poutine.trace(model).get_trace(*args, **kwargs))
        asleep = sites_of(poutine.trace(poutine.uncondition(model)).get_trace(*args, **kwargs))
    dreamt = dict(kwargs)
    observed = {name: site for name, site in awake.items() if site["is_observed"]}
    shown = [_replaced(value, observed, asleep) for value in args]
    for key, value in kwargs.items():
        dreamt[key] = _replaced(value, observed, asleep)
    unseen = [
        n for n, site in observed.items() if not any(site["value"] is v for v in (*args, *kwargs.values()))
    ]
    if unseen:
        raise ValueError(
            explain(
                f"model, site {unseen[0]!r}, sleep-phi",
                expected="a site that observes an argument as it is, so that a dream can take its place",
                got="one that observes something made of the arguments",
                remedy="Pass the data as they are observed, or use sleep=0.",
            )
        )
    latents = {name: site["value"] for name, site in asleep.items() if name not in observed}
    trace = poutine.trace(poutine.condition(guide, data=latents)).get_trace(*shown, **dreamt)
    total = torch.zeros((), device=next(iter(latents.values())).device)
    for site in sites_of(trace).values():
        total = total + (site["fn"].log_prob(site["value"]) * site["scale"]).sum()
    return -total


def _replaced(value: Any, observed: dict[str, Site], asleep: dict[str, Site]) -> Any:
    for name, site in observed.items():
        if site["value"] is value:
            return asleep[name]["value"]
    return value
