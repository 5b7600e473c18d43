"""Programs of several plates, with subsampling, sequences, and enumeration."""

from __future__ import annotations

from functools import partial

import pyro
import pyro.distributions as dist
import torch
from engine_pairs import PIXELS, Pair, family, net, normal, normal_prior
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import autoguide, config_enumerate
from torch import nn


@family("trace", "graph")
def continuous_and_discrete_sites():
    decoder, encoder = net(4, PIXELS), net(PIXELS, 10, 7)

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            on = pyro.sample("on", dist.Bernoulli(0.3))
            z = pyro.sample("z", dist.Normal(on.unsqueeze(-1).expand(*on.shape, 3), 1.0).to_event(1))
            logits = decoder(torch.cat([z, on.unsqueeze(-1)], -1))
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x):
        pyro.module("encoder", encoder)
        features = encoder(x)
        with pyro.plate("data", len(x)):
            on = pyro.sample("on", dist.Bernoulli(logits=features[..., 0]))
            pyro.sample("z", normal(features[..., 1:] * (1 + on.unsqueeze(-1))))

    return Pair(model, guide)


@family("trace", "trace 3v", "mean field", nesting=2)
def two_plates_and_a_mask():
    def model(x):
        scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.softplus_positive)
        rows = pyro.plate("rows", len(x), dim=-2)
        columns = pyro.plate("columns", PIXELS, dim=-1)
        with rows:
            a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with columns:
            b = pyro.sample("b", dist.Normal(0.0, 1.0))
        with rows, columns, poutine.mask(mask=x > 0):
            c = pyro.sample("c", dist.Normal(a + b, 1.0))
            pyro.sample("x", dist.Normal(c, scale), obs=x)

    def guide(x):
        loc = pyro.param("loc", lambda: torch.randn(6, 1))
        wide = pyro.param("wide", torch.ones(PIXELS), constraint=constraints.interval(0.1, 3.0))
        rows = pyro.plate("rows", len(x), dim=-2)
        columns = pyro.plate("columns", PIXELS, dim=-1)
        with rows:
            a = pyro.sample("a", dist.Normal(loc, 0.5))
        with columns:
            b = pyro.sample("b", dist.Normal(0.3, wide))
        with rows, columns, poutine.mask(mask=x > 0):
            pyro.sample("c", dist.Normal(a * b, wide))

    return Pair(model, guide)


@family("trace", "mean field", "renyi")
def subsampled_plate_and_a_global():
    data = torch.randn(30, PIXELS)

    def model(x):
        mean = pyro.sample("mean", dist.Normal(torch.zeros(PIXELS), 1.0).to_event(1))
        with pyro.plate("data", 30, subsample_size=5) as rows:
            pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=data[rows])

    def guide(x):
        loc = pyro.param("loc", torch.zeros(PIXELS))
        scale = pyro.param("scale", torch.ones(PIXELS), constraint=constraints.positive)
        pyro.sample("mean", dist.Normal(loc, scale).to_event(1))

    return Pair(model, guide)


@family("trace", "trace 3v")
def a_plate_of_the_whole_data_set():
    encoder = net(PIXELS, 10, 6)

    def model(x, rows):
        weight = pyro.sample("weight", dist.Normal(torch.zeros(3, PIXELS), 1.0).to_event(2))
        with pyro.plate("data", 100, subsample=rows):
            z = pyro.sample("z", normal_prior())
            logits = (z.unsqueeze(-2) @ weight).squeeze(-2)
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x, rows):
        pyro.module("encoder", encoder)
        loc = pyro.param("loc", lambda: torch.randn(3, PIXELS))
        pyro.sample("weight", dist.Normal(loc, 0.1).to_event(2))
        with pyro.plate("data", 100, subsample=rows):
            pyro.sample("z", normal(encoder(x)))

    return Pair(model, guide, lambda x, step: ((x, torch.arange(6) * (step + 1)), {}))


