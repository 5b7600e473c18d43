"""The mixture of normals as a posterior: its density, its moments, and the gradients of its draws."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

import pyrovae as pv
from pyrovae import distributions


def mixture(d: int, components: int = 3) -> tuple[Tensor, ...]:
    """Parameters of overlapping components, with gradients."""
    torch.manual_seed(d)
    loc = 1.2 * torch.randn(components, d, dtype=torch.float64)
    scale = (0.3 * torch.randn(components, d, dtype=torch.float64)).exp()
    logits = torch.randn(components, dtype=torch.float64)
    return tuple(x.requires_grad_() for x in (loc, scale, logits))


def smooth(z: Tensor) -> Tensor:
    """Something whose mean depends on all that a distribution is."""
    return (z[..., 0].sin() + 0.5 * z.square().sum(-1) * (0.3 * z[..., -1]).cos()).squeeze()


@pytest.mark.parametrize("d", [1, 2])
def test_the_mixtures_velocities_carry_its_mass(d: int) -> None:
    """Integrated over all draws, not drawn: the pathwise gradient of a mean is the mean's gradient."""
    parameters = mixture(d)
    side = torch.linspace(-9, 9, 20_000 if d == 1 else 500, dtype=torch.float64)
    z = torch.cartesian_prod(*[side] * d).reshape(-1, d)
    q = distributions.NormalMixture(*parameters)
    mass = q.log_prob(z).exp() * (side[1] - side[0]) ** d
    exact = torch.autograd.grad((mass * smooth(z)).sum(), parameters)
    by_paths = torch.autograd.grad(
        (mass.detach() * smooth(distributions.NormalMixture(*parameters)._moving(z))).sum(), parameters
    )
    for of_paths, of_mean in zip(by_paths, exact, strict=True):
        assert torch.allclose(of_paths, of_mean, rtol=1e-4, atol=1e-5)
        assert of_mean.abs().max() > 0.01


def test_the_gradients_of_draws_of_many_dimensions_are_right_on_average() -> None:
    d, draws = 8, 40_000
    loc, scale, logits = mixture(d, components=4)
    with torch.no_grad():
        loc *= 0.4
    aim = torch.linspace(-1, 1, d, dtype=torch.float64)
    mean = (0.5 * ((loc - aim).square() + scale.square()).sum(-1) * logits.softmax(-1)).sum()
    exact = torch.autograd.grad(mean, (loc, scale, logits))
    many = tuple(x.detach().expand(draws, *x.shape).clone().requires_grad_() for x in (loc, scale, logits))
    z = distributions.NormalMixture(*many).rsample()
    for grad, truth in zip(torch.autograd.grad(0.5 * (z - aim).square().sum(), many), exact, strict=True):
        error = (grad.mean(0) - truth) / (grad.std(0) / math.sqrt(draws))
        assert error.abs().max() < 4.5


def test_the_mixture_is_one_of_scipys_normals_and_knows_its_moments() -> None:
    loc, scale, logits = (x.detach() for x in mixture(2))
    q = distributions.NormalMixture(loc, scale, logits)
    z = q.sample((50_000,))
    densities = [
        stats.multivariate_normal(m.numpy(), s.square().diag().numpy())
        for m, s in zip(loc, scale, strict=True)
    ]
    expected = sum(
        w * p.pdf(z[:50].numpy()) for w, p in zip(logits.softmax(-1).numpy(), densities, strict=True)
    )
    assert q.log_prob(z[:50]).exp().numpy() == pytest.approx(expected)
    assert torch.allclose(z.mean(0), q.mean, atol=0.03)
    assert torch.allclose(z.var(0), q.variance, rtol=0.03)


def test_the_mixture_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="NormalMixture"):
        distributions.NormalMixture(torch.zeros(3, 2), torch.ones(3, 2), torch.zeros(2))
    with pytest.raises(ValueError, match="components"):
        pv.heads.NormalMixture(0)
