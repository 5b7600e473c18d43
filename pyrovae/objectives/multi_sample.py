"""Bounds of several particles: what their objectives have in common."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._paths import followed
from pyrovae.objectives._power_means import Part, costs_of, left_out, value_of, weights_of
from pyrovae.objectives._score import baselined
from pyrovae.objectives._terms import Latent, Term, alike
from pyrovae.objectives.baselines import Cost, LeaveOneOut
from pyrovae.objectives.estimators import (
    DoublyReparameterized,
    Enumerate,
    Estimator,
    Pathwise,
    ScoreFunction,
    StickingTheLanding,
)
from pyrovae.objectives.objective import Objective, Outcome
from pyrovae.objectives.relaxed import Concrete, GumbelSoftmax


class MultiSample(Objective):
    r"""A bound made of power means of the importance weights of several particles.

    .. math:: w_k = \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    Reparameterized sites are differentiated pathwise or, on demand, doubly reparameterized. At score-function
    sites each particle's cost is the bound, and with :class:`LeaveOneOut`, the default, what the bound would
    be without the particle is subtracted: VIMCO.
    """

    enumerates = False

    @abstractmethod
    def _parts(self) -> tuple[list[Part], list[Part]]:
        """The bound that the model is trained by, and the guide's."""

    def refuses(self, estimator: Estimator) -> str | None:
        if isinstance(estimator, Enumerate):
            return (
                "the logarithm of a mean over particles has no exact expectation; "
                "leave the site out of the guide and mark it in the model, and it is summed out"
            )
        if (
            isinstance(estimator, GumbelSoftmax)
            and not isinstance(estimator, Concrete)
            and not estimator.hard
        ):
            return "a soft draw has no weight under the discrete distributions; take hard=True, or Concrete"
        model, guide = self._parts()
        if model != guide and isinstance(estimator, Pathwise) and not estimator.is_cut:
            return "it trains model and guide by different bounds, which one path can't tell apart"
        return None

    @property
    def default_path(self) -> Estimator:
        model, guide = self._parts()
        return Pathwise() if model == guide else DoublyReparameterized()

    def _is_unbiased(self, estimator: Estimator) -> bool:
        if isinstance(estimator, StickingTheLanding) and not isinstance(estimator, DoublyReparameterized):
            return all(part.power == 0.0 for part in self._parts()[1])
        return estimator.unbiased

    def _rows(self, drawn: Draw) -> Tensor:
        return self._sign * value_of(log_weight_of(drawn, drawn.terms), self._bound())

    @property
    def _sign(self) -> float:
        return 1.0

    def _bound(self) -> list[Part]:
        """What is reported: the bound of the model, or of the guide where the model has none."""
        model, guide = self._parts()
        return model or guide

    def _outcome(self, drawn: Draw, *, learn: bool) -> Outcome:
        log_weight = log_weight_of(drawn, drawn.terms)
        scale = scale_of(drawn)
        loss = -(scale * value_of(log_weight, self._bound())).sum()
        elbo = (scale * log_weight.mean(0)).sum()
        return Outcome(loss, elbo, -self._surrogate(drawn, log_weight, scale) if learn else None)

    def _surrogate(self, drawn: Draw, log_weight: Tensor, scale: Tensor | float) -> Tensor:
        model_parts, guide_parts = self._parts()
        fixed = log_weight.detach()
        of_guide = weights_of(fixed, guide_parts)
        of_model = of_guide if model_parts == guide_parts else weights_of(fixed, model_parts)
        log_p = log_weight_of(drawn, [*drawn.likelihood, *drawn.priors.values()])
        surrogate = (scale * of_model.direct * log_p).sum()
        uncut = [drawn.posteriors[latent.name] for latent in drawn.latents if latent.drawn.path is None]
        uncut += drawn.factors
        if uncut:
            surrogate = surrogate + (scale * of_guide.direct * log_weight_of(drawn, uncut)).sum()
        doubly = any(isinstance(latent.estimator, DoublyReparameterized) for latent in drawn.latents)
        target = (scale * (of_guide.path if doubly else of_guide.direct) * log_weight).sum()
        for latent in drawn.latents:
            if isinstance(latent.estimator, ScoreFunction):
                score = drawn.rows(latent.log_score, latent.plates)
                advantage, losses = self._advantage(drawn, latent, fixed, guide_parts)
                surrogate = surrogate + (scale * score * advantage).sum() - sum(losses, torch.zeros(()))
                # The draw of a cut site moves the densities of score-function sites that come after it. Of
                # these the path coefficient has counted log w once already.
                own = advantage - of_guide.direct if doubly else advantage
                target = target + (scale * score * own).sum()
        path = followed(target, drawn.latents)
        return surrogate if path is None else surrogate + path

    def _advantage(
        self, drawn: Draw, latent: Latent, log_weight: Tensor, parts: list[Part]
    ) -> tuple[Tensor, list[Tensor]]:
        """A site's cost for each particle and datum, without its baselines; and what trains these."""
        estimator: ScoreFunction = latent.estimator  # type: ignore[assignment]
        cost = costs_of(log_weight, parts)
        if any(isinstance(baseline, LeaveOneOut) for baseline in estimator.baselines):
            cost = cost - left_out(log_weight, parts)
        others = [baseline for baseline in estimator.baselines if not isinstance(baseline, LeaveOneOut)]
        data = None if drawn.data is None else -1
        return baselined(Cost(cost, (-2, cost.shape[0]), data, latent.name, drawn.args), others, self.state)

    def _check(self, drawn: Draw) -> None:
        drawn.check_local(type(self).__name__)
        terms = drawn.terms
        for term in terms:
            if not alike(term.scale, terms[0].scale):
                raise ValueError(
                    explain(
                        f"site {term.name!r}",
                        expected=f"the same scale at every site, for {type(self).__name__}",
                        got=f"{term.scale}, and {terms[0].scale} at {terms[0].name!r}",
                        remedy="A weighted KL term makes no bound of several particles: use ELBO(beta=...), "
                        "or scale everything alike.",
                    )
                )
        kinds = {latent.estimator.__class__ for latent in drawn.latents if latent.estimator.is_cut}
        if len(kinds) > 1:
            raise ValueError(
                explain(
                    "estimators",
                    expected="one kind of path derivative in a bound of several particles",
                    got=" and ".join(sorted(kind.__name__ for kind in kinds)),
                    remedy="Use DoublyReparameterized() at all of these sites.",
                )
            )


def log_weight_of(drawn: Draw, terms: list[Term]) -> Tensor:
    """The sum of terms as ``(particles, n)``, neither scaled."""
    return torch.stack([drawn.rows(term.value, term.plates) for term in terms]).sum(0)


def scale_of(drawn: Draw) -> Tensor | float:
    """The scale that all sites have, for each datum where it is a tensor."""
    scale = drawn.terms[0].scale
    if not isinstance(scale, Tensor) or scale.numel() == 1:
        return scale
    plates = frozenset() if drawn.data is None else frozenset({drawn.data})
    laid = scale.expand(torch.broadcast_shapes(scale.shape, (1,) * (drawn.layout.nesting + 1)))
    return drawn.rows(laid, plates)[0]
