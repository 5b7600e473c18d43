"""Normals whose dimensions are correlated: their covariances, and exact densities and divergences."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

import pyrovae as pv
from pyrovae.distributions import divergence, has_closed_form


def test_a_full_normal_starts_standard_and_holds_every_feature_once() -> None:
    head = pv.heads.FullNormal()
    start = head(torch.zeros(head.features(4)))
    assert torch.equal(start.loc, torch.zeros(4))
    assert torch.equal(start.scale_tril, torch.eye(4))
    below = torch.arange(1.0, 7.0)
    factor = head(torch.cat((torch.zeros(8), below))).scale_tril
    assert torch.equal(factor.tril(-1).flatten().sort().values[-6:], below)
    assert torch.equal(factor.diagonal(), torch.ones(4))


def test_a_full_normal_finds_the_covariance_that_is_there() -> None:
    root = torch.randn(4, 4, dtype=torch.float64)
    target = dist.MultivariateNormal(torch.randn(4, dtype=torch.float64), root @ root.mT + 0.1 * torch.eye(4))
    head = pv.heads.FullNormal()
    t = torch.zeros(head.features(4), dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([t], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        descent.zero_grad()
        loss = divergence(head(t), target)
        loss.backward()
        return loss

    descent.step(closure)
    assert torch.allclose(head(t).covariance_matrix, target.covariance_matrix, rtol=1e-3, atol=1e-3)
    assert torch.allclose(head(t).loc, target.loc, atol=1e-3)


@pytest.mark.parametrize("head", [pv.heads.FullNormal(), pv.heads.LowRankNormal(2)])
def test_correlated_normals_are_those_of_scipy(head: Any) -> None:
    t = 0.7 * torch.randn(head.features(5), dtype=torch.float64)
    q = head(t)
    if isinstance(head, pv.heads.LowRankNormal):
        scale, factor = (0.5 * t[5:10]).exp().diag(), t[10:].reshape(5, 2)
        covariance = scale @ (torch.eye(5) + factor @ factor.mT) @ scale
        assert torch.allclose(q.covariance_matrix, covariance)
    z = q.sample((20,))
    ours = q.log_prob(z)
    scipys = stats.multivariate_normal(q.loc.numpy(), q.covariance_matrix.numpy()).logpdf(z.numpy())
    assert ours.numpy() == pytest.approx(scipys, rel=1e-9)


@pytest.mark.parametrize("head", [pv.heads.FullNormal(), pv.heads.LowRankNormal(2)])
@pytest.mark.parametrize("prior", [pv.priors.StandardNormal(5), pv.priors.DiagonalNormal(5)])
def test_divergences_of_correlated_normals_are_exact(head: Any, prior: Any) -> None:
    q, p = head(0.5 * torch.randn(3, head.features(5))), prior().expand((3,))
    assert has_closed_form(q, p)
    full = dist.MultivariateNormal(q.loc, q.covariance_matrix)
    exact = torch.distributions.kl_divergence(full, dist.MultivariateNormal(torch.zeros(5), torch.eye(5)))
    assert torch.allclose(divergence(q, p), exact, rtol=1e-4)
