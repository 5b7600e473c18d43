"""The estimators that are compared, by truth: all that its sites have."""

from __future__ import annotations

import functools

import pyro
import torch
from truths import TRUTHS, Truth

import pyrovae as pv
from pyrovae import objectives as o

STEPS = 200  # that a neural baseline has learned for


def of_elbo(truth: Truth, particles: int) -> dict[str, o.ELBO]:
    """Objectives of the ELBO by the name of their estimator, the same at every site that has it."""
    score, others = o.ScoreFunction, o.LeaveOneOut()
    estimators: dict[str, o.Estimator | dict[str, o.Estimator]] = {
        "score function": score(),
        "score, decaying average": score(o.DecayingAverage()),
        "score, network": score(network(truth.name)),
    }
    if particles > 1:
        estimators["score, leave-one-out"] = score(others)
    kinds = set(truth.kinds.values())
    if kinds == {"reparameterized"}:
        estimators |= {"pathwise": o.Pathwise(), "sticking the landing": o.StickingTheLanding()}
    elif kinds == {"finite"}:
        estimators["enumerated"] = o.Enumerate()
    elif len(kinds) > 1:
        estimators["enumerated, pathwise"] = {"y": o.Enumerate(), "z": o.Pathwise()}
        estimators["enumerated, sticking"] = {"y": o.Enumerate(), "z": o.StickingTheLanding()}
        baseline = others if particles > 1 else o.DecayingAverage()
        estimators["score, pathwise"] = {"y": score(baseline), "z": o.Pathwise()}
    objectives = {
        name: o.ELBO(particles, kl="monte carlo", estimators=chosen) for name, chosen in estimators.items()
    }
    if "pathwise" in objectives:
        objectives["pathwise, closed KL"] = o.ELBO(particles, estimators=o.Pathwise())
    if has_relaxations(truth):
        objectives["straight-through"] = o.ELBO(particles, estimators=o.StraightThrough())
        for hard in (False, True):
            name = "Gumbel-Softmax, hard" if hard else "Gumbel-Softmax"
            objectives[name] = o.ELBO(particles, estimators=o.GumbelSoftmax(0.5, hard=hard))
        objectives["Concrete"] = o.ELBO(particles, estimators=o.Concrete(0.5))
    return objectives


def of_iwae(truth: Truth, particles: int) -> dict[str, o.IWAE]:
    """Objectives of the importance weighted bound by the name of their estimator."""
    estimators: dict[str, o.Estimator] = {}
    if set(truth.kinds.values()) == {"reparameterized"}:
        estimators["IWAE, pathwise"] = o.Pathwise()
        estimators["IWAE, doubly reparameterized"] = o.DoublyReparameterized()
        estimators["IWAE, sticking the landing"] = o.StickingTheLanding()
    elif truth.has_exact_bound:
        estimators["IWAE, score function"] = o.ScoreFunction()
        estimators["IWAE, VIMCO"] = o.ScoreFunction(o.LeaveOneOut())
    return {name: o.IWAE(particles, estimators=chosen) for name, chosen in estimators.items()}


def has_relaxations(truth: Truth) -> bool:
    """Whether its one site is 0/1 or one-hot, and its programs take values in between."""
    return list(truth.kinds.values()) == ["bernoulli vector"] or truth.name == "one-hot categorical"


@functools.cache
def network(name: str) -> o.NeuralBaseline:
    """A network that has learned the ELBO of a datum for a while, with guide and model at rest."""
    truth = TRUTHS[name]
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        torch.manual_seed(0)
        net = pv.nets.MLP(truth.data.shape[-1], 16, 1).double()
        model, guide, _ = truth.make()
        objective = o.ELBO(estimators=o.ScoreFunction(o.NeuralBaseline(net)), kl="monte carlo")
        objective.prepare(model, guide, truth.data)
        adam = torch.optim.Adam(net.parameters(), 0.02)
        for _ in range(STEPS):
            adam.zero_grad()
            objective.loss_and_grads(model, guide, truth.data)
            adam.step()
    return o.NeuralBaseline(net)
