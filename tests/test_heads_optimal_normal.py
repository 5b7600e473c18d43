"""The normal of the optimal scale: the paper's loss, the scale that is kept, and captured with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO

import pyrovae as pv

heads = pv.heads


def test_the_optimal_scale_gives_the_paper_s_loss_and_gradient() -> None:
    """Of Rybkin's code: log sigma from the batch, with its gradient, and the normal at it."""
    x = torch.randn(6, 5, dtype=torch.float64)
    t = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    log_sigma = (x - t).square().mean().sqrt().log()
    paper = (-0.5 * ((x - t) / log_sigma.exp()).square() - log_sigma - 0.5 * math.log(2 * math.pi)).sum()
    head = heads.OptimalNormal().double()
    ours = head(t).log_prob(x).sum()
    assert ours.item() == pytest.approx(paper.item(), rel=1e-12)
    assert torch.allclose(*(torch.autograd.grad(loss, t)[0] for loss in (ours, paper)), rtol=1e-10)
    better = [
        torch.distributions.Normal(t, s).log_prob(x).sum() for s in (0.9, 1.1) for s in [s * log_sigma.exp()]
    ]
    assert all(other < ours for other in better), "no other scale fits the batch better"


def test_the_kept_scale_is_a_mean_at_first_and_then_a_running_one() -> None:
    head = heads.OptimalNormal(momentum=0.25)
    squares = []
    for i in range(12):
        x = (i + 1.0) * torch.randn(50, 3)
        head(torch.zeros(50, 3)).log_prob(x)
        squares.append(x.square().mean().item())
        if i < 4:
            assert head.variance.item() == pytest.approx(sum(squares) / len(squares), rel=1e-5)
    running = sum(squares[:4]) / 4
    for square in squares[4:]:
        running += 0.25 * (square - running)
    assert head.variance.item() == pytest.approx(running, rel=1e-5)


def test_in_evaluation_the_optimal_normal_is_a_fixed_density() -> None:
    head = heads.OptimalNormal()
    head(torch.zeros(100, 3)).log_prob(0.5 * torch.randn(100, 3))
    other = heads.OptimalNormal()
    other.load_state_dict(head.state_dict())
    scale = head.variance.sqrt().item()
    for part in (head.eval(), other.eval()):
        x = torch.randn(20, 3)
        wanted = torch.distributions.Normal(0.0, scale).log_prob(x).sum(-1)
        assert torch.allclose(part(torch.zeros(20, 3)).log_prob(x), wanted)
        assert part.variance.sqrt().item() == scale, "evaluation changes nothing"
    together, apart = (
        head(torch.zeros(4, 3)).log_prob(x[:4]),
        [head(torch.zeros(3)).log_prob(y) for y in x[:4]],
    )
    assert torch.allclose(together, torch.stack(apart)), "a datum's density is its own"


def test_the_optimal_scale_has_a_least() -> None:
    head = heads.OptimalNormal(least=0.01)
    x = torch.randn(5, 2)
    log_prob = head(x).log_prob(x)
    assert torch.allclose(log_prob, torch.full((5,), 2 * (-math.log(0.01) - 0.5 * math.log(2 * math.pi))))


def test_the_optimal_normal_is_captured_with_its_running_scale() -> None:
    """Steps, their buffers and an evaluation in between are those of plain Pyro."""

    def script(make: Callable[..., Any]) -> Iterator[Any]:
        torch.manual_seed(0)
        head = heads.OptimalNormal().double()
        model = pv.models.VAE(pv.priors.StandardNormal(2).double(), pv.nets.MLP(2, 6).double(), head)
        guide = pv.guides.Amortized(z=(pv.nets.MLP(6, 4).double(), heads.normal))
        x = torch.randn(8, 6, dtype=torch.float64)
        svi = make(model, guide.double(), pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
        for _ in range(3):
            yield svi.step(x)
            yield [buffer.clone() for buffer in head.buffers()]
        model.eval()
        yield svi.evaluate_loss(x)
        model.train()
        yield svi.step(x)
        yield [buffer.clone() for buffer in head.buffers()]

    svi = both(script, rtol=1e-9)
    assert "refused" not in str(svi.explain())
