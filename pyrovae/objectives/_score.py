"""The score-function part of a surrogate: costs, Rao-Blackwellised, minus their baselines."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrovae.objectives._draw import Draw
from pyrovae.objectives._state import State
from pyrovae.objectives._terms import Latent, Term
from pyrovae.objectives.baselines import Baseline, Cost
from pyrovae.objectives.estimators import ScoreFunction


def scored(drawn: Draw, terms: list[Term], state: State) -> list[Tensor]:
    r"""For each score-function site the surrogate of its part of the bound's gradient; baselines learn.

    .. math:: \log q(z_i)\, \big(c_i - b_i\big), \qquad c_i = \sum_{t \text{ may depend on } z_i} t

    with everything but the first factor held fixed. Losses that train baselines come with a minus sign, as
    the surrogate is maximised.
    """
    parts = []
    for latent in drawn.latents:
        if not isinstance(latent.estimator, ScoreFunction):
            continue
        advantage, losses = _advantage(drawn, latent, _cost(drawn, terms, latent), state)
        plates = latent.plates
        parts.append(drawn.expectation(latent.log_score * advantage, plates, fixed=True).sum())
        parts += [-loss * drawn.layout.particles for loss in losses]
    return parts


def predicted(
    baseline: Baseline, cost: Tensor, latent: Latent, drawn: Draw, state: State
) -> tuple[Tensor, list[Tensor]]:
    """A cost ``(particles, n)`` without what a baseline predicts of it, and the loss that trains that."""
    data = None if drawn.data is None else -1
    given = Cost(cost, (-2, cost.shape[0]), data, latent.name, drawn.args)
    prediction, loss = baseline.predict(given, state, learn=True)
    return cost - prediction, [] if loss is None else [loss]


def _advantage(drawn: Draw, latent: Latent, cost: Tensor, state: State) -> tuple[Tensor, list[Tensor]]:
    """A site's cost without its baselines, each applied to what the earlier leave; and what trains them."""
    losses = []
    for baseline in latent.estimator.baselines:  # type: ignore[attr-defined]
        given = Cost(cost, (drawn.layout.dim, drawn.layout.particles), drawn.data, latent.name, drawn.args)
        prediction, loss = baseline.predict(given, state, learn=True)
        cost = cost - prediction
        if loss is not None:
            losses.append(loss)
    return cost, losses


def _cost(drawn: Draw, terms: list[Term], latent: Latent) -> Tensor:
    cost = torch.zeros_like(latent.log_q)
    for term in terms:
        if term.may_depend_on(latent):
            cost = cost + drawn.expectation.onto(term.scaled, term.plates, latent.plates).detach()
    return cost
