"""Programs of finite sites in every arrangement, where the sum over their values must be exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import config_enumerate

DATA = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LISTED = {"enumerate": "parallel"}


class Program(NamedTuple):
    """A pair, and how many plates are inside each other; ``draws`` is whether anything is drawn at all."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    nesting: int = 1
    draws: bool = False


def _shares(name, size, *batch):
    return pyro.param(name, lambda: torch.rand(*batch, size).softmax(-1), constraint=constraints.simplex)


def _weights(name, *shape):
    return pyro.param(name, lambda: torch.randn(*shape))


def empty(x):
    """A guide of a model whose latent sites are all summed out."""


def _mixture(x, outer=None, inner=None):
    shares, means = _shares("shares", 3), _weights("means", 3)
    with outer or pyro.plate("data", 6) as rows:
        y = x if rows is None or len(rows) == len(x) else x[rows]
        k = pyro.sample("k", dist.Categorical(shares), infer=LISTED)
        with inner or poutine.mask(mask=True):
            pyro.sample("x", dist.Normal(means[k], 1.0), obs=y[:, 1])


def _classifier(x, outer=None):
    weight = _weights("weight", 4, 3)
    with outer or pyro.plate("data", 6) as rows:
        y = x if rows is None or len(rows) == len(x) else x[rows]
        pyro.sample("k", dist.Categorical(logits=y @ weight), infer=LISTED)


def _in(program, plate):
    """The program, its data plate replaced."""
    return lambda x: program(x, plate())


def _under(handler, program):
    def run(x):
        with handler(x):
            program(x)

    return run


def _dark(x):
    return poutine.mask(mask=x[:, 0] > 0)


def _masked_likelihood(x):
    _mixture(x, inner=_dark(x))


@config_enumerate
def _partly_labelled(x):
    shares, means = _shares("shares", 3), _weights("means", 3)
    with pyro.plate("data", 6):
        k = pyro.sample("k", dist.Categorical(shares), obs=torch.arange(6) % 3, obs_mask=x[:, 0] > 0)
        pyro.sample("x", dist.Normal(means[k], 1.0), obs=x[:, 1])


def _two(x):
    with pyro.plate("data", 6):
        a = pyro.sample("a", dist.Categorical(_shares("shares of a", 2)), infer=LISTED)
        b = pyro.sample("b", dist.Categorical(_shares("shares of b", 3, 2)[a]), infer=LISTED)
        pyro.sample("x", dist.Normal(_weights("means", 3, 2)[b, a], 1.0), obs=x[:, 1])


def _guide_of_two(*order):
    """Its second site depends on the first; the model's ``b`` on ``a``."""
    sizes = {"a": 2, "b": 3}

    def guide(x):
        first, *rest = order
        weight = _weights("weight", 4, sizes[first])
        with pyro.plate("data", 6):
            k = pyro.sample(first, dist.Categorical(logits=x @ weight), infer=LISTED)
            for name in rest:
                logits = _weights("table", sizes[first], sizes[name])[k] + x[:, :1]
                pyro.sample(name, dist.Categorical(logits=logits), infer=LISTED)

    return guide


def _shared(x, local=True):
    """A site that all data share, and one for each datum that depends on it."""
    k = pyro.sample("k", dist.Categorical(_shares("shares", 3)), infer=LISTED)
    means = _weights("means", 3, 2)
    with pyro.plate("data", 6):
        j = k * 0
        if local:
            j = pyro.sample("j", dist.Categorical(_shares("local shares", 2, 3)[k]), infer=LISTED)
        pyro.sample("x", dist.Normal(means[k, j], 1.0), obs=x[:, 1])


def _shared_guide(x, local=False):
    k = pyro.sample("k", dist.Categorical(_shares("guess", 3)), infer=LISTED)
    if local:
        table = _weights("table", 3, 2)
        with pyro.plate("data", 6):
            pyro.sample("j", dist.Categorical(logits=table[k] + x[:, :2]), infer=LISTED)


def _shared_and_subsampled(x):
    """The data speak for sixty, the site that they share for itself."""
    k = pyro.sample("k", dist.Categorical(_shares("shares", 3)), infer=LISTED)
    with pyro.plate("data", 60, subsample=torch.arange(6)):
        pyro.sample("x", dist.Normal(_weights("means", 3)[k], 1.0), obs=x[:, 1])


