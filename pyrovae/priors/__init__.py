"""Priors: callables that return the distribution of a latent, or, given covariates, one for each datum."""

from pyrovae.priors.bernoulli import Bernoulli
from pyrovae.priors.conditional import Conditional
from pyrovae.priors.dirichlet import Dirichlet
from pyrovae.priors.flow import Flow
from pyrovae.priors.full_normal import FullNormal
from pyrovae.priors.gaussian_process import GaussianProcess
from pyrovae.priors.joint import Joint
from pyrovae.priors.ladder import Ladder
from pyrovae.priors.laplace import Laplace
from pyrovae.priors.logistic_normal import LogisticNormal
from pyrovae.priors.markov import Markov
from pyrovae.priors.normal import DiagonalNormal, StandardNormal
from pyrovae.priors.normal_mixture import NormalMixture
from pyrovae.priors.one_hot import OneHot
from pyrovae.priors.relaxed import RelaxedBernoulli, RelaxedOneHot
from pyrovae.priors.sphere import Sphere
from pyrovae.priors.vamp import VampPrior

__all__ = [
    "Bernoulli",
    "Conditional",
    "DiagonalNormal",
    "Dirichlet",
    "Flow",
    "FullNormal",
    "GaussianProcess",
    "Joint",
    "Ladder",
    "Laplace",
    "LogisticNormal",
    "Markov",
    "NormalMixture",
    "OneHot",
    "RelaxedBernoulli",
    "RelaxedOneHot",
    "Sphere",
    "StandardNormal",
    "VampPrior",
]
