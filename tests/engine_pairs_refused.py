"""Programs that no graph can stand for, and the reason that must be given."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from engine_pairs import PIXELS, Pair, family, guide_of, model_of, net, normal, normal_guide, normal_prior
from pyro.distributions import constraints
from torch import Tensor, nn


def _refused(reason, *objectives):
    return family(refused=dict.fromkeys(objectives or ("trace",), reason))


def _through(change):
    """The plain VAE, whose guide sees ``change(x)``."""
    encoder = net(PIXELS, 10, 6)
    return Pair(model_of(), guide_of(lambda x: normal(encoder(change(x))), encoder))


@_refused(r"value is read in Python at site 'angle' \(VonMises\)")
def rejection_sampler():
    def model(x):
        with pyro.plate("data", len(x)):
            angle = pyro.sample("angle", dist.VonMises(0.0, 1.0))
            pyro.sample("x", dist.Normal(angle.unsqueeze(-1) * torch.ones(PIXELS), 1.0).to_event(1), obs=x)

    def guide(x):
        force = pyro.param("force", torch.tensor(1.0), constraint=constraints.positive)
        with pyro.plate("data", len(x)):
            pyro.sample("angle", dist.VonMises(x.sum(-1), force))

    return Pair(model, guide)


@_refused("value is read in Python.*if x.sum", "trace", "graph")
def an_if_on_values():
    def change(x):
        if x.sum() > 0:
            return x
        return -x

    return _through(change)


@_refused("value is read in Python")
def an_if_on_a_sample():
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", normal_prior())
            loc = z[..., :1] if float(z.detach().mean()) > 0 else z[..., 1:2]
            pyro.sample("x", dist.Normal(loc * torch.ones(PIXELS), 1.0).to_event(1), obs=x)

    return Pair(model, normal_guide())


@_refused("value is read in Python")
def a_loop_over_values():
    return _through(lambda x: x * sum(range(int(x.abs().max().item()) + 2)))


@_refused("value is read in Python|shape of what .* depends on values")
def a_shape_that_depends_on_values():
    def model(x):
        bright = x[x.sum(-1) > 2.5]
        with pyro.plate("data", len(bright)):
            z = pyro.sample("z", normal_prior())
            pyro.sample(
                "x", dist.Normal(z.sum(-1, keepdim=True) * torch.ones(PIXELS), 1.0).to_event(1), obs=bright
            )

    def guide(x):
        loc = pyro.param("loc", torch.zeros(3))
        with pyro.plate("data", len(x[x.sum(-1) > 2.5])):
            pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))

    return Pair(model, guide)


@_refused("an array of NumPy's is made a tensor")
def an_array_made_inside():
    return _through(lambda x: x * torch.from_numpy(np.arange(1.0, PIXELS + 1)))


@family("trace")
def a_sum_over_a_selection():
    return _through(lambda x: x * x[x > 0.5].sum())


@_refused("taken out of torch by numpy")
def values_to_numpy():
    return _through(lambda x: x * float(np.abs(x.numpy()).max()))


@_refused("value is read in Python.*tolist")
def values_to_a_list():
    return _through(lambda x: x * max(x[0].tolist()))


@_refused("draws from NumPy's generator")
def noise_of_numpy():
    return _through(lambda x: x + float(np.random.rand()))  # noqa: NPY002


@_refused("draws from Python's generator")
def noise_of_python():
    return _through(lambda x: x + random.random())


@_refused("an argument is a Batch, whose contents can't be watched")
def an_argument_of_ones_own_class():
    @dataclass
    class Batch:
        x: Tensor

    model, guide = model_of(), normal_guide()
    return Pair(lambda batch: model(batch.x), lambda batch: guide(batch.x), lambda x, step: ((Batch(x),), {}))


@_refused("an argument wants a gradient")
def an_argument_that_wants_a_gradient():
    return Pair(model_of(), normal_guide(), lambda x, step: ((x.clone().requires_grad_(),), {}))


@_refused("assigns 'last' of Encoder while it runs")
def an_attribute_assigned_in_forward():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(PIXELS, 6)

        def forward(self, x):
            self.last = self.net(x)
            return self.last

    encoder = Encoder()
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder))


@_refused("assigns .* while it runs|changes while the program runs")
def a_buffer_replaced_in_forward():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net(PIXELS, 6)
            self.register_buffer("mean", torch.zeros(PIXELS))

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            return self.net(x - self.mean)

    encoder = Encoder()
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder))


@_refused("'calls' of Encoder changes while the program runs")
def a_count_kept_in_forward():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = net(PIXELS, 6), 0

        def forward(self, x):
            self.calls += 1
            return self.net(x) / self.calls

    encoder = Encoder()
    return Pair(model_of(), guide_of(lambda x: normal(encoder(x)), encoder))
