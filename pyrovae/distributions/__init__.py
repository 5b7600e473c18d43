"""Distributions on the sphere, and closed forms of divergences, which an import registers with torch."""

from pyrovae.distributions.augmented import Augmented
from pyrovae.distributions.autoregressive import Autoregressive
from pyrovae.distributions.beta import LogConcentrationBeta
from pyrovae.distributions.colour_logistic_mixture import ColourLogisticMixture
from pyrovae.distributions.continuous_bernoulli import ContinuousBernoulli
from pyrovae.distributions.discretised_logistic import DiscretisedLogistic
from pyrovae.distributions.divergences import divergence, has_closed_form, per_dimension
from pyrovae.distributions.equal_mixture import EqualMixture
from pyrovae.distributions.fitted_normal import FittedNormal
from pyrovae.distributions.full_normal import FullNormal
from pyrovae.distributions.gaussian_series import GaussianSeries
from pyrovae.distributions.grid_categorical import GridCategorical
from pyrovae.distributions.ladder import Ladder
from pyrovae.distributions.log_rate_poisson import LogRatePoisson
from pyrovae.distributions.log_scale import LogScaleLaplace, LogScaleNormal
from pyrovae.distributions.logistic_mixture import LogisticMixture
from pyrovae.distributions.logistic_normal import LogisticNormal
from pyrovae.distributions.logit_bernoulli import LogitBernoulli
from pyrovae.distributions.logit_categorical import LogitCategorical
from pyrovae.distributions.low_rank_normal import LowRankNormal
from pyrovae.distributions.markov import MarkovChain
from pyrovae.distributions.missing import WithMissing
from pyrovae.distributions.mixed import Mixed
from pyrovae.distributions.mu_law import MuLawCategorical, mu_law_decode, mu_law_encode
from pyrovae.distributions.multinomial import Multinomial
from pyrovae.distributions.negative_binomial import NegativeBinomial
from pyrovae.distributions.normal_mixture import NormalMixture
from pyrovae.distributions.relaxed import RelaxedBernoulli, RelaxedOneHot
from pyrovae.distributions.shared_mixture import SharedMixture
from pyrovae.distributions.sphere import SphericalUniform
from pyrovae.distributions.student_t import LogScaleStudentT
from pyrovae.distributions.von_mises_fisher import VonMisesFisher
from pyrovae.distributions.zero_inflated import ZeroInflated

__all__ = [
    "Augmented",
    "Autoregressive",
    "ColourLogisticMixture",
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "EqualMixture",
    "FittedNormal",
    "FullNormal",
    "GaussianSeries",
    "GridCategorical",
    "Ladder",
    "LogConcentrationBeta",
    "LogRatePoisson",
    "LogScaleLaplace",
    "LogScaleNormal",
    "LogScaleStudentT",
    "LogisticMixture",
    "LogisticNormal",
    "LogitBernoulli",
    "LogitCategorical",
    "LowRankNormal",
    "MarkovChain",
    "Mixed",
    "MuLawCategorical",
    "Multinomial",
    "NegativeBinomial",
    "NormalMixture",
    "RelaxedBernoulli",
    "RelaxedOneHot",
    "SharedMixture",
    "SphericalUniform",
    "VonMisesFisher",
    "WithMissing",
    "ZeroInflated",
    "divergence",
    "has_closed_form",
    "mu_law_decode",
    "mu_law_encode",
    "per_dimension",
]
