"""One latent per datum, of every kind: densities, flows, relaxations, score functions."""

from __future__ import annotations

from functools import partial

import pyro
import pyro.distributions as dist
import pyro.distributions.transforms as T
import torch
from engine_pairs import PIXELS, Pair, family, guide_of, model_of, net, normal, normal_guide, normal_prior
from torch import nn
from torch.nn import functional as F


@family(
    "trace", "trace 2", "trace 3v", "mean field", "mean field 3v", "graph", "graph 3v", "enum", "renyi",
    "iwae", "wake-sleep", "tail", "mmd", "callable",
)  # fmt: skip
def normal_vae():
    return Pair(model_of(), normal_guide())


def _same_kind(make, sizes, prior):
    """A guide of the prior's kind, its parameters by a network."""
    encoder = net(PIXELS, 10, sizes)
    return Pair(model_of(prior), guide_of(lambda x: make(encoder(x)), encoder))


def _pairwise(kind, features):
    one, other = F.softplus(features).chunk(2, -1)
    return kind(one + 0.1, other + 0.1).to_event(1)


def _located(kind, features, *first):
    loc, scale = features.chunk(2, -1)
    return kind(*first, loc, F.softplus(scale)).to_event(1)


def _ones(kind, *others):
    return kind(*others, torch.ones(3), 1.0).to_event(1)


def _cholesky(features):
    tril = features[..., 3:].unflatten(-1, (3, 3)).tril(-1) + torch.eye(3)
    return dist.MultivariateNormal(features[..., :3], scale_tril=tril)


def _low_rank(features):
    factor = features[..., 6:].unflatten(-1, (3, 2))
    return dist.LowRankMultivariateNormal(features[..., :3], factor, features[..., 3:6].exp())


def _truncated(features):
    loc, scale = features.chunk(2, -1)
    return dist.TransformedDistribution(dist.Logistic(loc, scale.exp()), T.SigmoidTransform()).to_event(1)


DENSITIES = {
    "gamma": (partial(_pairwise, dist.Gamma), 6, lambda: _ones(dist.Gamma)),
    "beta": (partial(_pairwise, dist.Beta), 6, lambda: _ones(dist.Beta)),
    "kumaraswamy": (partial(_pairwise, dist.Kumaraswamy), 6, lambda: _ones(dist.Beta)),
    "inverse gamma": (partial(_pairwise, dist.InverseGamma), 6, lambda: _ones(dist.Gamma)),
    "dirichlet": (lambda f: dist.Dirichlet(f.exp()), 3, lambda: dist.Dirichlet(torch.ones(3))),
    "student": (lambda f: _located(dist.StudentT, f, 4.0), 6, lambda: _ones(dist.StudentT, 5.0)),
    "laplace": (partial(_located, dist.Laplace), 6, lambda: _ones(dist.Laplace)),
    "cauchy": (partial(_located, dist.Cauchy), 6, lambda: _ones(dist.Cauchy)),
    "log-normal": (partial(_located, dist.LogNormal), 6, lambda: _ones(dist.LogNormal)),
    "half-cauchy": (lambda f: dist.HalfCauchy(f.exp()).to_event(1), 3, lambda: _ones(dist.Gamma)),
    "logistic in a box": (_truncated, 6, lambda: dist.Uniform(torch.zeros(3), 1.0).to_event(1)),
    "full normal": (_cholesky, 12, lambda: dist.MultivariateNormal(torch.zeros(3), 0.5 + torch.eye(3))),
    "low-rank normal": (_low_rank, 12, normal_prior),
    "mixture density": (
        lambda f: dist.MaskedMixture(
            f[..., 0].detach() > 0, dist.Delta(f, event_dim=1), dist.Delta(2 * f, event_dim=1)
        ),
        3,
        normal_prior,
    ),
    "delta": (lambda f: dist.Delta(f, event_dim=1), 3, normal_prior),
    "poisson": (
        lambda f: dist.Poisson(f.exp()).to_event(1),
        3,
        lambda: dist.Poisson(torch.ones(3)).to_event(1),
    ),
    "negative binomial": (
        lambda f: dist.NegativeBinomial(3.0, logits=f).to_event(1),
        3,
        lambda: dist.Poisson(torch.ones(3)).to_event(1),
    ),
    "binomial": (
        lambda f: dist.Binomial(4, logits=f).to_event(1),
        3,
        lambda: dist.Binomial(4, torch.full((3,), 0.5)).to_event(1),
    ),
    "multinomial": (
        lambda f: dist.Multinomial(4, logits=f),
        3,
        lambda: dist.Multinomial(4, torch.ones(3)),
    ),
}  # fmt: skip

_MORE = {
    "gamma": ("mean field",),
    "dirichlet": ("mean field",),
    "full normal": ("mean field",),
    "poisson": ("graph",),
    "laplace": ("trace 3v",),
}
for _name, (_make, _sizes, _prior) in DENSITIES.items():
    family("trace", *_MORE.get(_name, ()), name=_name)(partial(_same_kind, _make, _sizes, _prior))


def _half():
    return torch.full((3,), 0.5)


@family("trace", "trace 3v", "graph", "wake-sleep", "callable")
def bernoulli_by_score_function():
    encoder = net(PIXELS, 10, 3)
    return Pair(
        model_of(lambda: dist.Bernoulli(_half()).to_event(1)),
        guide_of(lambda x: dist.Bernoulli(logits=encoder(x)).to_event(1), encoder),
    )


