"""Distributions that are given a logarithm are torch's own, at values where torch's are exact, and beyond."""

from __future__ import annotations

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from pyrovae.distributions import LogitBernoulli, LogScaleNormal


def gradients(log_prob: Tensor, *parameters: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(log_prob.sum(), parameters))


def test_a_bernoulli_by_logits_is_torchs_and_finite_where_it_is() -> None:
    t = torch.linspace(-40, 40, 161, dtype=torch.float64, requires_grad=True)
    for x in (torch.zeros(161), torch.ones(161), torch.rand(3, 161).round(), torch.ones(161).long()):
        ours, theirs = LogitBernoulli(t), dist.Bernoulli(logits=t)
        log_prob, expected = ours.log_prob(x), theirs.log_prob(x.double())
        assert torch.allclose(log_prob, expected, rtol=1e-12, atol=1e-12)
        assert torch.allclose(gradients(log_prob, t)[0], gradients(expected, t)[0], rtol=1e-12, atol=1e-12)
    far = torch.tensor([-1e30, 1e30], requires_grad=True)
    log_prob = LogitBernoulli(far).log_prob(torch.tensor([0.0, 1.0]))
    assert torch.equal(log_prob, torch.zeros(2))
    assert torch.equal(gradients(log_prob, far)[0], torch.zeros(2))


def test_a_normal_by_its_log_scale_is_torchs_and_finite_beyond() -> None:
    loc = torch.randn(50, dtype=torch.float64, requires_grad=True)
    s = torch.linspace(-3, 3, 50, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 50, dtype=torch.float64)
    ours, theirs = LogScaleNormal(loc, s), dist.Normal(loc, s.exp())
    found, expected = ours.log_prob(x), theirs.log_prob(x)
    assert torch.allclose(found, expected, rtol=1e-12)
    for one, other in zip(gradients(found, loc, s), gradients(expected, loc, s), strict=True):
        assert torch.allclose(one, other, rtol=1e-10)
    torch.manual_seed(0)
    draw = ours.rsample((7,))
    torch.manual_seed(0)
    assert torch.allclose(draw, theirs.rsample((7,)), rtol=1e-14)
    for scale in (-40.0, -25.0, 40.0):
        far = torch.tensor(scale, requires_grad=True)
        (slope,) = gradients(LogScaleNormal(torch.tensor(0.0), far).log_prob(torch.tensor(1.0)), far)
        exact = torch.exp(torch.tensor(-2 * scale, dtype=torch.float64)).item() - 1
        assert slope.item() == pytest.approx(exact, rel=1e-5)
