"""The terms of the evidence lower bound, in closed form where there is one, and what is made of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Unpack, get_args

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrovae.distributions import divergence, has_closed_form
from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._paths import followed
from pyrovae.objectives._score import scored
from pyrovae.objectives._terms import Latent, Term, alike
from pyrovae.objectives.objective import Objective, Options, Outcome
from pyrovae.objectives.relaxed import Concrete


class Weighed(NamedTuple):
    """What an objective makes of the terms of the ELBO.

    Attributes:
        terms: whose sum has the gradient that is wanted; weights that depend on the draw are held fixed.
        loss: what is reported, a scalar; minus the sum of the terms where it isn't given.
        penalty: added to what is minimised, differentiable along the paths of the draws; a scalar.
        learn: what is learned from the step for the next ones.
    """

    terms: list[Term]
    loss: Tensor | None = None
    penalty: Tensor | None = None
    learn: Callable[[], None] | None = None


Divergence = Literal["auto", "closed", "monte carlo", "entropy"]


class TermOptions(Options, total=False):
    """The options of objectives that are made of the ELBO's terms, see :class:`Termwise`."""

    kl: Divergence


class Termwise(Objective):
    r"""An objective made of the terms of the ELBO: likelihoods, and for each latent site its rate.

    Arguments:
        num_particles: draws of the guide for each datum.
        kl: how the KL term of a latent site is computed. "auto": in closed form where one is registered and
            the order of the sites allows it, otherwise by the draws; "closed": so, or an error;
            "monte carlo": by the draws; "entropy": :math:`\mathbb E \log p(z)` by the draws, the guide's
            entropy in closed form. :meth:`explain` reports which.
        options: as of :class:`Objective`.

    Raises:
        ValueError: for an unknown ``kl``.
    """

    def __init__(
        self, num_particles: int = 1, *, kl: Divergence = "auto", **options: Unpack[Options]
    ) -> None:
        super().__init__(num_particles, **options)
        if kl not in get_args(Divergence):
            raise ValueError(
                explain(
                    "kl",
                    expected=" or ".join(map(repr, get_args(Divergence))),
                    got=repr(kl),
                    remedy='Leave it out for "auto".',
                )
            )
        self.kl = kl

    def _outcome(self, drawn: Draw, *, learn: bool) -> Outcome:
        terms = self._terms(drawn)
        elbo = self._total(drawn, terms)
        weighed = self._weigh(drawn, terms)
        surrogate = self._surrogate(drawn, weighed.terms) if learn else None
        if surrogate is not None and weighed.penalty is not None:
            surrogate = surrogate + weighed.penalty
        loss = -self._total(drawn, weighed.terms) if weighed.loss is None else weighed.loss
        return Outcome(loss, elbo, surrogate, weighed.learn)

    def _rows(self, drawn: Draw) -> Tensor:
        terms = self._terms(drawn)
        return torch.stack([drawn.rows(term.value, term.plates) for term in terms]).sum(0).mean(0)

    @abstractmethod
    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        """What is made of the terms of the ELBO."""

    def _terms(self, drawn: Draw) -> list[Term]:
        """Likelihoods, and for each latent site either its divergence or its two densities."""
        terms = [*drawn.likelihood, *drawn.factors]
        for latent in drawn.latents:
            kind = self._kind(drawn, latent)
            prior, posterior = drawn.priors.get(latent.name), drawn.posteriors[latent.name]
            if kind == "closed form" and prior is not None:
                value = self._by_run(drawn, latent, lambda run: -divergence(run.guide, run.prior))
                terms.append(_rate(value, latent, prior, posterior))
            else:
                if kind == "entropy":
                    posterior = _rate(self._by_run(drawn, latent, _entropy), latent, posterior, posterior)
                terms += [posterior] if prior is None else [prior, posterior]
        return terms

    def _by_run(self, drawn: Draw, latent: Latent, of: Callable[[Latent], Tensor]) -> Tensor:
        """What the distributions of a site come to, of all runs side by side."""
        if not latent.runs:
            return of(latent)
        return torch.cat([of(run).expand(run.log_q.shape) for run in latent.runs], drawn.layout.dim)

    def _kind(self, drawn: Draw, latent: Latent) -> str:
        """How the term of a latent site is computed: "closed form", "entropy", or why by Monte Carlo."""
        if latent.enumerated is not None:
            return "exact, enumerated"
        why = _no_closed_form(drawn, latent)
        soft = latent.drawn.densities is not None and not isinstance(latent.estimator, Concrete)
        if why is not None and (self.kl == "closed" or soft):
            raise ValueError(
                explain(
                    f"site {latent.name!r}",
                    expected="a KL divergence in closed form",
                    got=f"none: {why}",
                    remedy='Use kl="auto", or register one with torch.distributions.kl.register_kl.',
                )
            )
        if soft:
            return "closed form"
        if self.kl == "entropy" and not latent.estimator.is_cut and latent.drawn.densities is None:
            return "entropy"
        if self.kl in ("auto", "closed") and why is None:
            return "closed form"
        return "Monte Carlo" if self.kl == "monte carlo" else f"Monte Carlo ({why})"

    def _term_of(self, drawn: Draw, latent: Any) -> str:
        return self._kind(drawn, latent)

    def _total(self, drawn: Draw, terms: list[Term]) -> Tensor:
        """The sum of terms over all data, averaged over particles."""
        parts = [drawn.expectation(term.scaled, term.plates).sum() for term in terms]
        return torch.stack(parts).sum() / self.num_particles

    def _surrogate(self, drawn: Draw, terms: list[Term]) -> Tensor:
        """The loss's gradient: that of the terms, of the scores, and along the paths that were cut."""
        cut = {latent.name for latent in drawn.latents if latent.drawn.path is not None}
        kept = [
            replace(term, value=term.value.detach())
            if term.kind == "posterior" and term.name in cut
            else term
            for term in terms
        ]
        scores = scored(drawn, terms, self.state)
        score = sum(scores.parts, torch.zeros_like(terms[0].value.sum())) / self.num_particles
        surrogate = self._total(drawn, kept) + score
        # The draw of a cut site moves the densities of score-function sites that come after it.
        path = followed(self._total(drawn, terms) + score, drawn.latents)
        if path is not None:
            surrogate = surrogate + path
        return sum(scores.losses, -surrogate)

    def _check(self, drawn: Draw) -> None:
        for name, prior in drawn.priors.items():
            _check_scales(name, prior.scale, drawn.posteriors[name].scale)

    def _options(self) -> list[str]:
        return [*super()._options(), *([] if self.kl == "auto" else [f"kl={self.kl!r}"])]