def _nested(x):
    with pyro.plate("data", 6, dim=-2):
        a = pyro.sample("a", dist.Categorical(_shares("shares of a", 2)), infer=LISTED)
        with pyro.plate("columns", 4, dim=-1):
            b = pyro.sample("b", dist.Categorical(_shares("shares of b", 3, 2)[a]), infer=LISTED)
            pyro.sample("x", dist.Normal(_weights("means", 2, 3)[a, b], 1.0), obs=x)


def _nested_guide(x, inner=False):
    weight, table = _weights("weight", 4, 2), _weights("table", 2, 3)
    with pyro.plate("data", 6, dim=-2):
        a = pyro.sample("a", dist.Categorical(logits=(x @ weight).unsqueeze(-2)), infer=LISTED)
        if inner:
            with pyro.plate("columns", 4, dim=-1):
                pyro.sample("b", dist.Categorical(logits=table[a] + x.unsqueeze(-1)), infer=LISTED)


def _chain(x, latent="", lengths=False):
    """A hidden Markov model; with a continuous latent of all data, of each datum, or of each step."""
    move, means, shift = _shares("move", 3, 3), _weights("means", 3), 0.0
    if latent == "all":
        shift = pyro.sample("shift", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 6):
        if latent == "datum":
            shift = pyro.sample("shift", dist.Normal(0.0, 1.0))
        k = torch.tensor(0)
        for t in pyro.markov(range(4)):
            with poutine.mask(mask=torch.arange(6) >= t if lengths else True):
                k = pyro.sample(f"k{t}", dist.Categorical(move[k]), infer=LISTED)
                z = pyro.sample(f"z{t}", dist.Normal(means[k], 1.0)) if latent == "step" else 0.0
                pyro.sample(f"x{t}", dist.Normal(means[k] + shift + z, 1.0), obs=x[:, t])


def _chain_guide(latent):
    def guide(x):
        loc = _weights("loc", 1)
        if latent == "all":
            pyro.sample("shift", dist.Normal(loc.sum(), 1.0))
        with pyro.plate("data", 6):
            if latent == "datum":
                pyro.sample("shift", dist.Normal(loc + x[:, 0], 1.0))
            for t in range(4) if latent == "step" else ():
                pyro.sample(f"z{t}", dist.Normal(loc + x[:, t], 1.0))

    return guide


def chain_enumerated_in_the_guide(x, steps=range(4)):
    table = _weights("table", 3, 3)
    with pyro.plate("data", 6):
        k = torch.tensor(0)
        for t in steps:
            k = pyro.sample(f"k{t}", dist.Categorical(logits=table[k] + x[:, t : t + 1]), infer=LISTED)


