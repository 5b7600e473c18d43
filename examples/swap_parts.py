"""Swap one part and nothing else: every prior, posterior, likelihood and guide, on real data, by one script.

    python examples/swap_parts.py --prior VampPrior                     # under each posterior on R^d
    python examples/swap_parts.py --prior VampPrior --posterior IAF     # one cell of that table
    python examples/swap_parts.py --likelihood LogisticMixture          # on data of its kind
    python examples/swap_parts.py --guide Hamiltonian
    python examples/swap_parts.py                                       # all of it, in two minutes

`pair` puts parts together, and asks the heads how wide the networks must be: nothing else depends on which
parts they are. `swap` trains a pair for 50 steps, measures it and exports it. The tables hold each part by a
name; what stands there is what one would write. All data come with packages that are installed anyway.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from matplotlib.cbook import get_sample_data
from pyro.infer.autoguide import AutoNormal
from sklearn import datasets
from torch import Tensor

import pyrovae as pv
from pyrovae import flows, guides, heads, kernels, models, nets, priors

D, T, WIDTH = 4, 8, 32  # latent dimensions (of a sequence, at each step), steps, hidden units
Data = tuple[Tensor, ...]


# One function for all parts ------------------------------------------------------------------------------


def pair(x: Tensor, *, prior: Any, posterior: Any, likelihood: Any) -> tuple[Any, Any]:
    """A model and a guide of these parts, with networks for data like x."""
    encoder = network_from(x, posterior.features(D))
    if prior is priors.VampPrior:  # which is made of the guide's own encoder
        prior = vamp(encoder, posterior, x)
    model = models.VAE(prior, network_to(x, likelihood), likelihood)
    return model, guides.Amortized(z=(encoder, posterior))


def network_from(x: Tensor, outputs: int) -> Any:
    """From a datum to features: of an image, of a sequence, of a vector with gaps, of a vector."""
    if x.ndim == 4:
        return nets.ConvEncoder(x.shape[1:], outputs, channels=(8, 16))
    if x.ndim == 3:
        return nets.Recurrent(x.shape[2], outputs, direction="backward")
    if x.isnan().any():
        return nets.Filled(nets.MLP(2 * x.shape[1], WIDTH, outputs))
    return nets.MLP(x.shape[1], WIDTH, outputs)


def network_to(x: Tensor, likelihood: Any) -> Any:
    """From a latent, of a sequence that of each step, to what the likelihood takes."""
    if x.ndim == 4:
        shape = (likelihood.features(x.shape[1]), *x.shape[2:])
        return nets.ConvDecoder(D, shape, channels=(16, 8))
    return nets.MLP(D, WIDTH, likelihood.features(x.shape[-1]))


def vamp(encoder: Any, posterior: Any, x: Tensor) -> Any:
    """Of a flowed posterior it mixes the bases: the way back of an IAF would take a pass for each entry."""
    head = heads.BaseOf(posterior) if isinstance(posterior, heads.Flowed) else posterior
    return priors.VampPrior(encoder, head, 10, x.shape[1:], bounds=(0, 1)).start_from(x)


class Found(NamedTuple):
    """What came of 50 steps; bounds in nats per datum.

    Attributes:
        run: the fitted pair.
        tree: what was exported.
        first, last: the unweighted bound, mean over the first five steps and over the last five.
        noise: the standard error of such a mean, for that its latents are drawn.
        bound, evidence: after training; ``error`` is the standard error of their difference.
        seconds: for all of it.
    """

    run: pv.Fit
    tree: Any
    first: float
    last: float
    noise: float
    bound: float
    evidence: float
    error: float
    seconds: float


def swap(model: Any, guide: Any, data: Data, export_to: Path) -> Found:
    """Trains, measures and exports: the same lines for every cell of every table."""
    begun, n = time.monotonic(), len(data[0])
    whole = isinstance(guide, AutoNormal)  # it has parameters for each datum, by its place
    batch = n if whole else -(-n // 5)
    adam = functools.partial(torch.optim.Adam, lr=0.01)
    settings = {"epochs": 50 * batch // n, "batch_size": batch, "compile": False}
    run = pv.fit(model, guide, data, loss=pv.objectives.ELBO(), optim=adam, **settings)

    all_at_once = {"batch_size": n if whole else None, "compile": False}
    bound = pv.evaluate.elbo(run, data, num_samples=10, **all_at_once)
    evidence = pv.evaluate.evidence(run, data, num_samples=20, **all_at_once)
    of_bound, of_evidence = (float(x.standard_error.norm()) / n for x in (bound, evidence))

    groups = ["posterior", "prior", "posterior_predictive", "sample_stats"]
    tree = pv.export.to_datatree(run, data, num_samples=2, groups=groups)
    tree.to_netcdf(export_to, engine="h5netcdf")
    told = np.reshape(run.history.column("train_elbo"), (10, -1)).mean(1)
    return Found(
        run,
        tree,
        first=told[0],
        last=told[-1],
        noise=of_bound * bound.num_samples**0.5,
        bound=bound.mean().value,
        evidence=evidence.mean().value,
        error=float(np.hypot(of_bound, of_evidence)),
        seconds=time.monotonic() - begun,
    )


# Real data -----------------------------------------------------------------------------------------------


@functools.cache
def digits() -> Data:
    """200 scans of 8 x 8 pixels, seventeen gray levels from 0 to 1, and which digits they are."""
    some = pv.data.load("digits").train.subset(range(200))
    return some.x, some.y


def binary() -> Tensor:
    return (digits()[0] > 0.4).float()


def specks(count: int) -> Tensor:
    """How many of so many specks of ink fall on each pixel: the darker it is, the likelier."""
    darkness = digits()[0].flatten(1)
    where = torch.multinomial(darkness, count, replacement=True, generator=torch.Generator().manual_seed(0))
    return torch.zeros_like(darkness).scatter_add_(1, where, torch.ones(where.shape))


def table(load: Any, **options: Any) -> Tensor:
    return torch.tensor(load(**options).data).float()


def standard(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)


def wine_with_gaps() -> Tensor:
    """A fifth of the entries is missing."""
    x = standard(table(datasets.load_wine))
    return x.masked_fill(torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.2, torch.nan)


def tumours() -> Tensor:
    """Each column from 0.01 to 0.99."""
    x = table(datasets.load_breast_cancer)
    return 0.01 + 0.98 * (x - x.amin(0)) / (x.amax(0) - x.amin(0))


def patients() -> Tensor:
    """With diabetes: first their sex, 0 or 1, then nine numbers."""
    x = table(datasets.load_diabetes, scaled=False)
    return torch.cat([x[:, 1:2] - 1, standard(x[:, [0, *range(2, 10)]])], 1)


def patches() -> Tensor:
    """Squares of 8 x 8 pixels of a photograph in colour, bytes divided by 255."""
    photo = torch.tensor(datasets.load_sample_image("china.jpg")[:424]).permute(2, 0, 1)
    squares = photo.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).flatten(0, 1)
    return squares[::20].float() / 255


def recorded(name: str, dtype: Any, *shape: int) -> Tensor:
    with get_sample_data(name) as file:
        return torch.tensor(np.fromfile(file, dtype)).float().reshape(-1, *shape)


# By name, each first what is observed, (n, ...), then what a prior may depend on.
DATA: dict[str, Any] = {
    "digits": lambda: (binary().flatten(1), digits()[1]),
    "digits as images": lambda: (binary(),),
    "digits by rows": lambda: (binary().squeeze(1),),
    "gray digits": lambda: (digits()[0].flatten(1),),
    "digits in 16ths": lambda: (16 * digits()[0].flatten(1),),
    "100 specks of ink": lambda: (specks(100),),
    "one speck of ink": lambda: (specks(1),),
    "photograph": lambda: (patches(),),
    "wine": lambda: (standard(table(datasets.load_wine)),),
    "wine with gaps": lambda: (wine_with_gaps(),),
    "tumours": lambda: (tumours(),),
    "patients": lambda: (patients(),),
    "membrane current": lambda: (recorded("membrane.dat", np.float32, 16)[::4],),
    "brain waves": lambda: (standard(recorded("eeg.dat", np.float64, T, 4)),),
}


# The parts -----------------------------------------------------------------------------------------------

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
        "Markov": lambda: priors.Markov(D, T, net=nets.GatedTransition(D, WIDTH)),
        "GaussianProcess": lambda: priors.GaussianProcess(T, D, kernel=kernels.Matern32(2.0)),
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


def vae(guide: Any) -> tuple[Any, Any, Data]:
    """The plain model, under a guide that is made of it and of the amortized one."""
    x = binary().flatten(1)
    parts = {"prior": priors.StandardNormal(D), "posterior": heads.normal, "likelihood": heads.bernoulli}
    model, amortized = pair(x, **parts)
    return model, guide(model, amortized), (x, torch.arange(len(x)))


def ladder() -> tuple[Any, Any, Data]:
    prior = priors.Ladder((D, 2), (nets.MLP(2, WIDTH, 2 * D),))
    lower = (nets.MLP(64, WIDTH, WIDTH), nets.MLP(WIDTH, 2 * D))
    upper = (nets.MLP(WIDTH, WIDTH, WIDTH), nets.MLP(WIDTH, 2 * 2))
    model = models.Ladder(prior, nets.MLP(D, WIDTH, 64), heads.bernoulli)
    return model, guides.Ladder(prior, z1=lower, z2=upper), DATA["digits"]()


def views(guide: Any) -> tuple[Any, Any, Data]:
    """The upper and the lower half of a digit; of every fourth one the lower is missing."""
    top, bottom = binary().flatten(1).chunk(2, 1)
    bottom = bottom.masked_fill(torch.arange(len(bottom))[:, None] % 4 == 0, torch.nan)
    prior = priors.StandardNormal(D)
    seen = {name: (nets.MLP(D, WIDTH, 32), heads.bernoulli) for name in ("top", "bottom")}
    read = {name: (nets.MLP(32, WIDTH, 2 * D), heads.normal) for name in ("top", "bottom")}
    return models.Views(prior, **seen), guide(prior, **read), (top, bottom)


# Guides that are more than a network and a head for each latent; some have a model of their own.
GUIDES: dict[str, Any] = {
    "Hamiltonian": lambda: vae(lambda model, q: guides.Hamiltonian(q, model, dim=D, steps=2)),
    "SemiAmortized": lambda: vae(lambda model, q: guides.SemiAmortized(q, model, steps=2)),
    "PerDatum": lambda: vae(lambda model, q: guides.PerDatum(200, z=(2 * D, heads.normal))),
    "AutoNormal": lambda: vae(lambda model, q: AutoNormal(model)),
    "Ladder": ladder,
    "ProductOfExperts": lambda: views(guides.ProductOfExperts),
    "MixtureOfExperts": lambda: views(guides.MixtureOfExperts),
}


# The matrix ----------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """Which parts, by their names in the tables."""

    prior: str = "StandardNormal"
    posterior: str = "diagonal"
    likelihood: str = "Bernoulli"
    guide: str = "Amortized"

    def make(self) -> tuple[Any, Any, Data]:
        """A model, a guide, and data."""
        if self.guide != "Amortized":
            return GUIDES[self.guide]()
        kind = next(kind for kind, table in PRIORS.items() if self.prior in table)
        name, likelihood = LIKELIHOODS[self.likelihood]
        data = DATA[name]()
        prior, posterior = PRIORS[kind][self.prior], {**POSTERIORS[kind], **MORE_POSTERIORS}[self.posterior]
        return *pair(data[0], prior=prior(), posterior=posterior(), likelihood=likelihood()), data


def matrix() -> list[Cell]:
    """Priors by posteriors, more posteriors, likelihoods, guides; each cell once."""
    cells = []
    for kind, table in PRIORS.items():
        likelihood = "Steps" if kind == "sequence" else "Bernoulli"
        cells += [Cell(p, q, likelihood) for p, q in itertools.product(table, POSTERIORS[kind])]
    cells += [Cell(posterior=name) for name in MORE_POSTERIORS]
    for name in LIKELIHOODS:
        cells.append(Cell("GaussianProcess" if "Steps" in name else "StandardNormal", likelihood=name))
    cells += [Cell(guide=name) for name in GUIDES]
    return list(dict.fromkeys(cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in Cell._fields:
        parser.add_argument(f"--{part}", help=f"only the cells of this {part}")
    asked = {part: name for part, name in vars(parser.parse_args()).items() if name is not None}
    chosen = [cell for cell in matrix() if all(getattr(cell, part) == name for part, name in asked.items())]
    if not chosen:
        known = {part: sorted({getattr(cell, part) for cell in matrix()}) for part in asked}
        parser.error(f"no cell of the tables is {asked}; there are {known}")

    print(f"{'prior':17}{'posterior':17}{'likelihood':30}{'guide':17}  first    last  evidence  seconds")
    with tempfile.TemporaryDirectory() as folder:
        for cell in chosen:
            pyro.set_rng_seed(0)
            found = swap(*cell.make(), Path(folder, "posterior.nc"))
            names = f"{cell.prior:17}{cell.posterior:17}{cell.likelihood:30}{cell.guide:17}"
            print(f"{names}{found.first:7.1f}{found.last:8.1f}{found.evidence:10.1f}{found.seconds:9.1f}")


if __name__ == "__main__":
    main()
