"""Pairs of small Pyro programs whose ELBO, evidence and gradients are known: what estimators are held to.

from truths import TRUTHS, exact_gradient, sampled_gradients, z_scores
truth = TRUTHS["conjugate normal"]
model, guide, parameters = truth.make()
z_scores(sampled_gradients(truth, Trace_ELBO(), draws=1000, seed=0), exact_gradient(truth))
"""

from __future__ import annotations

from truths.discrete import bernoulli, categorical, two_layers
from truths.mixed import downstream, mixture
from truths.normal import bottom_up, linear_normal, top_down
from truths.plates import chain, nested
from truths.sampling import sampled_gradients, z_scores
from truths.truth import Pair, Truth, exact_gradient
from truths.weights import log_densities

__all__ = ["TRUTHS", "Pair", "Truth", "exact_gradient", "log_densities", "sampled_gradients", "z_scores"]

TRUTHS: dict[str, Truth] = {
    truth.name: truth
    for truth in (
        linear_normal("conjugate normal", size=3, latents=2, seed=1),
        bernoulli("bernoulli", size=4, latents=3, seed=16),
        categorical("categorical", one_hot=False),
        categorical("one-hot categorical", one_hot=True),
        bottom_up(),
        top_down(),
        two_layers(),
        chain(),
        mixture(),
        downstream(),
        nested(),
        linear_normal("ppca", size=8, latents=2, seed=2),
        bernoulli("discrete", size=6, latents=5, seed=12),
    )
}
