"""Parameters and effect handlers of all kinds, around the model, the guide or both."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from engine_pairs import PIXELS, Pair, family, model_of, net, normal, normal_guide, normal_prior
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import autoguide
from pyro.infer.reparam import LocScaleReparam
from torch import nn


@family("trace")
def constrained_parameters():
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            mix = pyro.param("mix", lambda: torch.rand(3, PIXELS), constraint=constraints.unit_interval)
            order = pyro.param("order", torch.arange(8.0), constraint=constraints.ordered_vector)
            pyro.sample("x", dist.Normal(z @ mix + 0.1 * order, 1.0).to_event(1), obs=x)

    def guide(x):
        tril = pyro.param("tril", torch.eye(3), constraint=constraints.lower_cholesky)
        share = pyro.param("share", torch.ones(3) / 3, constraint=constraints.simplex)
        corr = pyro.param("corr", torch.eye(3), constraint=constraints.corr_cholesky)
        width = pyro.param("width", torch.tensor(0.4), constraint=constraints.greater_than(0.1))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.MultivariateNormal(share, scale_tril=width * tril @ corr))

    return Pair(model, guide)


@family("trace", "renyi")
def one_network_on_both_sides():
    shared, encoder = nn.Linear(PIXELS, 3), net(3, 6)

    def model(x):
        pyro.module("shared", shared)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            pyro.sample("x", dist.Bernoulli(logits=z @ shared.weight).to_event(1), obs=x)

    def guide(x):
        pyro.module("shared", shared)
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal(encoder(shared(x))))

    return Pair(model, guide)


@family("trace", "graph")
def parameters_that_only_some_steps_use():
    """Adam moves what a step has left alone too, by its momentum: Pyro's gradients are zeros, not None."""
    shallow, deep = net(PIXELS, 6), net(PIXELS, 10, 6)

    def model(x, use_deep):
        inner(x)

    def guide(x, use_deep):
        pyro.module("shallow", shallow)
        pyro.module("deep", deep)
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal((deep if use_deep else shallow)(x)))

    inner = model_of()
    return Pair(model, guide, lambda x, step: ((x, step % 2 == 0), {}))


@family("trace")
def a_leaf_that_no_one_has_named():
    leaf = torch.randn(3, PIXELS, requires_grad=True)

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            pyro.sample("x", dist.Bernoulli(logits=z @ leaf).to_event(1), obs=x)

    return Pair(model, normal_guide(), watched=(leaf,))


@family("trace")
def parameters_made_by_later_steps():
    def model(x, more):
        loc = pyro.param("loc", torch.zeros(PIXELS))
        if more:
            loc = loc + pyro.param("more", lambda: torch.randn(PIXELS))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(PIXELS), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(loc + z, 1.0).to_event(1), obs=x)

    def guide(x, more):
        scale = pyro.param("scale", lambda: torch.rand(PIXELS), constraint=constraints.positive)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(torch.zeros(PIXELS), scale).to_event(1))

    return Pair(model, guide, lambda x, step: ((x, step > 1), {}))


def _wrapped(handlers, pair=None):
    model, guide = pair or (model_of(), normal_guide())
    for handler in handlers:
        model, guide = handler(model), handler(guide)
    return Pair(model, guide)


@family("trace", "mean field", "iwae")
def scale_by_a_float():
    return _wrapped([lambda f: poutine.scale(f, scale=0.25)])


@family("trace 3v", "mean field")
def scale_by_a_tensor():
    weights = torch.rand(6)
    return _wrapped([lambda f: poutine.scale(f, scale=weights)])


@family("trace")
def scale_inside_by_a_scalar_tensor():
    beta = torch.tensor(0.5)
    model, guide = model_of(), normal_guide()

    def scaled(program):
        def run(x):
            with poutine.scale(scale=beta):
                return program(x)

        return run

    return Pair(scaled(model), scaled(guide))


@family("trace", "mean field", "renyi")
def mask_around_both():
    def masked(program):
        def run(x):
            with poutine.mask(mask=x[:, 3] > 0):
                return program(x)

        return run

    return Pair(masked(model_of()), masked(normal_guide()))


@family("trace", "mean field")
def mask_by_a_boolean():
    shape, inner = normal_prior(), model_of()

    def model(x):
        with poutine.mask(mask=False):
            y = pyro.sample("y", shape)
            pyro.sample("ignored", dist.Normal(y.sum(), 1.0), obs=x.sum())
        with poutine.mask(mask=True):
            return inner(x)

    encode = normal_guide()

    def guide(x):
        loc = pyro.param("loc", torch.zeros(3))
        with poutine.mask(mask=False):
            pyro.sample("y", dist.Normal(loc, 1.0).to_event(1))
        return encode(x)

    return Pair(model, guide)


@family("trace")
def condition_and_block():
    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            w = pyro.sample("w", dist.Normal(z.sum(-1), 1.0))
            pyro.sample("v", dist.Normal(w, 1.0))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    decoder = net(3, PIXELS)
    conditioned = poutine.condition(model, data={"w": torch.arange(6.0)})
    return Pair(poutine.block(conditioned, hide=["v"]), normal_guide())


@family("trace")
def intervention():
    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            on = pyro.sample("on", dist.Bernoulli(0.5))
            z = pyro.sample("z", dist.Normal(on.unsqueeze(-1) * torch.ones(3), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    decoder = net(3, PIXELS)
    return Pair(poutine.block(poutine.do(model, data={"on": torch.ones(6)}), hide=["on"]), normal_guide())


@family("trace", "graph")
def factors_and_deterministic_sites():
    decoder, encoder = net(3, PIXELS), net(PIXELS, 6)

    def model(x):
        pyro.module("decoder", decoder)
        strength = pyro.param("strength", torch.tensor(0.3))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            logits = pyro.deterministic("logits", decoder(z), event_dim=1)
            pyro.factor("pull", -strength * logits.square().sum(-1))
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x):
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal(encoder(x)))
            pyro.factor("push", encoder(x).abs().sum(-1), has_rsample=True)

    return Pair(model, guide)


@family("trace", "graph")
def auxiliary_sites_in_the_guide():
    encoder, head = net(PIXELS, 6), nn.Linear(3, 6)

    def guide(x):
        pyro.module("encoder", encoder)
        pyro.module("head", head)
        with pyro.plate("data", len(x)):
            seed = pyro.sample("seed", normal(encoder(x)), infer={"is_auxiliary": True})
            pyro.sample("z", normal(head(seed)))

    return Pair(model_of(), guide)


@family("trace")
def partly_observed():
    seen = torch.tensor([True, False, True, True, False, True])

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            pyro.sample("x", dist.Normal(decoder(z), 1.0).to_event(1), obs=x, obs_mask=seen)

    def guide(x):
        loc = pyro.param("loc", torch.zeros(6, PIXELS))
        with pyro.plate("data", len(x)):
            pyro.sample("z", normal(encoder(x)))
            pyro.sample("x_unobserved", dist.Normal(loc, 1.0).to_event(1))

    decoder, encoder = net(3, PIXELS), net(PIXELS, 6)
    pyro.module("encoder", encoder)
    return Pair(model, guide)


@family("trace")
def reparameterised():
    def model(x):
        scale = pyro.sample("scale", dist.HalfNormal(1.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(PIXELS), scale).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    model = poutine.reparam(model, config={"z": LocScaleReparam(shape_params=())})
    return Pair(model, autoguide.AutoDiagonalNormal(model))
