"""The von Mises-Fisher distribution beside SciPy's and its own integrals, and captured like anything else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import normalize, softplus

import pyrovae as pv
from pyrovae.distributions import SphericalUniform, VonMisesFisher, _radial

DIMS = (2, 3, 5, 20, 50)
CONCENTRATIONS = (1e-2, 0.3, 1.0, 10.0, 100.0, 1e3)


def _law(dim: int, concentration: Any, dtype: torch.dtype = torch.float64) -> VonMisesFisher:
    loc = normalize(torch.randn(dim, dtype=torch.float64), dim=-1).to(dtype)
    return VonMisesFisher(loc, concentration, validate_args=True)


def _mean_cosine(dim: int, concentration: float) -> float:
    """I_{m/2} / I_{m/2-1}, by SciPy."""
    orders = np.array([dim / 2, dim / 2 - 1])
    above, below = scipy.special.ive(orders, concentration)
    return float(above / below)


def _density_of_cosine(dim: int, concentration: float) -> Any:
    """Not normalised, of the angle: no end of the interval is singular."""
    return lambda angle: math.exp(concentration * (math.cos(angle) - 1)) * math.sin(angle) ** (dim - 2)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_log_density_is_scipys(dim: int, concentration: float) -> None:
    q = _law(dim, concentration)
    x = torch.cat((q.sample((20,)), SphericalUniform(dim, dtype=torch.float64).sample((20,)), q.loc[None]))
    truth = scipy.stats.vonmises_fisher(q.loc.numpy(), concentration)
    expected = torch.from_numpy(truth.logpdf(x.numpy()))
    torch.testing.assert_close(q.log_prob(x), expected, rtol=1e-9, atol=1e-9)
    assert q.entropy().item() == pytest.approx(truth.entropy(), rel=1e-7, abs=1e-7)
    single = VonMisesFisher(normalize(q.loc.float(), dim=-1), concentration)
    assert single.log_normalizer.item() == pytest.approx(q.log_normalizer.item(), rel=2e-6, abs=1e-5)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_density_integrates_to_one(dim: int, concentration: float) -> None:
    near = min(math.pi, 12 / math.sqrt(concentration))
    shape = _density_of_cosine(dim, concentration)
    integral = sum(
        scipy.integrate.quad(shape, a, b, epsabs=0)[0] for a, b in ((0, near), (near, math.pi)) if a < b
    )
    log_integral = math.log(integral) + _radial.log_area(dim - 1)
    assert _law(dim, concentration).log_normalizer.item() == pytest.approx(log_integral, abs=1e-8)


@pytest.mark.parametrize("dim", [2, 3, 50, 1000])
@pytest.mark.parametrize("concentration", [1e-6, 1.0, 100.0, 1e6])
def test_moments_and_their_derivatives_are_bessel_functions(dim: int, concentration: float) -> None:
    k = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    q = _law(dim, k)
    cosine = (q.mean * q.loc).sum()
    order = dim / 2 - 1
    if scipy.special.ive(order, concentration) > 0:
        assert cosine.item() == pytest.approx(_mean_cosine(dim, concentration), rel=1e-8, abs=1e-12)
    (slope,) = torch.autograd.grad(_radial.log_normalizer(k, dim), k, create_graph=True)
    assert slope.item() == pytest.approx(cosine.item() - 1, rel=1e-8, abs=1e-12)
    (curvature,) = torch.autograd.grad(slope, k)
    (change,) = torch.autograd.grad(cosine, k)
    assert curvature.item() == pytest.approx(change.item(), rel=1e-6)
    # The same from A' = 1 - A^2 - (m - 1) A / k, where that doesn't cancel.
    if 0.5 < concentration < 1e3:
        exact = 1 - cosine.item() ** 2 - (dim - 1) / concentration * cosine.item()
        assert change.item() == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_samples_have_the_density(dim: int) -> None:
    for concentration in (0.0, 0.5, 20.0, 1e3):
        q = _law(dim, concentration, torch.float32)
        n = 20_000
        x = q.sample((n,))
        assert q.support.check(x).all()
        grid = np.linspace(0, math.pi, 40_001)
        weights = np.exp(concentration * (np.cos(grid) - 1)) * np.sin(grid) ** (dim - 2)
        cumulative = scipy.integrate.cumulative_trapezoid(weights, grid, initial=0)
        angles = 2 * torch.asin(((x - q.loc).norm(dim=-1) / 2).clamp(max=1)).numpy()
        test = scipy.stats.kstest(angles, lambda a: np.interp(a, grid, cumulative / cumulative[-1]))  # noqa: B023
        assert test.pvalue > 1e-3
        error = (x.mean(0) - q.mean).abs() / (x.std(0) / n**0.5)
        assert error.max() < 4.5
        torch.testing.assert_close(x.var(0), q.variance, rtol=0.1, atol=1e-6)


def test_three_dimensions_invert_exactly() -> None:
    """There the distribution function is elementary, and so is the gradient of each draw."""
    k = torch.tensor([0.1, 1.0, 10.0, 500.0], dtype=torch.float64)
    u = torch.linspace(0.001, 0.999, 201, dtype=torch.float64).expand(4, -1).contiguous()
    t, slope = _radial._invert(k, 3, u)
    each = k[:, None].expand_as(u).clone().requires_grad_()
    w = 1 + (u + (1 - u) * (-2 * each).exp()).log() / each
    reached = ((each * (t.tanh() - 1)).exp() - (-2 * each).exp()) / -(-2 * each).expm1()
    torch.testing.assert_close(reached.detach(), u, rtol=0.0, atol=1e-6)
    (gradient,) = torch.autograd.grad(w.sum(), each)
    torch.testing.assert_close(slope / t.cosh() ** 2, gradient, rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", DIMS)
def test_gradient_by_concentration_without_noise(dim: int, dtype: torch.dtype) -> None:
    """The mean over evenly spaced uniform numbers, beside the derivative of the Bessel functions' ratio."""
    n = 4000
    u = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).to(dtype)
    for concentration in CONCENTRATIONS:
        t, slope = _radial._invert(torch.tensor(concentration, dtype=dtype), dim, u)
        mean = _mean_cosine(dim, concentration)
        step = 1e-4 * concentration
        exact = _mean_cosine(dim, concentration + step) - _mean_cosine(dim, concentration - step)
        exact /= 2 * step
        assert (slope / t.cosh() ** 2).double().mean().item() == pytest.approx(exact, rel=1e-3)
        assert t.tanh().double().mean().item() == pytest.approx(mean, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("dim", [2, 3, 5, 20])
def test_gradient_by_concentration_is_unbiased(dim: int) -> None:
    for concentration in (0.5, 5.0, 100.0):
        n = 200  # groups of as many draws
        k = torch.full((n,), concentration, dtype=torch.float64, requires_grad=True)
        loc = normalize(torch.ones(dim, dtype=torch.float64), dim=0)
        w = VonMisesFisher(loc, k).rsample((n,)) @ loc / n
        first, second = (torch.autograd.grad(f.sum(), k, retain_graph=True)[0] for f in (w, w**2 * n))
        exact_k = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
        below, across = _radial.moments(exact_k, dim)
        for estimate, f in ((first, 1 - below), (second, 1 - across)):
            (exact,) = torch.autograd.grad(f, exact_k, retain_graph=True)
            error = (estimate.mean() - exact).abs()
            assert error < 4 * estimate.std() / n**0.5


def test_gradient_of_a_draw_is_the_difference_of_two_draws() -> None:
    """The same random numbers: draws move smoothly with the parameters."""
    loc = normalize(torch.randn(6, 4, dtype=torch.float64), dim=-1).requires_grad_()
    k = torch.tensor([0.1, 1.0, 3.0, 10.0, 50.0, 400.0], dtype=torch.float64, requires_grad=True)

    def draw(direction: Tensor, concentration: Tensor) -> Tensor:
        torch.manual_seed(3)
        return VonMisesFisher(normalize(direction, dim=-1), concentration).rsample()

    assert torch.autograd.gradcheck(draw, (loc, k), eps=1e-4, atol=1e-5, rtol=1e-2)


def test_gradient_by_direction_is_unbiased() -> None:
    n, angle = 40_000, torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    loc = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)))
    z = VonMisesFisher(loc, 4.0).rsample((n,))
    values = z[:, 0] * 2
    (gradient,) = torch.autograd.grad(values.mean(), angle)
    exact = -2 * _mean_cosine(3, 4.0) * math.sin(0.4)
    assert gradient.item() == pytest.approx(exact, abs=0.02)


