"""Objectives: the bounds that a pair of programs is trained by, and the estimators of their gradients."""

from pyrovae.objectives.baselines import Baseline, DecayingAverage, LeaveOneOut, NeuralBaseline
from pyrovae.objectives.beta_tc import BetaTC
from pyrovae.objectives.bounds import CIWAE, CUBO, IWAE, MIWAE, PIWAE, Renyi
from pyrovae.objectives.capacity import CapacityELBO
from pyrovae.objectives.discrepancy import Gaussian, InverseMultiquadric, Kernel, squared_mmd
from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.estimators import (
    DoublyReparameterized,
    Enumerate,
    Estimator,
    Pathwise,
    ScoreFunction,
    StickingTheLanding,
)
from pyrovae.objectives.explaining import explain
from pyrovae.objectives.explanation import Explanation
from pyrovae.objectives.free_bits import FreeBits
from pyrovae.objectives.geco import GECO
from pyrovae.objectives.info import WAE, InfoVAE
from pyrovae.objectives.lagging import Lagging
from pyrovae.objectives.objective import Objective
from pyrovae.objectives.relaxed import Concrete, GumbelSoftmax, StraightThrough
from pyrovae.objectives.schedules import Cyclical, Exponential, Linear, Schedule, Sigmoid
from pyrovae.objectives.termwise import Termwise
from pyrovae.objectives.wake_sleep import ReweightedWakeSleep

__all__ = [
    "CIWAE",
    "CUBO",
    "ELBO",
    "GECO",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "WAE",
    "Baseline",
    "BetaTC",
    "CapacityELBO",
    "Concrete",
    "Cyclical",
    "DecayingAverage",
    "DoublyReparameterized",
    "Enumerate",
    "Estimator",
    "Explanation",
    "Exponential",
    "FreeBits",
    "Gaussian",
    "GumbelSoftmax",
    "InfoVAE",
    "InverseMultiquadric",
    "Kernel",
    "Lagging",
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
    "Termwise",
    "explain",
    "squared_mmd",
]
