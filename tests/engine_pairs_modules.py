"""Arguments of all kinds, modules of Pyro, and guides that are made by themselves."""

from __future__ import annotations

from functools import partial

import pyro
import pyro.distributions as dist
import torch
from engine_pairs import PIXELS, Pair, family, guide_of, model_of, net, normal, normal_guide, normal_prior
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import autoguide
from pyro.nn import PyroModule, PyroParam, PyroSample, pyro_method
from torch import nn


def _parts(x):
    return {"image": x, "more": [x * 2, (x - 1, None)]}


def _switched(x):
    def model(parts, *, kind, scale, options=()):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(parts["image"])):
            z = pyro.sample("z", normal_prior())
            logits = decoder(z) * scale + sum(parts["more"][0].mean(-1, keepdim=True) for _ in options)
            likelihood = dist.Bernoulli(logits=logits) if kind == "bernoulli" else dist.Normal(logits, 1.0)
            pyro.sample("x", likelihood.to_event(1), obs=parts["image"])

    def guide(parts, *, kind, scale, options=()):
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(parts["image"])):
            pyro.sample("z", normal(encoder(parts["more"][1][0])))

    decoder, encoder = net(3, PIXELS), net(PIXELS, 6)
    return model, guide


@family("trace", "mean field")
def arguments_of_all_kinds():
    model, guide = _switched(None)

    def call(x, step):
        kind = ["bernoulli", "normal"][step % 2]
        return (_parts(x),), {
            "kind": kind,
            "scale": step % 2 + 1,
            "options": [True, torch.float64][: step % 2],
        }

    return Pair(model, guide, call)


@family("trace")
def batches_of_two_sizes():
    return Pair(model_of(), normal_guide(), lambda x, step: ((x[: 6 - 2 * (step % 2)],), {}))


def _strided(lay_out):
    encoder = nn.Sequential(nn.Unflatten(-1, (2, 4)), nn.Linear(4, 6), nn.Tanh(), nn.Flatten(), net(12, 6))
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder), lambda x, i: ((lay_out(x),), {}))


LAYOUTS = {
    "transposed": lambda x: x.T.contiguous().T,
    "some columns of more": lambda x: torch.cat([x, 1 - x], -1)[:, :PIXELS],
    "every other row": lambda x: x.repeat_interleave(2, 0)[::2],
    "one datum, expanded": lambda x: x[:1].expand(6, PIXELS),
}
for _name, _layout in LAYOUTS.items():
    family("trace", name=f"a batch of another layout, {_name}")(partial(_strided, _layout))


@family("trace")
def a_number_that_changes_outside():
    class Annealed(nn.Module):
        def __init__(self):
            super().__init__()
            self.beta, self.run = 0.1, model_of()

        def forward(self, x):
            with poutine.scale(scale=self.beta):
                return self.run(x)

    model = Annealed()

    def call(x, step):
        model.beta = 0.1 + 0.2 * step
        return (x,), {}

    return Pair(model, normal_guide(), call)


def _from_a_dictionary(read):
    config, inner = {"beta": 0.1, "more": [1.0, 2.0]}, model_of()

    def model(x):
        with poutine.scale(scale=read(config)):
            return inner(x)

    def call(x, step):
        config["beta"] = config["more"][1] = 0.1 + 0.2 * step
        return (x,), {}

    return Pair(model, normal_guide(), call)


READERS = {
    "a number": lambda config: config["beta"],
    "a list in it": lambda config: config["more"][1],
}
for _name, _read in READERS.items():
    family("trace", name=f"a dictionary that changes outside, {_name}")(partial(_from_a_dictionary, _read))


class _Both(PyroModule):
    """Model and guide as methods of one module, with parameters of every kind."""

    def __init__(self):
        super().__init__()
        self.encoder = net(PIXELS, 6)
        self.weight = PyroParam(torch.randn(3, PIXELS))
        self.scale = PyroParam(torch.tensor(0.5), constraint=constraints.positive)
        self.shift = nn.Parameter(torch.zeros(PIXELS))
        self.bias = PyroSample(lambda self: dist.Normal(torch.zeros(PIXELS), self.scale).to_event(1))

    def forward(self, x):
        bias = self.bias + self.shift
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            pyro.sample("x", dist.Bernoulli(logits=z @ self.weight + bias).to_event(1), obs=x)

    @pyro_method
    def guide(self, x):
        pyro.sample("bias", dist.Normal(self.shift, self.scale).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal(self.encoder(x)))


