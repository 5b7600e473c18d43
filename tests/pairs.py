"""Pairs of every kind, as a user might write them, for the tests of what takes a fitted pair."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import nn

import pyrovae as pv

RECORD = {"data": {"shapes": [[64]], "dtypes": ["float32"]}}


def vae(dim=2, likelihood=None):
    pyro.set_rng_seed(0)
    model = pv.models.VAE(
        pv.priors.StandardNormal(dim), pv.nets.MLP(dim, 64), likelihood or pv.heads.bernoulli
    )
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 16, 2 * dim), pv.heads.normal))
    return pv.Fit(model, guide)


class Tutorial(nn.Module):
    """Methods of one module that demand data, as the official tutorial has them."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = pv.nets.MLP(64, 4), pv.nets.MLP(2, 64)

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", x.shape[0]):
            z = pyro.sample("latent", dist.Normal(x.new_zeros(len(x), 2), 1.0).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x.reshape(-1, 64))

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", x.shape[0]):
            pyro.sample("latent", pv.heads.normal(self.encoder(x.reshape(-1, 64))))


def tutorial(config=None):
    pyro.set_rng_seed(0)
    pair = Tutorial()
    return pv.Fit(pair.model, pair.guide, config=config)


def functions():
    """Plain functions without any module: every parameter is a ``pyro.param``."""

    def model(x=None, size=None):
        weight = pyro.param("weight", lambda: torch.randn(2, 64))
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z @ weight, 0.1).to_event(1), obs=x)

    def guide(x):
        weight = pyro.param("encoder", lambda: 0.1 * torch.randn(64, 2))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x @ weight, 0.1).to_event(1))

    return pv.Fit(model, guide)


class Ladder(nn.Module):
    """p(x | z1) p(z1 | z2) p(z2) and q(z2 | z1) q(z1 | x)."""

    def __init__(self):
        super().__init__()
        self.up, self.higher = pv.nets.MLP(64, 6), pv.nets.MLP(3, 4)
        self.down, self.out = pv.nets.MLP(2, 6), pv.nets.MLP(3, 64)

    def model(self, x=None, size=None):
        pyro.module("ladder", self)
        with pyro.plate("data", len(x) if x is not None else size):
            z2 = pyro.sample("z2", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            z1 = pyro.sample("z1", pv.heads.normal(self.down(z2)))
            return pyro.sample("x", pv.heads.bernoulli(self.out(z1)), obs=x)

    def guide(self, x, size=None):
        pyro.module("ladder", self)
        with pyro.plate("data", len(x)):
            z1 = pyro.sample("z1", pv.heads.normal(self.up(x)))
            pyro.sample("z2", pv.heads.normal(self.higher(z1)))


def ladder():
    pyro.set_rng_seed(0)
    pair = Ladder()
    return pv.Fit(pair.model, pair.guide), pair


class Labelled(nn.Module):
    """p(x | z, y) p(y) p(z): two observed sites, y being a parent of x."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = pv.nets.MLP(64, 4), pv.nets.MLP(12, 64)

    def model(self, x=None, y=None, size=None):
        pyro.module("labelled", self)
        size = next((len(t) for t in (x, y) if t is not None), size)
        with pyro.plate("data", size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            y = pyro.sample("y", dist.Categorical(torch.ones(10) / 10), obs=y)
            label = nn.functional.one_hot(y, 10).float()
            pyro.sample("x", dist.Normal(self.decoder(torch.cat([z, label], -1)), 0.1).to_event(1), obs=x)

    def guide(self, x, y=None, size=None):
        pyro.module("labelled", self)
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(self.encoder(x)))


def labelled():
    pyro.set_rng_seed(0)
    pair = Labelled()
    config = {"data": {"shapes": [[64], []], "dtypes": ["float32", "int64"]}}
    return pv.Fit(pair.model, pair.guide, config=config), pair


def mixture():
    """One discrete latent."""
    means = torch.randn(3, 64)

    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
            return pyro.sample("x", dist.Normal(means[k], 0.1).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("k", dist.Categorical(logits=x @ means.T))

    return pv.Fit(model, guide), means


def shared():
    """A Bayesian decoder: its weights are a latent of all data."""
    net = pv.nets.MLP(64, 4)

    def model(x=None, size=None):
        weight = pyro.sample("weight", dist.Normal(torch.zeros(2, 64), 1.0).to_event(2))
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z @ weight, 0.1).to_event(1), obs=x)

    def guide(x):
        pyro.module("net", net)
        loc = pyro.param("loc", lambda: torch.randn(2, 64))
        pyro.sample("weight", dist.Normal(loc, 0.01).to_event(2))
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(net(x)))

    return pv.Fit(model, guide)


PAIRS = {
    "house": vae,
    "tutorial": lambda: tutorial(RECORD),
    "functions": functions,
    "ladder": lambda: ladder()[0],
    "labelled": lambda: labelled()[0],
    "shared": shared,
}


def data_for(name, digits):
    return (digits, torch.arange(len(digits)) % 10) if name == "labelled" else digits