@family("trace")
def a_parameter_per_datum():
    def model(x):
        with pyro.plate("data", 20, subsample_size=6):
            z = pyro.sample("z", dist.Normal(torch.zeros(PIXELS), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", 20, subsample_size=6):
            loc = pyro.param("loc", lambda: torch.randn(20, PIXELS), event_dim=1)
            scale = pyro.param("scale", torch.ones(20, PIXELS), constraint=constraints.positive, event_dim=1)
            pyro.sample("z", dist.Normal(loc, scale).to_event(1))

    return Pair(model, guide)


@family("trace 3v")
def plates_around_globals():
    def model(x):
        with pyro.plate("columns", PIXELS):
            mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
            scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean.unsqueeze(-2), scale.unsqueeze(-2)).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("columns", PIXELS):
            loc = pyro.param("loc", torch.zeros(PIXELS))
            mean = pyro.sample("mean", dist.Normal(loc, 0.3))
            pyro.sample("scale", dist.LogNormal(mean.detach() * loc, 0.2))

    return Pair(model, guide)


@family("trace", "graph")
def sequential_plates():
    def model(x):
        for i in pyro.plate("rows", 3):
            z = pyro.sample(f"z{i}", dist.Normal(0.0, 1.0))
            with pyro.plate(f"columns{i}", PIXELS):
                pyro.sample(f"x{i}", dist.Normal(z, 1.0), obs=x[i])

    def guide(x):
        for i in pyro.plate("rows", 3):
            loc = pyro.param(f"loc{i}", torch.tensor(0.1 * i))
            pyro.sample(f"z{i}", dist.Normal(loc, 1.0))

    return Pair(model, guide)


@family("trace", "mean field")
def a_sequence_with_a_gru_guide():
    move, recurrent, head = net(2, 2), nn.GRU(2, 4, batch_first=True), nn.Linear(6, 4)

    def model(x):
        pyro.module("move", move)
        with pyro.plate("data", len(x)):
            z = torch.zeros(len(x), 2)
            for t in pyro.markov(range(3)):
                z = pyro.sample(f"z{t}", dist.Normal(move(z), 1.0).to_event(1))
                pyro.sample(f"x{t}", dist.Normal(z, 1.0).to_event(1), obs=x[:, 2 * t : 2 * t + 2])

    def guide(x):
        pyro.module("recurrent", recurrent)
        pyro.module("head", head)
        states, _ = recurrent(x[:, :6].unflatten(-1, (3, 2)))
        with pyro.plate("data", len(x)):
            z = torch.zeros(len(x), 2)
            for t in pyro.markov(range(3)):
                z = pyro.sample(f"z{t}", normal(head(torch.cat([states[:, t], z], -1))))

    return Pair(model, guide)


def _m2():
    """p(x | y, z) p(y) p(z), q(y | x) q(z | x, y), as Kingma et al. have them."""
    nets = nn.ModuleDict({"y": net(PIXELS, 4), "z": net(PIXELS + 4, 6), "x": net(3 + 4, PIXELS)})

    def join(a, b):
        shape = torch.broadcast_shapes(a.shape[:-1], b.shape[:-1])
        return torch.cat([a.expand(*shape, -1), b.expand(*shape, -1)], -1)

    def model(x, y=None):
        pyro.module("nets", nets)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(torch.ones(4) / 4), obs=y)
            z = pyro.sample("z", normal_prior())
            pyro.sample("x", dist.Bernoulli(logits=nets["x"](join(z, y))).to_event(1), obs=x)

    def guide(x, y=None):
        pyro.module("nets", nets)
        with pyro.plate("data", len(x)):
            if y is None:
                y = pyro.sample("y", dist.OneHotCategorical(logits=nets["y"](x)))
            pyro.sample("z", normal(nets["z"](join(x, y))))

    return model, guide


@family("enum", "enum 3v")
def m2_enumerated_in_the_guide():
    model, guide = _m2()
    return Pair(model, config_enumerate(guide))


@family("trace", "graph")
def m2_by_score_function():
    return Pair(*_m2())


@family("enum")
def m2_with_and_without_labels():
    model, guide = _m2()
    labels = torch.eye(4)[[0, 1, 2, 3, 0, 1]]
    return Pair(model, config_enumerate(guide), lambda x, step: ((x,), {"y": labels} if step % 2 else {}))