def _no_closed_form(drawn: Draw, latent: Latent) -> str | None:
    """Why a site's divergence can't be written down, or None where it can."""
    if latent.prior is None:
        return "an auxiliary site"
    if latent.name not in drawn.priors:
        return "its prior depends on what is summed out"
    if latent.estimator.is_cut:
        return f"{type(latent.estimator).__name__} differentiates the densities"
    if isinstance(latent.estimator, Concrete):
        return "relaxed densities"
    if isinstance(latent.guide, dist.Delta):
        return "a point, or a density that comes with its value"
    for other in drawn.latents:
        if (
            other.places[1] < latent.places[1]
            and other.places[0] > latent.places[0]
            and other.prior is not None
        ):
            return f"the prior depends on {other.name!r}, drawn later in the guide"
    if not has_closed_form(latent.guide, latent.prior):
        return "none is registered"
    return None


def _rate(value: Tensor, latent: Latent, prior: Term, posterior: Term) -> Term:
    """A divergence in the layout of the densities that it stands for."""
    value = value.expand(torch.broadcast_shapes(value.shape, posterior.value.shape))
    if latent.mask is not None:
        value = torch.where(latent.mask, value, 0.0)
    return Term(latent.name, "rate", value, prior.scale, posterior.plates, latent.places)


def _entropy(latent: Latent) -> Tensor:
    try:
        entropy: Tensor = latent.guide.entropy()
    except NotImplementedError as error:
        raise ValueError(
            explain(
                f"guide, site {latent.name!r}",
                expected="a distribution whose entropy is known",
                got=type(latent.guide).__name__,
                remedy='Use kl="auto".',
            )
        ) from error
    return entropy


def _check_scales(name: str, prior: Any, posterior: Any) -> None:
    """Both sides of a latent site must be scaled alike."""
    if not alike(prior, posterior):
        raise ValueError(
            explain(
                f"site {name!r}",
                expected="the same poutine.scale in model and guide",
                got=f"{prior} in the model, {posterior} in the guide",
                remedy="Scaled on one side the sum is no bound: scale both, or use ELBO(beta=...).",
            )
        )
