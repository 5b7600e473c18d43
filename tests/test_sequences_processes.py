"""Gaussian processes of every kernel: beside scikit-learn, SciPy and a chain, and in single precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from sklearn import gaussian_process as sk
from torch import nn

import pyrovae as pv
from pyrovae import kernels
from pyrovae.distributions import MarkovChain
from pyrovae.spec import build, describe

KERNELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "SquaredExponential": (
        lambda: kernels.SquaredExponential(1.7, variance=0.6),
        0.6 * sk.kernels.RBF(1.7),
    ),
    "Matern32": (lambda: kernels.Matern32(1.7, variance=0.6), 0.6 * sk.kernels.Matern(1.7, nu=1.5)),
    "OrnsteinUhlenbeck": (
        lambda: kernels.OrnsteinUhlenbeck(1.7, variance=0.6),
        0.6 * sk.kernels.Matern(1.7, nu=0.5),
    ),
    "Periodic": (
        lambda: kernels.Periodic(2.5, lengthscale=1.2, variance=0.6),
        0.6 * sk.kernels.ExpSineSquared(1.2, 2.5),
    ),
    "Sum": (
        lambda: kernels.Sum(kernels.SquaredExponential(1.7), kernels.Matern32(0.5), kernels.Periodic(3.0)),
        sk.kernels.RBF(1.7) + sk.kernels.Matern(0.5, nu=1.5) + sk.kernels.ExpSineSquared(1.0, 3.0),
    ),
    "Product": (
        lambda: kernels.Product(kernels.Periodic(2.5), kernels.SquaredExponential(4.0, learn=False)),
        sk.kernels.ExpSineSquared(1.0, 2.5) * sk.kernels.RBF(4.0),
    ),
}
TIMES = [0.0, 0.4, 3.0, 1.1, 7.0, 7.3]


@pytest.mark.parametrize("name", kernels.__all__)
@pytest.mark.usefixtures("_double")
def test_a_process_has_the_likelihood_of_scikit_learn_and_scipy(name: str) -> None:
    make, theirs = KERNELS[name]
    prior = pv.priors.GaussianProcess(TIMES, 2, kernel=make(), jitter=1e-3)
    z = prior().sample().detach()
    times = np.array(TIMES)[:, None]
    white = 1e-3 * float(np.diag(theirs(times))[0])
    column = z[:, 0].numpy()
    regressor = sk.GaussianProcessRegressor(theirs, alpha=white, optimizer=None).fit(times, column)
    covariance = theirs(times) + white * np.eye(len(TIMES))
    by_scipy = stats.multivariate_normal(np.zeros(len(TIMES)), covariance)

    alone = pv.priors.GaussianProcess(TIMES, 1, kernel=make(), jitter=1e-3)()
    assert alone.log_prob(z[:, :1]).item() == pytest.approx(
        regressor.log_marginal_likelihood_value_, rel=1e-9
    )
    assert prior().log_prob(z).item() == pytest.approx(by_scipy.logpdf(z.T.numpy()).sum(), rel=1e-9)
    assert prior().entropy().item() == pytest.approx(2 * by_scipy.entropy(), rel=1e-9)
    assert prior().variance.detach().numpy() == pytest.approx(np.diag(covariance)[:, None].repeat(2, 1))


@pytest.mark.parametrize("name", kernels.__all__)
def test_a_kernel_is_rebuilt_and_every_number_learns(name: str) -> None:
    kernel = KERNELS[name][0]()
    description = json.loads(json.dumps(describe(kernel)))
    again = build(description)
    assert describe(again) == description
    assert name in repr(kernel)
    again.load_state_dict(kernel.state_dict())
    difference = torch.linspace(-3.0, 3.0, 8)
    assert torch.equal(again(difference), kernel(difference))
    kernel(difference).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in kernel.parameters())


def test_each_dimension_may_have_a_lengthscale_of_its_own() -> None:
    several = pv.priors.GaussianProcess(TIMES, 2, kernel=kernels.Matern32([0.5, 5.0], variance=2.0))
    z = several().sample((3,))
    ones = [pv.priors.GaussianProcess(TIMES, 1, kernel=kernels.Matern32(s, variance=2.0)) for s in (0.5, 5.0)]

    expected = sum(one().log_prob(z[..., j : j + 1]) for j, one in enumerate(ones))
    assert torch.allclose(several().log_prob(z), expected, rtol=1e-4)


@pytest.mark.usefixtures("_double")
def test_an_ornstein_uhlenbeck_process_at_equal_steps_is_a_chain() -> None:
    constant, step, scale = 3.0, 0.5, 1.4
    phi = float(np.exp(-step / constant))
    kernel = kernels.OrnsteinUhlenbeck(constant, variance=scale**2, learn=False)
    process = pv.priors.GaussianProcess([step * t for t in range(20)], 1, kernel=kernel, jitter=0.0)
    chain = MarkovChain(
        dist.Normal(torch.zeros(1), scale).to_event(1),
        lambda z: dist.Normal(phi * z, scale * (1 - phi**2) ** 0.5).to_event(1),
        20,
    )
    z = process().sample((5,))

    assert torch.allclose(process().log_prob(z), chain.log_prob(z), rtol=1e-10)


@pytest.mark.parametrize("lengthscale", [1e-3, 1.0, 1e5])
@pytest.mark.parametrize("kernel", [kernels.SquaredExponential, kernels.Matern32, kernels.OrnsteinUhlenbeck])
def test_single_precision_suffices_for_a_hundred_times(kernel: Any, lengthscale: float) -> None:
    # Far from zero: that of a clock, in seconds.
    prior = pv.priors.GaussianProcess([1.7e9 + t for t in range(100)], 2, kernel=kernel(lengthscale))
    z = prior().rsample((8,))
    log_prob = prior().log_prob(z)
    log_prob.sum().backward()
    exact = prior.double()().log_prob(z.double())

    assert (log_prob - exact).abs().max() < 0.05
    assert all(torch.isfinite(p.grad).all() for p in prior.parameters())
