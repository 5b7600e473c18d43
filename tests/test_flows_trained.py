"""Flows in training: nothing of a step outlives it, captured steps are eager ones, and what flows buy."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO
from pyro.optim import Adam
from torch import Tensor

import pyrovae as pv


def test_nothing_of_a_step_outlives_it() -> None:
    head = pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(3, context=2))
    gc.collect()
    gc.disable()
    try:
        q = head(torch.randn(4, 8))
        y = q.rsample()
        q.log_prob(y).sum().backward()
        alive = weakref.ref(y)
        del q, y
        assert alive() is None
    finally:
        gc.enable()


def _script(flow: Any, prior: Any) -> Any:
    def script(make: Any) -> Iterator[Any]:
        torch.manual_seed(0)
        head = pv.heads.Flowed(pv.heads.normal, flow())
        encoder = pv.nets.MLP(6, 8, 2 * 3 + head.flow.context)
        model = pv.models.VAE(prior(), pv.nets.MLP(3, 8, 6), pv.heads.bernoulli).double()
        guide = pv.guides.Amortized(z=(encoder, head)).double()
        x = torch.bernoulli(torch.full((10, 6), 0.5, dtype=torch.float64))
        svi = make(model, guide, Adam({"lr": 1e-2}), Trace_ELBO(num_particles=3, vectorize_particles=True))
        for _ in range(2):
            yield svi.step(x)
        yield svi.evaluate_loss(x)
        yield model
        yield guide

    return script


@pytest.mark.parametrize(
    ("flow", "prior"),
    [
        (
            lambda: pv.flows.IAF(3, context=4, hidden=(8,)),
            lambda: pv.priors.Flow(pv.flows.MAF(3, hidden=(8,))),
        ),
        (lambda: pv.flows.Sylvester(3, context=4, layers=2), lambda: pv.priors.StandardNormal(3)),
    ],
)
def test_captured_steps_are_eager_ones(flow: Any, prior: Any) -> None:
    both(_script(flow, prior))


def test_an_iaf_posterior_learns_digits(digits: Tensor) -> None:
    head = pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(4, context=8, hidden=(16,)))
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 32, 2 * 4 + 8), head))
    model = pv.models.VAE(pv.priors.StandardNormal(4), pv.nets.MLP(4, 32, 64), pv.heads.bernoulli)
    run = pv.fit(model, guide, digits[:600], epochs=8, batch_size=50, progress=False, seed=0)
    assert run.history[-1].train_loss < 0.85 * run.history[0].train_loss
    log_px = pv.evaluate.log_evidence(run, digits[:20], num_samples=50)
    assert log_px.shape == (20,)
    assert -40 < log_px.mean().item() < -15


def _bent(x: Tensor) -> Tensor:
    return 0.6 * (x.square() - 1)


def _banana(size: int) -> Tensor:
    x = torch.randn(size, 2)
    return torch.stack((x[:, 0], 0.3 * x[:, 1] + _bent(x[:, 0])), -1)


@pytest.mark.parametrize(
    "flow",
    [
        lambda: pv.flows.MAF(2, hidden=(32,)),
        lambda: pv.flows.RealNVP(2, hidden=(32,)),
        lambda: pv.flows.NeuralSpline(2, hidden=(32,)),
        lambda: pv.flows.AutoregressiveSpline(2, layers=1, hidden=(32,)),
    ],
)
def test_a_prior_bends_into_a_banana(flow: Any) -> None:
    x, held_out = _banana(2000), _banana(2000)
    prior = pv.priors.Flow(flow())
    optimiser = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for i in range(150):
        optimiser.zero_grad()
        (-prior().log_prob(x[(200 * i) % 2000 :][:200]).mean()).backward()
        optimiser.step()
    normal = dist.MultivariateNormal(x.mean(0), x.T.cov())
    across, along = held_out.T
    truth = dist.Normal(0.0, 1.0).log_prob(across) + dist.Normal(_bent(across), 0.3).log_prob(along)
    with torch.no_grad():
        ours = prior().log_prob(held_out).mean()
    best, straight = truth.mean(), normal.log_prob(held_out).mean()
    assert ours > straight + 0.8 * (best - straight)
    assert ours < best + 0.05
