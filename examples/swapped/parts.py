"""Every prior, posterior and likelihood by a name; what stands there is what one would write."""

from __future__ import annotations

from typing import Any

from pyrovae import flows, heads, kernels, nets, priors
from swapped.data import STEPS

D, WIDTH = 4, 32  # latent dimensions (of a sequence, at each step), hidden units

# Priors by the kind of latent that they are of.
PRIORS: dict[str, dict[str, Any]] = {
    "vector": {
        "StandardNormal": lambda: priors.StandardNormal(D),
        "DiagonalNormal": lambda: priors.DiagonalNormal(D),
        "FullNormal": lambda: priors.FullNormal(D),
        "Laplace": lambda: priors.Laplace(D, learn=True),
        "NormalMixture": lambda: priors.NormalMixture(D, 5),
        "VampPrior": lambda: priors.VampPrior,
        "RealNVP": lambda: priors.Flow(flows.RealNVP(D, hidden=(WIDTH,))),
        "MAF": lambda: priors.Flow(flows.MAF(D, hidden=(WIDTH,))),
        "NeuralSpline": lambda: priors.Flow(flows.NeuralSpline(D, hidden=(WIDTH,))),
        "Ladder": lambda: priors.Ladder((2, 1, 1), (nets.MLP(1, WIDTH, 4), nets.MLP(1, WIDTH, 2))),
        "Conditional": lambda: priors.Conditional(nets.MLP(10, 2 * D), heads.normal, classes=10),
        "Joint": lambda: priors.Joint(tilt=priors.Laplace(1), style=priors.StandardNormal(D - 1)),
    },
    "sequence": {
        "Markov": lambda: priors.Markov(D, STEPS, net=nets.GatedTransition(D, WIDTH)),
        "GaussianProcess": lambda: priors.GaussianProcess(STEPS, D, kernel=kernels.Matern32(2.0)),
    },
    "direction": {"Sphere": lambda: priors.Sphere(D)},
    "shares": {
        "LogisticNormal": lambda: priors.LogisticNormal(D),
        "Dirichlet": lambda: priors.Dirichlet(D, learn=True),
        "RelaxedOneHot": lambda: priors.RelaxedOneHot(D, learn=True),
    },
    "choice": {"OneHot": lambda: priors.OneHot(D, learn=True)},
    "bits": {"Bernoulli": lambda: priors.Bernoulli(D, learn=True)},
    "bits, relaxed": {"RelaxedBernoulli": lambda: priors.RelaxedBernoulli(D, learn=True)},
}


def flowed(flow: Any, **options: Any) -> Any:
    return heads.Flowed(heads.normal, flow(D, context=8, **options))


def auxiliary() -> Any:
    return heads.Auxiliary(D, 2, nets.MLP(2 + 8, WIDTH, 2 * D), nets.MLP(D + 8, WIDTH, 2 * 2), context=8)


def planar_then_spline(dim: int, context: int) -> Any:
    return flows.Composed(
        flows.Planar(dim, context=context), flows.AutoregressiveSpline(dim, context=context)
    )


# Posteriors by the kind of latent. A sequence's "diagonal", "IAF" and "full" are those of its steps, each by
# itself: the latter two correlate the dimensions of a step. Markov correlates the steps, by any of the three.
# On a sphere, or of shares, choices and bits, there are no normals, and nothing that a flow makes of them.
POSTERIORS: dict[str, dict[str, Any]] = {
    "vector": {
        "diagonal": lambda: heads.normal,
        "IAF": lambda: flowed(flows.IAF, hidden=(WIDTH,)),
        "full": heads.FullNormal,
    },
    "sequence": {
        "diagonal": lambda: heads.Steps(heads.normal),
        "IAF": lambda: heads.Steps(flowed(flows.IAF, hidden=(WIDTH,))),
        "full": lambda: heads.Steps(heads.FullNormal()),
        "Markov": lambda: heads.Markov(D, WIDTH),
        "Markov, IAF": lambda: heads.Markov(D, WIDTH, head=flowed(flows.IAF, hidden=(WIDTH,))),
        "Markov, full": lambda: heads.Markov(D, WIDTH, head=heads.FullNormal()),
    },
    "direction": {"VonMisesFisher": heads.VonMisesFisher},
    "shares": {
        "LogisticNormal": heads.LogisticNormal,
        "Dirichlet": heads.Dirichlet,
        "RelaxedOneHot": heads.RelaxedOneHot,
    },
    "choice": {"OneHot": heads.OneHot},
    "bits": {"Bernoulli": heads.Bernoulli},
    "bits, relaxed": {"RelaxedBernoulli": heads.RelaxedBernoulli, "Beta": heads.Beta},
}

