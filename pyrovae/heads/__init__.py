"""Heads: a network's output becomes a distribution, a likelihood as well as a posterior."""

from pyrovae.heads.auxiliary import Auxiliary
from pyrovae.heads.base_of import BaseOf
from pyrovae.heads.bernoulli import Bernoulli
from pyrovae.heads.beta import Beta
from pyrovae.heads.categorical import Categorical, PixelCategorical
from pyrovae.heads.committed import CommittedNormal
from pyrovae.heads.continuous_bernoulli import ContinuousBernoulli
from pyrovae.heads.delta import Delta
from pyrovae.heads.dirichlet import Dirichlet
from pyrovae.heads.discretised_logistic import DiscretisedLogistic
from pyrovae.heads.flowed import Flowed
from pyrovae.heads.full_normal import FullNormal
from pyrovae.heads.gru import GRU
from pyrovae.heads.laplace import Laplace
from pyrovae.heads.logistic_mixture import LogisticMixture
from pyrovae.heads.logistic_normal import LogisticNormal
from pyrovae.heads.low_rank_normal import LowRankNormal
from pyrovae.heads.made import MADE
from pyrovae.heads.markov import Markov
from pyrovae.heads.masked import Masked
from pyrovae.heads.mixed import Mixed
from pyrovae.heads.mu_law import MuLaw
from pyrovae.heads.multinomial import Multinomial
from pyrovae.heads.negative_binomial import NegativeBinomial, SharedNegativeBinomial
from pyrovae.heads.normal import IsotropicNormal, Normal
from pyrovae.heads.normal_mixture import NormalMixture
from pyrovae.heads.one_hot import OneHot
from pyrovae.heads.optimal_normal import OptimalNormal
from pyrovae.heads.pixel_cnn import PixelCNN
from pyrovae.heads.poisson import Poisson
from pyrovae.heads.relaxed import RelaxedBernoulli, RelaxedOneHot
from pyrovae.heads.steps import Steps
from pyrovae.heads.student_t import StudentT
from pyrovae.heads.transformer import Transformer
from pyrovae.heads.von_mises_fisher import VonMisesFisher
from pyrovae.heads.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial

normal = Normal()
bernoulli = Bernoulli()

__all__ = [
    "GRU",
    "MADE",
    "Auxiliary",
    "BaseOf",
    "Bernoulli",
    "Beta",
    "Categorical",
    "CommittedNormal",
    "ContinuousBernoulli",
    "Delta",
    "Dirichlet",
    "DiscretisedLogistic",
    "Flowed",
    "FullNormal",
    "IsotropicNormal",
    "Laplace",
    "LogisticMixture",
    "LogisticNormal",
    "LowRankNormal",
    "Markov",
    "Masked",
    "Mixed",
    "MuLaw",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "NormalMixture",
    "OneHot",
    "OptimalNormal",
    "PixelCNN",
    "PixelCategorical",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHot",
    "SharedNegativeBinomial",
    "Steps",
    "StudentT",
    "Transformer",
    "VonMisesFisher",
    "ZeroInflatedNegativeBinomial",
    "bernoulli",
    "normal",
]