def _topics(x):
    """A Dirichlet of all, a normal for each datum, a category for each of its columns; subsampled."""
    shares = pyro.sample("shares", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("data", 60, subsample=torch.arange(6), dim=-2):
        shift = pyro.sample("shift", dist.Normal(torch.zeros(6, 1), 1.0))
        with pyro.plate("columns", 4, dim=-1):
            k = pyro.sample("k", dist.Categorical(shares), infer=LISTED)
            pyro.sample("x", dist.Normal(_weights("means", 3)[k] + shift, 1.0), obs=x)


def _topics_guide(x):
    strength = pyro.param("strength", torch.ones(3), constraint=constraints.positive)
    pyro.sample("shares", dist.Dirichlet(strength))
    with pyro.plate("data", 60, subsample=torch.arange(6), dim=-2):
        pyro.sample("shift", dist.Normal(x @ _weights("weight", 4, 1), 1.0))


def _one_by_one(x, size=None):
    shares, means = _shares("shares", 3), _weights("means", 3)
    for i in pyro.plate("rows", 6, subsample_size=size):
        k = pyro.sample(f"k{i}", dist.Categorical(shares), infer=LISTED)
        pyro.sample(f"x{i}", dist.Normal(means[k], 1.0), obs=x[i, 0])


def _with_factors(x):
    with pyro.plate("data", 6):
        k = pyro.sample("k", dist.Categorical(_shares("shares", 3)), infer=LISTED)
        pyro.factor("pull", k * x[:, 0])
        twice = pyro.deterministic("twice", k * 2.0)
        pyro.sample("x", dist.Normal(_weights("means", 3)[k] + twice, 1.0), obs=x[:, 1])


def _guide_with_a_factor(x):
    weight = _weights("weight", 4, 3)
    with pyro.plate("data", 6):
        k = pyro.sample("k", dist.Categorical(logits=x @ weight), infer=LISTED)
        pyro.factor("push", k * x[:, 1], has_rsample=False)


def _coin_and_one_hot(x):
    with pyro.plate("data", 6):
        p = pyro.param("p", torch.tensor(0.3), constraint=constraints.unit_interval)
        b = pyro.sample("b", dist.Bernoulli(p), infer=LISTED)
        h = pyro.sample("h", dist.OneHotCategorical(_shares("shares", 3)), infer=LISTED)
        pyro.sample("x", dist.Normal(b + (h * _weights("means", 3)).sum(-1), 1.0), obs=x[:, 1])


def _sixty():
    return pyro.plate("data", 60, subsample=torch.arange(6))


def _three_of_six():
    return pyro.plate("data", 6, subsample_size=3)


def _twice(x):
    return poutine.scale(scale=2.5)


def _twice_by_a_tensor(x):
    return poutine.scale(scale=torch.tensor(2.5))


PROGRAMS: dict[str, Program] = {
    "mixture": Program(_mixture, empty),
    "mixture, guide": Program(_mixture, _classifier),
    "mixture, masked": Program(_under(_dark, _mixture), empty),
    "mixture, masked, guide": Program(_under(_dark, _mixture), _under(_dark, _classifier)),
    "mixture, likelihood masked": Program(_masked_likelihood, empty),
    "mixture, partly labelled": Program(_partly_labelled, empty),
    "mixture, scaled": Program(_under(_twice, _mixture), empty),
    "mixture, scaled by a tensor": Program(_under(_twice_by_a_tensor, _mixture), empty),
    "mixture, scaled, guide": Program(_under(_twice, _mixture), _under(_twice, _classifier)),
    "mixture, subsampled": Program(_in(_mixture, _sixty), empty),
    "mixture, subsampled, guide": Program(_in(_mixture, _sixty), _in(_classifier, _sixty)),
    "mixture, three of six": Program(_in(_mixture, _three_of_six), empty, draws=True),
    "mixture, three of six, guide": Program(
        _in(_mixture, _three_of_six), _in(_classifier, _three_of_six), draws=True
    ),
    "two sites": Program(_two, empty),
    "two sites, guide": Program(_two, _guide_of_two("a", "b")),
    "two sites, guide in another order": Program(_two, _guide_of_two("b", "a")),
    "two sites, one in the guide": Program(_two, _guide_of_two("a")),
    "shared by the data": Program(lambda x: _shared(x, local=False), empty),
    "shared by the data, guide": Program(lambda x: _shared(x, local=False), _shared_guide),
    "shared and local": Program(_shared, empty),
    "shared and local, guide": Program(_shared, lambda x: _shared_guide(x, local=True)),
    "shared in the guide, local summed out": Program(_shared, _shared_guide),
    "shared, the data subsampled": Program(_shared_and_subsampled, _shared_guide),
    "nested": Program(_nested, empty, 2),
    "nested, guide": Program(_nested, lambda x: _nested_guide(x, inner=True), 2),
    "nested, outer in the guide": Program(_nested, _nested_guide, 2),
    "chain": Program(_chain, empty),
    "chain, lengths": Program(lambda x: _chain(x, lengths=True), empty),
    "chain, latent of all": Program(lambda x: _chain(x, "all"), _chain_guide("all"), draws=True),
    "chain, latent of a datum": Program(lambda x: _chain(x, "datum"), _chain_guide("datum"), draws=True),
    "chain, latent of a step": Program(lambda x: _chain(x, "step"), _chain_guide("step"), draws=True),
    "chain, guide": Program(_chain, chain_enumerated_in_the_guide),
    "topics": Program(_topics, _topics_guide, 2, draws=True),
    "one by one": Program(_one_by_one, empty, 0),
    "one by one, two of six": Program(lambda x: _one_by_one(x, 2), empty, 0, draws=True),
    "factors": Program(_with_factors, empty),
    "factors, guide": Program(_with_factors, _classifier),
    "factors on both sides": Program(_with_factors, _guide_with_a_factor),
    "coin and one-hot": Program(_coin_and_one_hot, empty),
}
