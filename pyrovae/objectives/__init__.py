"""Objectives: the bounds that a pair of programs is trained by, and the estimators of their gradients."""

from pyrovae.objectives.baselines import Baseline, DecayingAverage, LeaveOneOut, NeuralBaseline
from pyrovae.objectives.bounds import CIWAE, CUBO, IWAE, MIWAE, PIWAE, Renyi
from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.estimators import (
    Concrete,
    DoublyReparameterized,
    Enumerate,
    Estimator,
    GumbelSoftmax,
    Pathwise,
    ScoreFunction,
    StickingTheLanding,
    StraightThrough,
)
from pyrovae.objectives.explanation import Explanation
from pyrovae.objectives.objective import Objective
from pyrovae.objectives.schedules import Cyclical, Exponential, Linear, Schedule, Sigmoid
from pyrovae.objectives.wake_sleep import ReweightedWakeSleep

__all__ = [
    "CIWAE",
    "CUBO",
    "ELBO",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "Baseline",
    "Concrete",
    "Cyclical",
    "DecayingAverage",
    "DoublyReparameterized",
    "Enumerate",
    "Estimator",
    "Explanation",
    "Exponential",
    "GumbelSoftmax",
    "LeaveOneOut",
    "Linear",
    "NeuralBaseline",
    "Objective",
    "Pathwise",
    "Renyi",
    "ReweightedWakeSleep",
    "Schedule",
    "ScoreFunction",
    "Sigmoid",
    "StickingTheLanding",
    "StraightThrough",
]
