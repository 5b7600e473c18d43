"""The step by pyrovae: Pyro's model and guide, Pyro's optimiser and objective, and ``pyrovae``'s SVI."""

from __future__ import annotations

import pyro

from pyrovae.engine import SVI
from steps.by_pyro import Step, by_logits, objective, pair
from steps.networks import tensors
from steps.problem import Problem
from steps.workloads import LEARNING_RATE

COMPILE = {"eager": False, "capture": "capture", "compile": True}


def build(problem: Problem, how: str, device: str) -> Step:
    """``how``: eager, capture or compile."""
    model, guide = pair(problem, by_logits, device)
    loss = objective(problem.work, closed_form=True)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": LEARNING_RATE}), loss, compile=COMPILE[how])
    return Step(svi, tensors(problem, device))
