"""Sequences: chains beside closed forms, and what a structured posterior is worth."""

from __future__ import annotations

import functools
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.distributions import MarkovChain

STEPS = 8


class StateSpace:
    """A linear-Gaussian model of one dimension, in pyrovae's words and in Pyro's, with its exact evidence.

    .. math:: z_1 \\sim N(0, 1), z_t = a z_{t-1} + q \\epsilon_t, x_t = z_t + r \\eta_t
    """

    a, q, r = 0.95, 0.3, 1.0

    def prior(self) -> pv.priors.Markov:
        prior = pv.priors.Markov(
            1,
            STEPS,
            net=linear(self.a),
            head=pv.heads.IsotropicNormal(self.q, learn=False),
            initial=pv.priors.StandardNormal(1),
        )
        return prior.requires_grad_(False).eval()

    def model(self) -> pv.models.VAE:
        likelihood = pv.heads.Steps(pv.heads.IsotropicNormal(self.r, learn=False))
        # In evaluation mode Pyro doesn't remark on what isn't trained.
        return pv.models.VAE(self.prior(), linear(1.0), likelihood).requires_grad_(False).eval()

    def evidence(self, x: Tensor) -> Tensor:
        """By the Kalman filter, Pyro's, whose state before the first is idle here."""
        matrix = torch.full((STEPS, 1, 1), self.a)
        matrix[0] = 0
        scale = torch.full((STEPS, 1), self.q)
        scale[0] = 1
        start, zero = dist.Normal(torch.zeros(1), 1.0).to_event(1), torch.zeros(STEPS, 1)
        noise = dist.Normal(torch.zeros(1), self.r).to_event(1)
        hmm = dist.GaussianHMM(
            start, matrix, dist.Normal(zero, scale).to_event(1), torch.ones(1, 1), noise, duration=STEPS
        )
        return hmm.log_prob(x)

    def precision(self) -> Tensor:
        """Of the posterior of z, the same for all data."""
        matrix = torch.eye(STEPS) / self.r**2
        matrix[0, 0] += 1
        for t in range(1, STEPS):
            step = torch.tensor([[self.a**2, -self.a], [-self.a, 1.0]]) / self.q**2
            matrix[t - 1 : t + 1, t - 1 : t + 1] += step
        return matrix


def linear(weight: float) -> nn.Module:
    net = pv.nets.MLP(1, 1)
    with torch.no_grad():
        net.layers[0].weight.fill_(weight)
        net.layers[0].bias.zero_()
    return net


@pytest.mark.usefixtures("_double")
def test_a_linear_chain_has_the_evidence_of_the_kalman_filter() -> None:
    space = StateSpace()
    x = space.model()(size=6)
    precision = space.precision()
    posterior = dist.MultivariateNormal(
        torch.linalg.solve(precision, x[..., 0].T).T / space.r**2, precision_matrix=precision
    )
    z = posterior.sample()
    joint = space.prior()().log_prob(z.unsqueeze(-1)) + dist.Normal(z, space.r).to_event(1).log_prob(
        x[..., 0]
    )

    assert torch.allclose(joint - posterior.log_prob(z), space.evidence(x), rtol=1e-10)


def test_the_better_a_posterior_is_structured_the_smaller_its_gap() -> None:
    """Independent in time, filtering, smoothing; the first can't come nearer than its own optimum."""
    space = StateSpace()
    model = space.model()
    x = model(size=500).detach()
    evidence, precision = space.evidence(x), space.precision()
    optimum = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    size = 8

    def gap(direction: Any, net: nn.Module | None, head: nn.Module, epochs: int) -> tuple[float, float]:
        features = pv.nets.Recurrent(1, size, direction=direction)
        guide = pv.guides.Amortized(z=(features if net is None else nn.Sequential(features, net), head))
        for lr in (0.05, 0.005):
            adam = functools.partial(torch.optim.Adam, lr=lr)
            options = {"epochs": epochs, "batch_size": 100, "compile": False, "progress": False}
            run = pv.fit(model, guide, x, optim=adam, **options)
        bound = pv.evaluate.elbo(run, x, num_samples=50, compile=False)
        estimate = pv.evaluate.Estimate.over_data(evidence - bound.elbo)
        return estimate.value, estimate.standard_error

    field, field_error = gap("both", pv.nets.MLP(size, 2), pv.heads.Steps(pv.heads.normal), 12)
    forward, _ = gap("forward", None, pv.heads.Markov(1, size), 12)
    backward, backward_error = gap("backward", None, pv.heads.Markov(1, size), 18)

    assert optimum - 5 * field_error < field < optimum + 1.0
    assert backward < 0.4 * forward < 0.4 * field
    assert -5 * backward_error < backward < 0.3


