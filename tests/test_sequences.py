"""Sequences: chains and processes beside closed forms, and what a structured posterior is worth."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO
from scipy import stats
from sklearn import gaussian_process as sk
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import kernels
from pyrovae.distributions import GaussianSeries, MarkovChain
from pyrovae.spec import build, describe

STEPS = 8


@pytest.fixture
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def rows(digits: Tensor) -> Tensor:
    """Digits as sequences of eight rows of eight pixels, ``(1797, 8, 8)``."""
    return digits.unflatten(-1, (STEPS, 8))


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


NORMAL = dist.Normal(torch.zeros(2), 1.0).to_event(1)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: MarkovChain(dist.Normal(0.0, 1.0), dist.Normal, 3), ValueError, "initial.*vectors"),
        (lambda: MarkovChain(NORMAL, dist.Normal, 0), ValueError, "length.*positive"),
        (
            lambda: MarkovChain(NORMAL, dist.Normal, 4, inputs=torch.zeros(4, 3)),
            ValueError,
            r"\(\.\.\., 3, k\).*\(4, 3\)",
        ),
        (
            lambda: MarkovChain(NORMAL, lambda z: dist.Normal(z[..., :1], 1.0).to_event(1), 3).sample(),
            ValueError,
            r"transition.*\(2,\).*\(1,\)",
        ),
        (
            lambda: MarkovChain(NORMAL, lambda z: dist.Normal(z, 1.0), 3).log_prob(torch.zeros(3, 2)),
            ValueError,
            r"transition.*\(2,\)",
        ),
        (lambda: GaussianSeries(torch.zeros(3, 2), torch.eye(2)), ValueError, r"\(d, T, T\).*\(3, 2\)"),
        (lambda: GaussianSeries(torch.zeros(3), torch.eye(3)), ValueError, "means"),
        (lambda: pv.heads.Steps("normal"), TypeError, "a head"),
        (lambda: pv.heads.Steps(pv.heads.normal)(torch.zeros(4)), ValueError, r"dimension -2.*\(4,\)"),
        (lambda: pv.heads.Steps(pv.heads.normal)(torch.zeros(2, 3)), ValueError, r"even size.*\(2, 3\)"),
        (lambda: pv.heads.Markov(0, 5), ValueError, "dim.*positive"),
        (lambda: pv.heads.Markov(2, 5)(torch.zeros(4, 3, 6)), ValueError, r"T, 5.*\(4, 3, 6\)"),
        (lambda: pv.heads.Markov(2, 5).features(3), ValueError, "own 2 dimensions"),
        (lambda: pv.priors.Markov(2, 0, net=pv.nets.MLP(2, 4)), ValueError, "length"),
        (
            lambda: pv.priors.Markov(2, 3, net=pv.nets.MLP(2, 4), initial=pv.priors.StandardNormal(3)),
            ValueError,
            r"initial.*\(2,\).*\(3,\)",
        ),
        (lambda: pv.priors.Markov(2, 3, net=pv.nets.MLP(2, 2))().sample(), ValueError, r"\(2,\).*\(1,\)"),
        (lambda: pv.nets.Recurrent(0, 5), ValueError, "inputs"),
        (lambda: pv.nets.Recurrent(3, 5, direction="back"), ValueError, "Did you mean 'backward'"),
        (lambda: pv.nets.Recurrent(3, 5)(torch.zeros(3)), ValueError, r"T, 3.*\(3,\)"),
        (lambda: pv.nets.GatedTransition(3, 0), ValueError, "hidden"),
        (lambda: kernels.Matern32(0.0), ValueError, "lengthscale.*positive"),
        (lambda: kernels.Matern32([1.0, -1.0]), ValueError, "lengthscale.*positive"),
        (lambda: kernels.Matern32([1.0, 2.0], variance=[1.0, 2.0, 3.0]), ValueError, r"\[2, 3\]"),
        (lambda: kernels.Sum(kernels.Matern32()), TypeError, "two or more"),
        (lambda: kernels.Product(kernels.Matern32(), 2.0), TypeError, "kernels"),
        (lambda: process([0.0, 1.0, 1.0]), ValueError, "times.*different"),
        (lambda: process([]), ValueError, "times"),
        (lambda: process(2.5), ValueError, "times"),
        (lambda: process([0.0, float("nan")]), ValueError, "times.*finite"),
        (lambda: process(3, dim=0), ValueError, "dim"),
        (lambda: process(3, jitter=-1.0), ValueError, "jitter"),
        (lambda: process(3, kernel=kernels.Matern32([1.0, 2.0, 3.0])), ValueError, r"kernel.*\(3, 3, 3\)"),
        (
            lambda: process(50, kernel=kernels.SquaredExponential(100.0), jitter=0.0)(),
            ValueError,
            "positive definite.*jitter=0",
        ),
    ],
)
def test_bad_parameters_are_refused(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def process(times: Any, dim: int = 2, kernel: nn.Module | None = None, **options: Any) -> nn.Module:
    return pv.priors.GaussianProcess(times, dim, kernel=kernel or kernels.Matern32(), **options)