def test_shapes_expand_and_repr() -> None:
    q = VonMisesFisher(normalize(torch.randn(4, 1, 3), dim=-1), torch.ones(5))
    assert (q.batch_shape, q.event_shape) == ((4, 5), (3,))
    assert q.rsample((2, 7)).shape == (2, 7, 4, 5, 3)
    assert q.log_prob(q.sample()).shape == q.entropy().shape == (4, 5)
    assert q.mean.shape == q.variance.shape == (4, 5, 3)
    wide = q.expand([2, 4, 5])
    assert isinstance(wide, VonMisesFisher)
    assert wide.sample().shape == (2, 4, 5, 3)
    assert q.to_event(1).log_prob(q.sample()).shape == (4,)
    assert VonMisesFisher.infer_shapes(loc=(4, 1, 3), concentration=(5,)) == ((4, 5), (3,))
    uniform = SphericalUniform(3).expand([4])
    assert uniform.sample((2,)).shape == (2, 4, 3)
    assert repr(uniform) == "SphericalUniform(dim=3)"
    assert "VonMisesFisher" in repr(q)


def test_uniform_is_fisher_without_concentration() -> None:
    uniform, flat = SphericalUniform(7), _law(7, 0.0, torch.float32)
    x = uniform.sample((1000,))
    torch.testing.assert_close(uniform.log_prob(x), flat.log_prob(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(uniform.entropy(), flat.entropy(), rtol=1e-5, atol=1e-5)
    assert x.mean(0).abs().max() < 4.5 * (1 / 7 / 1000) ** 0.5
    torch.testing.assert_close(x.var(0), uniform.variance, rtol=0.2, atol=0.0)
    assert not uniform.mean.any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VonMisesFisher(torch.ones(1), 1.0), "m >= 2"),
        (lambda: VonMisesFisher(torch.tensor(1.0), 1.0), "m >= 2"),
        (lambda: VonMisesFisher(torch.eye(3), torch.ones(2)), "broadcasts with loc"),
        (lambda: VonMisesFisher(torch.ones(3), 1.0, validate_args=True), "loc"),
        (lambda: VonMisesFisher(torch.eye(3)[0], -1.0, validate_args=True), "concentration"),
        (lambda: _law(3, 1.0).log_prob(torch.ones(3).double()), "support"),
        (lambda: SphericalUniform(3, validate_args=True).log_prob(torch.ones(3)), "support"),
        (lambda: SphericalUniform(1), "integer from 2"),
        (lambda: SphericalUniform(2.0), "integer from 2"),  # type: ignore[arg-type]
    ],
)
def test_bad_parameters_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_captured_on_tensors_without_values() -> None:
    def program(loc: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        q = VonMisesFisher(loc, k, validate_args=False)
        z = q.rsample((3,))
        value = q.log_prob(z).sum() + z[..., 0].sum() + q.entropy().sum()
        return z, *torch.autograd.grad(value, (loc, k))

    loc = normalize(torch.randn(4, 5), dim=-1).requires_grad_()
    k = torch.tensor([0.1, 1.0, 10.0, 100.0], requires_grad=True)
    graph = make_fx(program, tracing_mode="fake")(loc, k)
    torch.manual_seed(1)
    ours = graph(loc, k)
    torch.manual_seed(1)
    for one, other in zip(ours, program(loc, k), strict=True):
        torch.testing.assert_close(one, other)


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> VonMisesFisher:
        h = self.net(x)
        return VonMisesFisher(normalize(h[..., :-1], dim=-1), softplus(h[..., -1]) + 1)


def _losses(objective: Any, compile: Any, x: Tensor) -> tuple[list[float], Tensor]:
    pyro.clear_param_store()
    torch.manual_seed(0)
    encoder, decoder = _Encoder(), nn.Linear(4, 64)

    def model(x: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", SphericalUniform(4))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", encoder(x))

    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective, compile=compile)
    losses = [svi.step(x) for _ in range(8)]
    return losses, encoder.net.weight.detach().clone()


@pytest.mark.parametrize("objective", [Trace_ELBO, TraceMeanField_ELBO])
def test_a_hyperspherical_vae_is_captured(objective: Any, digits: Tensor) -> None:
    captured, weight = _losses(objective(), "capture", digits[:32])
    eager, eager_weight = _losses(objective(), False, digits[:32])
    np.testing.assert_allclose(captured, eager, rtol=1e-5)
    torch.testing.assert_close(weight, eager_weight, rtol=1e-3, atol=1e-5)
    assert eager[-1] < eager[0]