@family("trace", "wake-sleep")
def one_hot_by_score_function():
    encoder = net(PIXELS, 10, 3)
    return Pair(
        model_of(lambda: dist.OneHotCategorical(torch.ones(3) / 3)),
        guide_of(lambda x: dist.OneHotCategorical(logits=encoder(x)), encoder),
    )


@family("trace 3v", "graph")
def category_as_an_index():
    encoder, table = net(PIXELS, 10, 4), nn.Embedding(4, PIXELS)
    return Pair(
        model_of(lambda: dist.Categorical(torch.ones(4) / 4), table),
        guide_of(lambda x: dist.Categorical(logits=encoder(x)), encoder),
    )


@family("trace", "iwae")
def relaxed_bernoulli():
    encoder, heat = net(PIXELS, 10, 3), torch.tensor(0.5)
    return Pair(
        model_of(lambda: dist.RelaxedBernoulli(heat, _half()).to_event(1)),
        guide_of(lambda x: dist.RelaxedBernoulli(heat, logits=encoder(x)).to_event(1), encoder),
    )


@family("trace 3v")
def straight_through_bernoulli():
    encoder, heat = net(PIXELS, 10, 3), torch.tensor(0.5)
    kind = dist.RelaxedBernoulliStraightThrough
    return Pair(
        model_of(lambda: kind(heat, _half()).to_event(1)),
        guide_of(lambda x: kind(heat, logits=encoder(x)).to_event(1), encoder),
    )


@family("trace")
def straight_through_one_hot():
    encoder = net(PIXELS, 10, 3)
    kind = dist.OneHotCategoricalStraightThrough
    return Pair(
        model_of(lambda: kind(torch.ones(3) / 3)), guide_of(lambda x: kind(logits=encoder(x)), encoder)
    )


@family("trace")
def gumbel_softmax_straight_through():
    encoder, heat = net(PIXELS, 10, 3), torch.tensor(0.7)
    kind = dist.RelaxedOneHotCategoricalStraightThrough
    return Pair(
        model_of(lambda: kind(heat, torch.ones(3) / 3)),
        guide_of(lambda x: kind(heat, logits=encoder(x)), encoder),
    )


@family("graph")
def score_function_with_neural_baseline():
    encoder, baseline = net(PIXELS, 10, 3), nn.Sequential(nn.Linear(PIXELS, 1), nn.Flatten(0))

    def guide(x):
        pyro.module("encoder", encoder)
        pyro.module("baseline", baseline)
        infer = {"baseline": {"nn_baseline": baseline, "nn_baseline_input": x}}
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Bernoulli(logits=encoder(x)).to_event(1), infer=infer)

    return Pair(model_of(lambda: dist.Bernoulli(_half()).to_event(1)), guide)


@family(refused={"graph": "a baseline that keeps a decaying average"})
def score_function_with_decaying_baseline():
    encoder = net(PIXELS, 10, 3)

    def guide(x):
        pyro.module("encoder", encoder)
        infer = {"baseline": {"use_decaying_avg_baseline": True, "baseline_beta": 0.8}}
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Bernoulli(logits=encoder(x)).to_event(1), infer=infer)

    return Pair(model_of(lambda: dist.Bernoulli(_half()).to_event(1)), guide)


def _flow_guide(make_flows):
    encoder, flows = net(PIXELS, 10, 6), make_flows()
    modules = nn.ModuleList(flow for flow in flows if isinstance(flow, nn.Module))

    def posterior(x):
        parts = [flow.condition(x) if hasattr(flow, "condition") else flow for flow in flows]
        return dist.TransformedDistribution(normal(encoder(x)), parts)

    return Pair(model_of(), guide_of(posterior, encoder, modules), watched=(modules,))


FLOWS = {
    "inverse autoregressive": lambda: [T.affine_autoregressive(3, [8]), T.affine_autoregressive(3, [8])],
    "conditional autoregressive": lambda: [T.conditional_affine_autoregressive(3, PIXELS, [8])],
    "conditional coupling": lambda: [T.conditional_affine_coupling(3, PIXELS, [8])],
    "planar, radial, Householder": lambda: [T.planar(3), T.radial(3), T.householder(3, 2)],
    "splines": lambda: [T.spline_coupling(3, 1, [8], count_bins=2), T.spline(3, count_bins=2)],
    "conditional planar, permuted": lambda: [
        T.conditional_planar(3, PIXELS, [8]), T.Permute(torch.tensor([2, 0, 1]))
    ],
    "neural autoregressive": lambda: [T.neural_autoregressive(3, [8])],
}  # fmt: skip
for _name, _flows in FLOWS.items():
    family("trace", *(("iwae",) if _name == "inverse autoregressive" else ()), name=f"flow, {_name}")(
        partial(_flow_guide, _flows)
    )


@family("trace")
def flow_as_prior():
    flow = T.affine_coupling(3, hidden_dims=[8])
    decoder = nn.ModuleDict({"flow": flow, "net": net(3, 10, PIXELS)})

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.TransformedDistribution(normal_prior(), [flow]))
            pyro.sample("x", dist.Bernoulli(logits=decoder["net"](z)).to_event(1), obs=x)

    return Pair(model, normal_guide())