# More posteriors of vectors, each with a standard normal prior.
MORE_POSTERIORS: dict[str, Any] = {
    "LowRankNormal": lambda: heads.LowRankNormal(1),
    "NormalMixture": lambda: heads.NormalMixture(3),
    "IsotropicNormal": heads.IsotropicNormal,
    "CommittedNormal": lambda: heads.CommittedNormal(0.1),
    "Laplace": heads.Laplace,
    "StudentT": heads.StudentT,
    "Delta": heads.Delta,
    "Auxiliary": auxiliary,
    "Planar": lambda: flowed(flows.Planar),
    "Sylvester": lambda: flowed(flows.Sylvester),
    "RealNVP": lambda: flowed(flows.RealNVP),
    "MAF": lambda: flowed(flows.MAF),
    "NeuralSpline": lambda: flowed(flows.NeuralSpline),
    "Composed": lambda: flowed(planar_then_spline),
}

# Likelihoods, each with the data that it is fitted to.
LIKELIHOODS: dict[str, tuple[str, Any]] = {
    "Bernoulli": ("digits", heads.Bernoulli),
    "MADE": ("digits", lambda: heads.MADE(64, 16, hidden=(64,))),
    "GRU": ("digits", lambda: heads.GRU(64, 16, emission=heads.Bernoulli(), hidden=16)),
    "Transformer": (
        "digits",
        lambda: heads.Transformer(64, 16, emission=heads.Bernoulli(), width=16, blocks=1),
    ),
    "PixelCNN": ("digits as images", lambda: heads.PixelCNN(1, 8, width=8, layers=2)),
    "Steps": ("digits by rows", lambda: heads.Steps(heads.bernoulli)),
    "ContinuousBernoulli": ("gray digits", heads.ContinuousBernoulli),
    "IsotropicNormal": ("gray digits", heads.IsotropicNormal),
    "OptimalNormal": ("gray digits", heads.OptimalNormal),
    "PixelCategorical": ("gray digits", lambda: heads.PixelCategorical(levels=17)),
    "DiscretisedLogistic": ("gray digits", lambda: heads.DiscretisedLogistic(levels=17)),
    "Categorical": ("digits in 16ths", lambda: heads.Categorical(17)),
    "Poisson": ("digits in 16ths", heads.Poisson),
    "NegativeBinomial": ("digits in 16ths", heads.NegativeBinomial),
    "SharedNegativeBinomial": ("digits in 16ths", lambda: heads.SharedNegativeBinomial(64)),
    "ZeroInflatedNegativeBinomial": ("digits in 16ths", heads.ZeroInflatedNegativeBinomial),
    "Multinomial": ("100 specks of ink", lambda: heads.Multinomial(100)),
    "OneHot": ("one speck of ink", heads.OneHot),
    "LogisticMixture": ("photograph", lambda: heads.LogisticMixture(3, event_dim=3)),
    "Normal": ("wine", heads.Normal),
    "FullNormal": ("wine", heads.FullNormal),
    "Laplace": ("wine", heads.Laplace),
    "StudentT": ("wine", lambda: heads.StudentT(learn=True)),
    "Masked": ("wine with gaps", lambda: heads.Masked(heads.normal)),
    "Mixed": ("patients", lambda: heads.Mixed(sex=(heads.bernoulli, 1), numbers=(heads.normal, 9))),
    "Beta": ("tumours", heads.Beta),
    "MuLaw": ("membrane current", lambda: heads.MuLaw(levels=32)),
    "Steps, StudentT": ("brain waves", lambda: heads.Steps(heads.StudentT())),
}