@pytest.mark.usefixtures("_double")
def test_a_chain_of_several_dimensions_is_the_normal_of_its_moments() -> None:
    matrix, root = 0.5 * torch.randn(2, 2), torch.tensor([[1.0, 0.0], [0.4, 0.3]])
    start = dist.MultivariateNormal(torch.tensor([1.0, -1.0]), torch.eye(2))
    chain = MarkovChain(start, lambda z: dist.MultivariateNormal(z @ matrix.T, scale_tril=root), 3)
    # z = A (first, noise, noise), A lower triangular by blocks.
    powers = [torch.linalg.matrix_power(matrix, k) for k in range(3)]
    blocks = torch.zeros(3, 2, 3, 2)
    for t in range(3):
        blocks[t, :, 0] = powers[t]
        for s in range(1, t + 1):
            blocks[t, :, s] = powers[t - s] @ root
    factor = blocks.reshape(6, 6)
    mean = torch.cat([power @ start.loc for power in powers])
    joint = stats.multivariate_normal(mean.numpy(), (factor @ factor.T).numpy())
    z = chain.sample((7,))

    assert chain.log_prob(z).numpy() == pytest.approx(joint.logpdf(z.flatten(1).numpy()), rel=1e-9)


def test_inputs_of_a_chain_come_in_at_their_steps_and_are_not_copied() -> None:
    u = torch.randn(4, 2, 1)
    start = dist.Normal(torch.zeros(1), 1e-6).to_event(1)
    chain = MarkovChain(start, lambda z, u: dist.Normal(z + u, 1e-6).to_event(1), 3, inputs=u)
    wide = chain.expand((5, 4))
    z = wide.sample()

    assert chain.batch_shape == (4,)
    assert wide.inputs is u
    expected = torch.cat((torch.zeros(4, 1, 1), u.cumsum(1)), 1).expand(5, 4, 3, 1)
    assert torch.allclose(z, expected, atol=1e-4)
    assert wide.log_prob(z[0]).shape == (5, 4)


def test_steps_that_forget_the_state_are_drawn_anew_for_each() -> None:
    start = dist.Normal(torch.zeros(1), 1.0).to_event(1)
    chain = MarkovChain(start, lambda z: dist.Normal(torch.zeros(1), 1.0).to_event(1), 3)
    z = chain.sample((50,))

    assert z.shape == (50, 3, 1)
    assert len(z.unique()) == 150
    assert torch.allclose(chain.log_prob(z), dist.Normal(0.0, 1.0).log_prob(z).sum((1, 2)), rtol=1e-5)


def test_a_chain_of_bits_has_no_pathwise_gradient_and_says_so() -> None:
    chain = MarkovChain(
        dist.Bernoulli(torch.tensor([0.3])).to_event(1),
        lambda z: dist.Bernoulli(0.2 + 0.6 * z).to_event(1),
        3,
    )
    paths = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).unsqueeze(-1)

    assert not chain.has_rsample
    assert chain.log_prob(paths).exp().sum().item() == pytest.approx(1.0, rel=1e-6)
    assert chain.log_prob(paths[0]).exp().item() == pytest.approx(0.7 * 0.8 * 0.8)
    with pytest.raises(NotImplementedError):
        chain.rsample()
    with pytest.raises(ValueError, match="support"):
        MarkovChain(chain.initial, chain.transition, 3, validate_args=True).log_prob(paths + 0.5)
