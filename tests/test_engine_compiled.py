"""Two hundred steps compiled by Inductor are the two hundred steps of eager Pyro, from one seed."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator

import pyro
import pyro.distributions as dist
import pyro.distributions.transforms as T
import pytest
import torch
from engine_pairs import guide_of, model_of, net, normal
from pyro.distributions import constraints
from pyro.infer import RenyiELBO, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovae.engine import SVI

_COMPILER = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
pytestmark = pytest.mark.skipif(shutil.which(_COMPILER) is None, reason=f"no C++ compiler ({_COMPILER})")

STEPS, BATCH = 200, 32


def mlp():
    encoder = net(64, 24, 6)
    model = model_of(decoder=net(3, 24, 64))
    return model, guide_of(lambda x: normal(encoder(x)), encoder), TraceMeanField_ELBO()


def convolutions_with_batch_norm():
    # No bias right before a BatchNorm: its gradient is rounding, of which Adam would make steps.
    encoder = nn.Sequential(
        nn.Unflatten(-1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 6),
    )
    decoder = nn.Sequential(
        nn.Linear(3, 64),
        nn.Unflatten(-1, (4, 4, 4)),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1),
        nn.Flatten(-3),
    )
    return model_of(decoder=decoder), guide_of(lambda x: normal(encoder(x)), encoder), Trace_ELBO()


def inverse_autoregressive_flow():
    encoder, flow = net(64, 24, 6), T.affine_autoregressive(3, [12])

    def posterior(x):
        return dist.TransformedDistribution(normal(encoder(x)), [flow])

    return model_of(decoder=net(3, 24, 64)), guide_of(posterior, encoder, flow), Trace_ELBO()


def mixture_by_enumeration():
    def model(x):
        weights = pyro.param("weights", torch.ones(10) / 10, constraint=constraints.simplex)
        means = pyro.param(
            "means", lambda: 0.25 + 0.5 * torch.rand(10, 64), constraint=constraints.unit_interval
        )
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(weights), infer={"enumerate": "parallel"})
            pyro.sample("x", dist.Bernoulli(means[k]).to_event(1), obs=x)

    def guide(x):
        pass

    return model, guide, TraceEnum_ELBO(max_plate_nesting=1)


def score_function():
    encoder = net(64, 24, 5)

    def prior():
        return dist.Bernoulli(torch.full((5,), 0.5)).to_event(1)

    def posterior(x):
        return dist.Bernoulli(logits=encoder(x)).to_event(1)

    return model_of(prior, net(5, 24, 64)), guide_of(posterior, encoder), Trace_ELBO()


def iwae():
    encoder = net(64, 24, 6)
    objective = RenyiELBO(alpha=0.0, num_particles=5, vectorize_particles=True, max_plate_nesting=1)
    return model_of(decoder=net(3, 24, 64)), guide_of(lambda x: normal(encoder(x)), encoder), objective


# A coin that rounding turns over is another run: the score function is compared in double precision.
PROGRAMS = [
    (mlp, torch.float32),
    (convolutions_with_batch_norm, torch.float32),
    (inverse_autoregressive_flow, torch.float32),
    (mixture_by_enumeration, torch.float32),
    (score_function, torch.float64),
    (iwae, torch.float32),
]


@pytest.fixture
def _precision(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(torch.float32)


def _losses(make: Callable, make_svi: Callable, digits: Tensor) -> tuple[list[float], dict[str, Tensor], SVI]:
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    model, guide, objective = make()
    svi = make_svi(model, guide, pyro.optim.Adam({"lr": 2e-3}), objective)
    rows = torch.arange(STEPS * BATCH).remainder(len(digits)).view(STEPS, BATCH)
    losses = [svi.step(digits[i]) for i in rows]
    return losses, {name: p.detach().clone() for name, p in pyro.get_param_store().items()}, svi


@pytest.mark.parametrize(
    ("make", "_precision"), PROGRAMS, indirect=["_precision"], ids=[make.__name__ for make, _ in PROGRAMS]
)
@pytest.mark.usefixtures("_precision")
def test_two_hundred_steps(make: Callable, digits: Tensor) -> None:
    x = digits.to(torch.get_default_dtype())
    plain, plain_parameters, _ = _losses(make, pyro.infer.SVI, x)
    eager, *_ = _losses(make, lambda *pair: SVI(*pair, compile=False), x)
    compiled, parameters, svi = _losses(make, lambda *pair: SVI(*pair, compile=True), x)
    assert plain[-1] < 0.9 * plain[0]
    assert "compiled" in str(svi.explain())
    for ours, whole, theirs in zip(compiled, eager, plain, strict=True):
        assert math.isclose(whole, theirs, rel_tol=1e-5)
        assert math.isclose(ours, theirs, rel_tol=1e-5)
    for name, theirs in plain_parameters.items():
        assert torch.allclose(parameters[name], theirs, rtol=0.0, atol=1e-3 * theirs.abs().max().item()), name
