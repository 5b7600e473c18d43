"""The continuous Bernoulli for any logit, beside exact arithmetic: densities, moments, quantiles, paths."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest
import torch

from pyrovae.distributions import ContinuousBernoulli

mpmath.mp.dps = 50
LOGITS = [0.0, 1e-8, -1e-5, 1e-3, 0.004, -0.0041, 0.3, -0.999, 1.0, 1.001, 2.5, -7.0, 16.0, 30.0, -50.0, 50.0]


def log_normaliser(eta: Any) -> Any:
    return mpmath.log(mpmath.expm1(eta) / eta) if eta else mpmath.mpf(0)


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_continuous_bernoulli_is_exact_for_any_logit(logit: float, dtype: torch.dtype) -> None:
    """Value, gradient by logit, mean and variance against fifty digits; torch's class is off by up to 1.1."""
    eta = torch.tensor(logit, dtype=dtype, requires_grad=True)
    exact = mpmath.mpf(eta.item())
    mean, minus_variance = (
        (mpmath.diff(log_normaliser, exact, k) if logit else mpmath.mpf([0.5, 1 / mpmath.mpf(12)][k - 1]))
        for k in (1, 2)
    )
    p = ContinuousBernoulli(eta)
    tolerance = 20 * torch.finfo(dtype).eps
    assert p.mean.item() == pytest.approx(float(mean), rel=tolerance)
    assert p.variance.item() == pytest.approx(float(minus_variance), rel=10 * tolerance)
    entropy = log_normaliser(exact) - exact * mean
    assert p.entropy().item() == pytest.approx(float(entropy), abs=tolerance)
    for x in (0.0, 0.25, 0.5, 1.0):
        value = p.log_prob(torch.tensor(x, dtype=dtype))
        (gradient,) = torch.autograd.grad(value, eta)
        wanted = exact * x - log_normaliser(exact)
        assert value.item() == pytest.approx(float(wanted), rel=tolerance, abs=tolerance)
        assert gradient.item() == pytest.approx(float(x - mean), abs=tolerance)


@pytest.mark.parametrize("logit", LOGITS)
def test_draws_of_the_continuous_bernoulli_have_exact_quantiles_and_paths(logit: float) -> None:
    def quantile(eta: Any, u: Any) -> Any:
        return mpmath.log1p(u * mpmath.expm1(eta)) / eta

    for u in (0.01, 0.3, 0.5, 0.99):
        eta = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
        x = ContinuousBernoulli(eta).icdf(torch.tensor(u, dtype=torch.float64))
        (path,) = torch.autograd.grad(x, eta)
        near = mpmath.mpf(logit) or mpmath.mpf(1e-20)
        assert x.item() == pytest.approx(float(quantile(near, mpmath.mpf(u))), rel=1e-10)
        slope = mpmath.diff(lambda e, u=u: quantile(e, mpmath.mpf(u)), near, h=mpmath.mpf(10) ** -15)
        assert path.item() == pytest.approx(float(slope), rel=1e-8, abs=1e-12)
        assert ContinuousBernoulli(eta).cdf(x).item() == pytest.approx(u, rel=1e-10)
        single = ContinuousBernoulli(torch.tensor(logit)).icdf(torch.tensor(u))
        assert single.item() == pytest.approx(x.item(), rel=1e-4, abs=1e-6)


def test_torch_s_continuous_bernoulli_is_what_ours_is_for() -> None:
    """If this fails, torch has mended its class: use it."""
    theirs = torch.distributions.ContinuousBernoulli(logits=torch.tensor(50.0))
    assert abs(theirs.log_prob(torch.tensor(1.0)).item() - math.log(50)) > 1