@family("trace", "mean field")
def a_pyro_module():
    both = _Both()
    return Pair(both, both.guide)


@family("trace")
def a_bayesian_network():
    class Model(PyroModule):
        def __init__(self):
            super().__init__()
            self.layer = PyroModule[nn.Linear](3, PIXELS)
            self.layer.weight = PyroSample(dist.Normal(0.0, 1.0).expand([PIXELS, 3]).to_event(2))

        def forward(self, x):
            logits = self.layer(x[:, 2:5])
            with pyro.plate("data", len(x)):
                pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    model = Model()
    return Pair(model, autoguide.AutoNormal(model))


def _hierarchy(x):
    with pyro.plate("columns", PIXELS):
        centre = pyro.sample("centre", dist.Normal(0.0, 1.0))
    scale = pyro.sample("scale", dist.Gamma(2.0, 2.0))
    with pyro.plate("data", len(x)):
        shift = pyro.sample("shift", dist.Normal(scale, 1.0))
        loc = (
            (centre + shift.unsqueeze(-1)) if shift.dim() == 1 else centre.unsqueeze(-2) + shift.unsqueeze(-1)
        )
        pyro.sample("x", dist.Normal(loc, scale.unsqueeze(-1)).to_event(1), obs=x)


def _in_two(model):
    guides = autoguide.AutoGuideList(model)
    guides.append(autoguide.AutoDiagonalNormal(poutine.block(model, expose=["centre", "scale"])))
    guides.append(autoguide.AutoDelta(poutine.block(model, expose=["shift"])))
    return guides


def _structured(model):
    return autoguide.AutoStructured(
        model,
        conditionals={"centre": "normal", "scale": "delta", "shift": "mvn"},
        dependencies={"shift": {"centre": "linear"}},
    )


AUTOGUIDES = {
    "AutoNormal": (autoguide.AutoNormal, ("trace", "trace 2", "mean field")),
    "AutoDiagonalNormal": (autoguide.AutoDiagonalNormal, ("trace", "graph")),
    "AutoMultivariateNormal": (autoguide.AutoMultivariateNormal, ("trace",)),
    "AutoLowRankMultivariateNormal": (autoguide.AutoLowRankMultivariateNormal, ("trace",)),
    "AutoDelta": (autoguide.AutoDelta, ("trace",)),
    "AutoIAFNormal": (partial(autoguide.AutoIAFNormal, hidden_dim=[16]), ("trace",)),
    "AutoLaplaceApproximation": (autoguide.AutoLaplaceApproximation, ("trace",)),
    "AutoGuideList": (_in_two, ("trace",)),
    "AutoStructured": (_structured, ("trace",)),
    "AutoGaussian": (autoguide.AutoGaussian, ("trace",)),
    "AutoNormalMessenger": (autoguide.AutoNormalMessenger, ("trace",)),
    "AutoHierarchicalNormalMessenger": (autoguide.AutoHierarchicalNormalMessenger, ("trace",)),
    "AutoRegressiveMessenger": (autoguide.AutoRegressiveMessenger, ("trace",)),
}


def _automatic(make):
    return Pair(_hierarchy, make(_hierarchy))


for _name, (_make, _objectives) in AUTOGUIDES.items():
    family(*_objectives, name=_name)(partial(_automatic, _make))


@family("enum")
def autoguide_with_an_enumerated_site():
    def model(x):
        means = pyro.sample("means", dist.Normal(torch.zeros(2, PIXELS), 1.0).to_event(2))
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(torch.ones(2)), infer={"enumerate": "parallel"})
            pyro.sample("x", dist.Normal(means[k], 1.0).to_event(1), obs=x)

    guides = autoguide.AutoGuideList(model)
    guides.append(autoguide.AutoNormal(poutine.block(model, expose=["means"])))
    guides.append(autoguide.AutoDiscreteParallel(poutine.block(model, expose=["k"])))
    return Pair(model, guides)
