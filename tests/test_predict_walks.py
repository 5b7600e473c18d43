"""Interpolations, manifolds and traversals."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pairs import (
    vae,
)
from sklearn.datasets import load_digits
from torch import nn

import pyrovae as pv
from pyrovae import predict


@pytest.fixture
def digits(digits):
    return digits[:24]


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_the_ends_of_an_interpolation_are_the_reconstructions(digits, kind):
    run = vae(dim=4)
    paths = predict.interpolate(run, digits[:8], digits[8:16], steps=6, kind=kind)
    assert paths.shape == (8, 6, 64)
    torch.testing.assert_close(paths[:, 0], predict.reconstruct(run, digits[:8]))
    torch.testing.assert_close(paths[:, -1], predict.reconstruct(run, digits[8:16]))
    torch.testing.assert_close(predict.interpolate(run, digits[2], digits[10], steps=6, kind=kind), paths[2])


def test_the_linear_path_is_straight(digits):
    run = vae(likelihood=pv.heads.IsotropicNormal(0.3))
    path = predict.interpolate(run, digits[0], digits[1], steps=5)
    torch.testing.assert_close(path.diff(dim=0), (path[-1] - path[0]).expand(4, 64) / 4, atol=1e-5, rtol=1e-4)


def test_the_spherical_path_keeps_norm_and_speed():
    a, b = torch.randn(2, 6, 5)
    a, b = 3 * nn.functional.normalize(a, dim=-1), 3 * nn.functional.normalize(b, dim=-1)
    path = predict.spherical(a, b, torch.linspace(0, 1, 9))
    torch.testing.assert_close(path.norm(dim=-1), torch.full((6, 9), 3.0))
    steps = path.diff(dim=1).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:, :1].expand(6, 8), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_the_spherical_path_at_its_singular_points(dim):
    torch.manual_seed(0)
    a = torch.randn(1, dim)
    t = torch.linspace(0, 1, 11)
    zero = torch.zeros(1, dim)
    cases = {"same": (a, a), "parallel": (a, 2 * a), "zero": (a, zero), "zeros": (zero, zero)}
    for u, v in cases.values():
        torch.testing.assert_close(predict.spherical(u, v, t), predict.linear(u, v, t))
    opposite = predict.spherical(a, -2 * a, t)
    assert opposite.isfinite().all()
    torch.testing.assert_close(opposite[:, [0, -1]], torch.stack([a, -2 * a], 1))
    if dim > 1:
        torch.testing.assert_close(opposite.norm(dim=-1)[0], a.norm() * (1 + t))
    # Nearly opposite and nearly parallel points leave nothing undefined either.
    for sign in (1, -1):
        near = predict.spherical(a, sign * (a + 1e-6), t)
        assert near.isfinite().all()
        assert (near.norm(dim=-1) < 2 * a.norm() + 1e-3).all()


def test_the_manifold_goes_through_the_quantiles():
    run = vae(likelihood=pv.heads.IsotropicNormal(0.3))
    plane = predict.manifold(run, steps=5)
    assert plane.images.shape == (5, 5, 64)
    cdf = dist.Normal(0.0, 1.0).cdf(plane.columns)
    torch.testing.assert_close(cdf, torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))
    torch.testing.assert_close(plane.rows, -plane.columns)
    z = torch.stack([plane.columns[1], plane.rows[3]])[None]
    torch.testing.assert_close(plane.images[3, 1], predict.decode(run, z)[0])


def test_the_manifold_of_a_wider_latent_keeps_the_rest_at_zero():
    run = vae(dim=4)
    plane = predict.manifold(run, steps=3, extent=(-2, 2), dims=(3, 1))
    z = torch.tensor([[0.0, 2.0, 0.0, -2.0]])  # top row: dimension 1 high; first column: dimension 3 low
    torch.testing.assert_close(plane.images[0, 0], predict.decode(run, z)[0])
    assert plane.columns.tolist() == [-2, 0, 2]


def test_a_traversal_moves_one_dimension(digits):
    run = vae(dim=3, likelihood=pv.heads.IsotropicNormal(0.3))
    moved = predict.traverse(run, digits[:1], dims=[2, 0], values=[-1.0, 0.5, 2.0])
    mean = predict.embed(run, digits[:1])[0]
    assert moved.shape == (2, 3, 64)
    for row, dim in enumerate([2, 0]):
        for column, value in enumerate([-1.0, 0.5, 2.0]):
            z = mean.clone()
            z[dim] = value
            torch.testing.assert_close(moved[row, column], predict.decode(run, z[None])[0])
    assert predict.traverse(run, digits[0]).shape == (3, 7, 64)


def test_images_keep_their_shape():
    pyro.set_rng_seed(0)
    x = torch.tensor(load_digits().images[:6, None] > 8, dtype=torch.float32)
    decoder = nn.Sequential(pv.nets.MLP(2, 64), nn.Unflatten(-1, (1, 8, 8)))
    encoder = nn.Sequential(nn.Flatten(1), pv.nets.MLP(64, 4))
    model = pv.models.VAE(pv.priors.StandardNormal(2), decoder, pv.heads.Bernoulli(event_dim=3))
    run = pv.Fit(model, pv.guides.Amortized(z=(encoder, pv.heads.normal)))
    assert predict.reconstruct(run, x).shape == (6, 1, 8, 8)
    assert predict.manifold(run, steps=3).images.shape == (3, 3, 1, 8, 8)
    assert predict.interpolate(run, x[0], x[1], steps=4).shape == (4, 1, 8, 8)
    assert predict.interpolate(run, x[:1], x[1:2], steps=4).shape == (1, 4, 1, 8, 8)
    assert predict.traverse(run, x[0]).shape == (2, 7, 1, 8, 8)
