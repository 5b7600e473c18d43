"""Rows of digits as sequences: the networks that read them, and deep models of them from a step to export."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pyro
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import kernels

STEPS = 8


@pytest.fixture(scope="module")
def rows(digits: Tensor) -> Tensor:
    """Digits as sequences of eight rows of eight pixels, ``(1797, 8, 8)``."""
    return digits.unflatten(-1, (STEPS, 8))


def test_recurrent_features_know_the_side_that_they_should(rows: Tensor) -> None:
    x = rows[:3]
    other = x.clone()
    other[:, 4] = 1 - other[:, 4]
    known = {}
    for direction in ("forward", "backward", "both"):
        net = pv.nets.Recurrent(8, 5, direction=direction, layers=2)
        known[direction] = (net(x) != net(other)).any(-1).all(0).tolist()

    assert known["forward"] == [False] * 4 + [True] * 4
    assert known["backward"] == [True] * 5 + [False] * 3
    assert all(known["both"])


def test_the_gate_chooses_between_the_linear_state_and_the_other() -> None:
    net, z = pv.nets.GatedTransition(3, 5), torch.randn(4, 3)
    with torch.no_grad():
        net.gate.bias.fill_(-50.0)
        assert torch.allclose(net(z)[:, :3], z)
        net.gate.bias.fill_(50.0)
        net.proposal.weight.zero_()
        net.proposal.bias.fill_(7.0)
        assert torch.allclose(net(z)[:, :3], torch.full((4, 3), 7.0))


def deep_markov(direction: Any = "backward") -> tuple[nn.Module, nn.Module]:
    prior = pv.priors.Markov(2, STEPS, net=pv.nets.GatedTransition(2, 16))
    model = pv.models.VAE(prior, pv.nets.MLP(2, 16, 8), pv.heads.Steps(pv.heads.bernoulli))
    features = pv.nets.Recurrent(8, 16, direction=direction)
    return model, pv.guides.Amortized(z=(features, pv.heads.Markov(2, 16)))


def process_vae() -> tuple[nn.Module, nn.Module]:
    prior = pv.priors.GaussianProcess(STEPS, 2, kernel=kernels.SquaredExponential([1.0, 3.0]))
    model = pv.models.VAE(prior, pv.nets.MLP(2, 16, 8), pv.heads.Steps(pv.heads.bernoulli))
    net = nn.Sequential(pv.nets.Recurrent(8, 16, direction="both"), pv.nets.MLP(16, 4))
    return model, pv.guides.Amortized(z=(net, pv.heads.Steps(pv.heads.normal)))


@pytest.mark.parametrize("make", [deep_markov, process_vae])
def test_it_learns_rows_of_digits_and_is_evaluated_and_exported(make: Any, rows: Tensor) -> None:
    adam = functools.partial(torch.optim.Adam, lr=0.02)
    options = {"epochs": 5, "batch_size": 50, "compile": False, "progress": False}
    run = pv.fit(*make(), rows[:500], optim=adam, **options)

    assert run.history[-1].train_loss < 0.9 * run.history[0].train_loss
    x = rows[500:520]
    bound = pv.evaluate.elbo(run, x, num_samples=20, compile=False)
    evidence = pv.evaluate.log_evidence(run, x, num_samples=50, compile=False)
    assert (evidence.mean() - bound.elbo.mean()) > 0
    assert pv.predict.encode(run, x).mean["z"].shape == (20, STEPS, 2)
    assert pv.predict.reconstruct(run, x).shape == x.shape
    tree = pv.export.to_datatree(run, x, num_samples=3)
    assert dict(tree.posterior["z"].sizes) == {"chain": 1, "draw": 3, "data": 20, "z_dim_0": 8, "z_dim_1": 2}


@pytest.mark.usefixtures("_double")
def test_a_captured_step_of_a_deep_markov_model_is_the_eager_step_of_pyro(rows: Tensor) -> None:
    x = rows.double()

    def script(svi_of: Any) -> Iterator[Any]:
        pyro.set_rng_seed(0)
        model, guide = deep_markov("both")
        loss = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = svi_of(model, guide, pyro.optim.Adam({"lr": 0.01}), loss)
        for batch in (x[:20], x[20:40], x[:20]):
            yield svi.step(batch)
            yield [p.detach().clone() for program in (model, guide) for p in program.parameters()]

    both(script)