@family("enum", "enum 3v", "tmc")
def mixture_enumerated_in_the_model():
    @config_enumerate
    def model(x):
        weights = pyro.param("weights", torch.ones(3) / 3, constraint=constraints.simplex)
        means = pyro.param("means", lambda: torch.randn(3, PIXELS))
        scale = pyro.param("scale", torch.tensor(0.7), constraint=constraints.positive)
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(weights))
            pyro.sample("x", dist.Normal(means[k], scale).to_event(1), obs=x)

    return Pair(model, lambda x: None)


@family("enum")
def mixture_with_global_latents():
    def model(x):
        weights = pyro.sample("weights", dist.Dirichlet(torch.full((3,), 0.5)))
        with pyro.plate("components", 3):
            means = pyro.sample("means", dist.Normal(torch.zeros(PIXELS), 2.0).to_event(1))
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(weights), infer={"enumerate": "parallel"})
            pyro.sample("x", dist.Normal(means[k], 1.0).to_event(1), obs=x)

    return Pair(model, autoguide.AutoNormal(poutine.block(model, hide=["k"])))


def _chain(history):
    @config_enumerate
    def model(x):
        move = pyro.param(
            "move",
            lambda: torch.eye(3).add(0.3).expand((3,) * history + (3,)),
            constraint=constraints.simplex,
        )
        means = pyro.param("means", lambda: torch.randn(3))
        with pyro.plate("data", len(x)):
            past = [torch.tensor(0)] * history
            for t in pyro.markov(range(5), history=history):
                k = pyro.sample(f"k{t}", dist.Categorical(move[tuple(past)]))
                pyro.sample(f"x{t}", dist.Normal(means[k], 1.0), obs=x[:, t])
                past = [*past[1:], k]

    return Pair(model, lambda x: None)


family("enum", name="hidden Markov model")(partial(_chain, 1))
family("enum", name="hidden Markov model of order 2")(partial(_chain, 2))


@family("enum")
def sequential_enumeration():
    def model(x):
        means = pyro.param("means", lambda: torch.randn(3, PIXELS))
        k = pyro.sample("k", dist.Categorical(torch.ones(3)))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(means[k], 1.0).to_event(1), obs=x)

    def guide(x):
        logits = pyro.param("logits", torch.zeros(3))
        pyro.sample("k", dist.Categorical(logits=logits), infer={"enumerate": "sequential"})

    return Pair(model, guide)


@family("enum", nesting=2)
def enumeration_inside_two_plates():
    @config_enumerate
    def model(x):
        p = pyro.param("p", torch.tensor([0.3, 0.8]), constraint=constraints.unit_interval)
        means = pyro.param("means", lambda: torch.randn(2, 2))
        with pyro.plate("data", len(x), dim=-2):
            a = pyro.sample("a", dist.Bernoulli(0.4)).long()
            with pyro.plate("pixels", PIXELS, dim=-1):
                b = pyro.sample("b", dist.Bernoulli(p[a])).long()
                pyro.sample("x", dist.Normal(means[a, b], 1.0), obs=x)

    return Pair(model, lambda x: None)


@family("enum")
def enumeration_under_masks_and_scales():
    def model(x):
        means = pyro.param("means", lambda: torch.randn(3, PIXELS))
        with pyro.plate("data", len(x)), poutine.mask(mask=x[:, 3] > 0), poutine.scale(scale=2.0):
            k = pyro.sample("k", dist.Categorical(torch.ones(3)))
            pyro.sample("x", dist.Normal(means[k], 1.0).to_event(1), obs=x)

    def guide(x):
        encoder = pyro.module("encoder", classifier)
        with pyro.plate("data", len(x)), poutine.mask(mask=x[:, 3] > 0), poutine.scale(scale=2.0):
            pyro.sample("k", dist.Categorical(logits=encoder(x)), infer={"enumerate": "parallel"})

    classifier = net(PIXELS, 3)
    return Pair(model, guide)
