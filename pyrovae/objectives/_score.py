"""The score-function part of a surrogate: costs, Rao-Blackwellised, minus their baselines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.objectives._draw import Draw
from pyrovae.objectives._state import State
from pyrovae.objectives._terms import Latent, Term
from pyrovae.objectives.baselines import Baseline, Cost
from pyrovae.objectives.estimators import ScoreFunction


class Scores(NamedTuple):
    """The score-function part of a surrogate, which is maximised.

    Attributes:
        parts: for each site a scalar whose gradient is the site's part of the bound's.
        losses: what trains the baselines, to be minimised.
    """

    parts: list[Tensor]
    losses: list[Tensor]


def scored(drawn: Draw, terms: list[Term], state: State) -> Scores:
    r"""The score-function sites of a sum of terms; their baselines learn.

    .. math:: \log q(z_i)\, \big(c_i - b_i\big), \qquad c_i = \sum_{t \text{ may depend on } z_i} t

    with everything but the first factor held fixed; summed over particles.
    """
    scores = Scores([], [])
    for latent in drawn.latents:
        if isinstance(latent.estimator, ScoreFunction):
            given = Cost(
                _cost(drawn, terms, latent),
                (drawn.layout.dim, drawn.layout.particles),
                None if drawn.data is None or drawn.data not in latent.plates else drawn.data.dim,
                latent.name,
                drawn.args,
            )
            advantage, losses = baselined(given, latent.estimator.baselines, state)
            part = drawn.expectation(latent.log_score * advantage, latent.plates, fixed=True).sum()
            scores.parts.append(part)
            scores.losses.extend(losses)
    return scores


def baselined(cost: Cost, baselines: Iterable[Baseline], state: State) -> tuple[Tensor, list[Tensor]]:
    """A cost without what baselines predict, each of what the earlier leave; and what trains them."""
    losses = []
    for baseline in baselines:
        prediction, loss = baseline.predict(cost, state, learn=True)
        cost = replace(cost, value=cost.value - prediction)
        if loss is not None:
            losses.append(loss)
    return cost.value, losses


def _cost(drawn: Draw, terms: list[Term], latent: Latent) -> Tensor:
    """What a site's draw may have a part in, by entry of its plates.

    What is enumerated after it is summed out, with the probabilities that its own draw led to: a baseline
    that compares particles must not see one particle's choice weighed by another's.
    """
    cost = torch.zeros_like(latent.log_q)
    for term in terms:
        if term.may_depend_on(latent):
            cost = cost + drawn.expectation.onto(term.scaled, term.plates, latent).detach()
    return cost
