"""Encoding, decoding, generation and walks, for pairs of every kind."""

from __future__ import annotations

import re

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, AutoNormal
from sklearn.datasets import load_digits
from torch import nn

import pyrovae as pv
from pyrovae import predict
from pyrovae.data import Data, Threshold
from pyrovae.predict.centre import centre

RECORD = {"data": {"shapes": [[64]], "dtypes": ["float32"]}}


@pytest.fixture
def digits(digits):
    return digits[:24]


def vae(dim=2, likelihood=None):
    pyro.set_rng_seed(0)
    model = pv.models.VAE(
        pv.priors.StandardNormal(dim), pv.nets.MLP(dim, 64), likelihood or pv.heads.bernoulli
    )
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 16, 2 * dim), pv.heads.normal))
    return pv.Fit(model, guide)


class Tutorial(nn.Module):
    """Methods of one module that demand data, as the official tutorial has them."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = pv.nets.MLP(64, 4), pv.nets.MLP(2, 64)

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", x.shape[0]):
            z = pyro.sample("latent", dist.Normal(x.new_zeros(len(x), 2), 1.0).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x.reshape(-1, 64))

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", x.shape[0]):
            pyro.sample("latent", pv.heads.normal(self.encoder(x.reshape(-1, 64))))


def tutorial(config=None):
    pyro.set_rng_seed(0)
    pair = Tutorial()
    return pv.Fit(pair.model, pair.guide, config=config)


def functions():
    """Plain functions without any module: every parameter is a ``pyro.param``."""

    def model(x=None, size=None):
        weight = pyro.param("weight", lambda: torch.randn(2, 64))
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z @ weight, 0.1).to_event(1), obs=x)

    def guide(x):
        weight = pyro.param("encoder", lambda: 0.1 * torch.randn(64, 2))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x @ weight, 0.1).to_event(1))

    return pv.Fit(model, guide)


class Ladder(nn.Module):
    """p(x | z1) p(z1 | z2) p(z2) and q(z2 | z1) q(z1 | x)."""

    def __init__(self):
        super().__init__()
        self.up, self.higher = pv.nets.MLP(64, 6), pv.nets.MLP(3, 4)
        self.down, self.out = pv.nets.MLP(2, 6), pv.nets.MLP(3, 64)

    def model(self, x=None, size=None):
        pyro.module("ladder", self)
        with pyro.plate("data", len(x) if x is not None else size):
            z2 = pyro.sample("z2", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            z1 = pyro.sample("z1", pv.heads.normal(self.down(z2)))
            return pyro.sample("x", pv.heads.bernoulli(self.out(z1)), obs=x)

    def guide(self, x, size=None):
        pyro.module("ladder", self)
        with pyro.plate("data", len(x)):
            z1 = pyro.sample("z1", pv.heads.normal(self.up(x)))
            pyro.sample("z2", pv.heads.normal(self.higher(z1)))


def ladder():
    pyro.set_rng_seed(0)
    pair = Ladder()
    return pv.Fit(pair.model, pair.guide), pair


class Labelled(nn.Module):
    """p(x | z, y) p(y) p(z): two observed sites, y being a parent of x."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = pv.nets.MLP(64, 4), pv.nets.MLP(12, 64)

    def model(self, x=None, y=None, size=None):
        pyro.module("labelled", self)
        size = next((len(t) for t in (x, y) if t is not None), size)
        with pyro.plate("data", size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            y = pyro.sample("y", dist.Categorical(torch.ones(10) / 10), obs=y)
            label = nn.functional.one_hot(y, 10).float()
            pyro.sample("x", dist.Normal(self.decoder(torch.cat([z, label], -1)), 0.1).to_event(1), obs=x)

    def guide(self, x, y=None, size=None):
        pyro.module("labelled", self)
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(self.encoder(x)))


def labelled():
    pyro.set_rng_seed(0)
    pair = Labelled()
    config = {"data": {"shapes": [[64], []], "dtypes": ["float32", "int64"]}}
    return pv.Fit(pair.model, pair.guide, config=config), pair


def mixture():
    """One discrete latent."""
    means = torch.randn(3, 64)

    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            k = pyro.sample("k", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
            return pyro.sample("x", dist.Normal(means[k], 0.1).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("k", dist.Categorical(logits=x @ means.T))

    return pv.Fit(model, guide), means


def shared():
    """A Bayesian decoder: its weights are a latent of all data."""
    net = pv.nets.MLP(64, 4)

    def model(x=None, size=None):
        weight = pyro.sample("weight", dist.Normal(torch.zeros(2, 64), 1.0).to_event(2))
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z @ weight, 0.1).to_event(1), obs=x)

    def guide(x):
        pyro.module("net", net)
        loc = pyro.param("loc", lambda: torch.randn(2, 64))
        pyro.sample("weight", dist.Normal(loc, 0.01).to_event(2))
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(net(x)))

    return pv.Fit(model, guide)


PAIRS = {
    "house": vae,
    "tutorial": lambda: tutorial(RECORD),
    "functions": functions,
    "ladder": lambda: ladder()[0],
    "labelled": lambda: labelled()[0],
    "shared": shared,
}


def data_for(name, digits):
    return (digits, torch.arange(len(digits)) % 10) if name == "labelled" else digits


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_encodes_generates_and_walks(name, digits):
    run, x = PAIRS[name](), data_for(name, digits)
    assert predict.embed(run, x).shape == (24, 5 if name == "ladder" else 2)
    assert predict.reconstruct(run, x).shape == (24, 64)
    assert predict.reconstruct(run, x, num_samples=3).shape == (24, 64)
    assert predict.posterior_predictive(run, x, num_samples=3).shape == (3, 24, 64)
    assert predict.sample(run, 7).shape == (7, 64)
    assert predict.sample(run, 7, mean=True).shape == (7, 64)
    first, last = (tuple(t[i] for t in x) if isinstance(x, tuple) else x[i] for i in (0, 5))
    path = predict.interpolate(run, first, last, steps=4)
    torch.testing.assert_close(path[0], predict.reconstruct(run, x)[0])
    latent = "z1" if name == "ladder" else None
    moved = predict.traverse(run, first, values=[-1.0, 1.0], latent=latent)
    assert moved.shape == (3 if name == "ladder" else 2, 2, 64)
    assert not torch.allclose(moved[:, 0], moved[:, 1])


@pytest.mark.parametrize("name", PAIRS)
def test_noise_is_of_the_seed_and_the_process_is_left_alone(name, digits):
    run, x = PAIRS[name](), data_for(name, digits)
    predict.embed(run, x)  # programs of pyro.param make their parameters at their first run
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = predict.posterior_predictive(run, x, num_samples=2, seed=1), predict.sample(run, 5, seed=1)
    torch.rand(3)
    again = predict.posterior_predictive(run, x, num_samples=2, seed=1), predict.sample(run, 5, seed=1)
    other = predict.posterior_predictive(run, x, num_samples=2, seed=2), predict.sample(run, 5, seed=2)
    for a, b, c in zip(first, again, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert not torch.equal(a, c)
    torch.set_rng_state(before)
    predict.sample(run, 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


@pytest.mark.parametrize("name", PAIRS)
def test_posterior_predictive_never_returns_the_data(name, digits):
    # pyro.infer.Predictive gives x itself back where x is observed. No draw of 64 pixels is its datum.
    run, x = PAIRS[name](), data_for(name, digits)
    drawn = predict.posterior_predictive(run, x, num_samples=20)
    assert not (drawn == digits).all(-1).any()
    assert not torch.equal(drawn[0], drawn[1])


def test_training_mode_and_parameters_are_left_as_found(digits):
    run = vae()
    run.model.train()
    weights = [parameter.clone() for parameter in run.model.parameters()]
    result = predict.reconstruct(run, digits)
    assert run.model.training
    assert not result.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(weights, run.model.parameters(), strict=True))


def test_dropout_is_off(digits):
    run = vae()
    run.model.decoder = nn.Sequential(nn.Dropout(0.5), run.model.decoder)
    torch.testing.assert_close(
        predict.reconstruct(run, digits, seed=1), predict.reconstruct(run, digits, seed=2)
    )


def test_a_linear_decoder_decodes_to_its_linear_map(digits):
    run = vae(likelihood=pv.heads.IsotropicNormal(0.3))
    linear = run.model.decoder.layers[0]
    z = torch.randn(9, 2)
    expected = z @ linear.weight.T + linear.bias
    torch.testing.assert_close(predict.decode(run, z), expected.detach())
    p = predict.likelihood(run, {"z": z})
    assert (p.batch_shape, p.event_shape) == ((9,), (64,))
    torch.testing.assert_close(p.stddev, torch.full((9, 64), 0.3))
    mean = predict.encode(run, digits).mean["z"]
    torch.testing.assert_close(predict.reconstruct(run, digits), predict.decode(run, mean))


def test_prior_draws_have_the_moments_of_the_marginal():
    run = vae(likelihood=pv.heads.IsotropicNormal(0.3))
    linear = run.model.decoder.layers[0]
    drawn = predict.sample(run, 20_000).double()
    covariance = linear.weight @ linear.weight.T + 0.09 * torch.eye(64)
    error = covariance.diag().sqrt() / 20_000**0.5
    assert ((drawn.mean(0) - linear.bias).abs() < 5 * error).all()
    torch.testing.assert_close(drawn.T.cov(), covariance.double(), rtol=0, atol=0.08)
    means = predict.sample(run, 20_000, mean=True).double()
    torch.testing.assert_close(means.T.cov(), (linear.weight @ linear.weight.T).double(), rtol=0, atol=0.08)


def test_posterior_predictive_averages_to_the_averaged_reconstruction(digits):
    run = vae()
    drawn = predict.posterior_predictive(run, digits, num_samples=100).mean(0)
    means = predict.reconstruct(run, digits, num_samples=100, seed=1)
    assert (drawn - means).abs().max() < 6 * 0.5 / 100**0.5
    # A linear-Gaussian pair has E f(z) = f(E z).
    run = vae(likelihood=pv.heads.IsotropicNormal(0.3))
    average = predict.reconstruct(run, digits, num_samples=100)
    assert (average - predict.reconstruct(run, digits)).abs().mean() < 0.06


def test_encode_gives_the_guides_distribution(digits):
    run = vae()
    encoding = predict.encode(run, digits)
    expected = run.guide.posterior("z", digits)
    torch.testing.assert_close(encoding.posterior["z"].mean, expected.mean.detach())
    torch.testing.assert_close(encoding.posterior["z"].stddev, expected.stddev.detach())
    torch.testing.assert_close(predict.embed(run, digits), encoding.mean["z"])


def test_a_hierarchy_is_encoded_at_the_means_of_its_parents(digits):
    run, pair = ladder()
    encoding = predict.encode(run, digits)
    z1 = pair.up(digits).chunk(2, -1)[0]
    z2 = pair.higher(z1).chunk(2, -1)[0]
    torch.testing.assert_close(encoding.mean["z1"], z1.detach())
    torch.testing.assert_close(encoding.mean["z2"], z2.detach())
    torch.testing.assert_close(predict.embed(run, digits), torch.cat([z1, z2], -1).detach())
    decoded = predict.decode(run, {"z1": z1.detach(), "z2": z2.detach()})
    torch.testing.assert_close(decoded, torch.sigmoid(pair.out(z1)).detach())


def test_embedding_in_batches_changes_nothing(digits):
    run = vae()
    torch.testing.assert_close(predict.embed(run, digits, batch_size=7), predict.embed(run, digits))


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.numpy().astype(np.float64),
        lambda x: (x, torch.arange(24)),
        lambda x: [x],
        lambda x: Data(x),
    ],
)
def test_data_of_every_kind(digits, convert):
    run = vae()
    torch.testing.assert_close(predict.embed(run, convert(digits)), predict.embed(run, digits))


def test_the_transform_of_the_data_is_applied():
    gray = torch.tensor(load_digits().data[:24] / 16.0, dtype=torch.float32)
    run = vae()
    data = Data(gray, transform=Threshold(0.5))
    torch.testing.assert_close(predict.embed(run, data), predict.embed(run, Threshold(0.5)(gray)))


def test_shared_latents_come_from_the_guide_and_are_not_embedded(digits):
    run = shared()
    encoding = predict.encode(run, digits)
    assert encoding.mean["weight"].shape == (2, 64)
    torch.testing.assert_close(predict.reconstruct(run, digits), encoding.mean["z"] @ encoding.mean["weight"])
    z = torch.randn(3, 2)
    torch.testing.assert_close(
        predict.decode(run, {"weight": run.params["loc"], "z": z}), z @ run.params["loc"]
    )


def test_labels_stay_as_given_unless_they_are_asked_for(digits):
    run, pair = labelled()
    y = torch.arange(24) % 10
    z = pair.encoder(digits).chunk(2, -1)[0]
    expected = pair.decoder(torch.cat([z, nn.functional.one_hot(y, 10)], -1)).detach()
    torch.testing.assert_close(predict.reconstruct(run, (digits, y)), expected)
    labels = predict.posterior_predictive(run, (digits, y), num_samples=50, site="y")
    assert labels.dtype == torch.int64
    assert not (labels == y).all()
    # The same seed draws the sites of one joint draw: x lies near the decoder's mean at the y of that draw.
    x, y = predict.sample(run, 200, seed=4), predict.sample(run, 200, seed=4, site="y")
    assert y.unique().numel() == 10
    label = nn.functional.one_hot(y, 10).float()
    weight = pair.decoder.layers[0].weight
    residual = x - label @ weight[:, 2:].T - pair.decoder.layers[0].bias
    basis = torch.linalg.qr(weight[:, :2])[0]
    assert (residual - residual @ basis @ basis.T).std() < 0.11


def test_a_discrete_latent_is_encoded_by_its_mode(digits):
    run, means = mixture()
    encoding = predict.encode(run, digits)
    mode = (digits @ means.T).argmax(-1)
    assert torch.equal(encoding.mean["k"], mode)
    torch.testing.assert_close(predict.reconstruct(run, digits), means[mode])
    torch.testing.assert_close(predict.decode(run, torch.tensor([2, 0])), means[[2, 0]])
    with pytest.raises(ValueError, match="continuous"):
        predict.interpolate(run, digits[0], digits[1])


def test_latents_that_the_model_enumerates_need_not_be_given(digits):
    means = torch.randn(3, 64)

    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            k = pyro.sample("k", dist.Categorical(torch.ones(3) / 3), infer={"enumerate": "parallel"})
            return pyro.sample("x", dist.Normal(means[k] + z.sum(-1, True), 0.1).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x[:, :2], 0.1).to_event(1))

    run = pv.Fit(model, guide)
    decoded = predict.decode(run, torch.zeros(50, 2))
    assert decoded.unique(dim=0).shape[0] == 3
    k = torch.tensor([1, 0])
    torch.testing.assert_close(predict.decode(run, {"z": torch.zeros(2, 2), "k": k}), means[k])
    assert predict.posterior_predictive(run, digits, num_samples=2).shape == (2, 24, 64)


@pytest.mark.parametrize("make", [AutoNormal, AutoDelta, AutoDiagonalNormal])
def test_autoguides(digits, make):
    pyro.set_rng_seed(0)

    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z.repeat(1, 32), 0.5).to_event(1), obs=x)

    guide = make(model)
    guide(digits)
    run = pv.Fit(model, guide)
    mean = predict.embed(run, digits)
    assert mean.shape == (24, 2)
    torch.testing.assert_close(mean, guide.median(digits)["z"].detach())
    torch.testing.assert_close(predict.reconstruct(run, digits), mean.repeat(1, 32))
    assert predict.posterior_predictive(run, digits, num_samples=2).shape == (2, 24, 64)
    if make is AutoNormal:
        torch.testing.assert_close(
            predict.encode(run, digits).posterior["z"].stddev, torch.full((24, 2), 0.1)
        )


def test_an_autonormal_of_a_positive_latent_has_the_lognormals_mean(digits):
    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.LogNormal(0.0, 1.0))
            return pyro.sample("x", dist.Normal(z[:, None].repeat(1, 64), 0.5).to_event(1), obs=x)

    guide = AutoNormal(model, init_scale=0.5)
    guide(digits)
    encoding = predict.encode(pv.Fit(model, guide), digits)
    expected = guide.median(digits)["z"].detach() * np.exp(0.125)
    torch.testing.assert_close(encoding.mean["z"], expected, rtol=0.1, atol=0)
    assert (encoding.posterior["z"].sample() > 0).all()


def test_centre_falls_back_to_mode_and_to_monte_carlo():
    torch.manual_seed(0)
    assert torch.equal(centre(dist.Cauchy(torch.tensor([3.0]), 1.0)), torch.tensor([3.0]))
    pixels = dist.Categorical(logits=torch.eye(4)).to_event(1)
    assert torch.equal(centre(pixels), torch.arange(4))
    squashed = dist.TransformedDistribution(
        dist.Normal(torch.tensor([-2.0, 0.0, 2.0]), 0.5), [dist.transforms.TanhTransform()]
    )
    expected = squashed.sample((100_000,)).mean(0)
    torch.testing.assert_close(centre(squashed), expected, rtol=0, atol=0.05)


def test_a_distribution_with_neither_mean_nor_mode_has_no_centre():
    heavy = dist.MaskedDistribution(dist.Cauchy(torch.zeros(2), 1.0), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="a finite mean, or a mode"):
        centre(heavy)


def test_a_model_of_shared_latents_alone_embeds_nothing(digits):
    def model(x=None, size=None):
        level = pyro.sample("level", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x) if x is not None else size):
            return pyro.sample("x", dist.Normal(level, 1.0).expand([64]).to_event(1), obs=x)

    def guide(_):
        pyro.sample("level", dist.Normal(0.5, 0.1))

    run = pv.Fit(model, guide)
    torch.testing.assert_close(predict.reconstruct(run, digits), torch.full((24, 64), 0.5))
    with pytest.raises(ValueError, match="latent site inside the plate"):
        predict.embed(run, digits)


def test_latents_as_arrays():
    run = vae()
    z = np.random.default_rng(0).normal(size=(3, 2))
    torch.testing.assert_close(predict.decode(run, z), predict.decode(run, torch.tensor(z).float()))


def test_a_model_without_plates(digits):
    weight = torch.randn(2, 64)

    def model(x=None, size=None):
        n = len(x) if x is not None else size
        z = pyro.sample("z", dist.Normal(torch.zeros(n, 2), 1.0).to_event(2))
        return pyro.sample("x", dist.Normal(z @ weight, 0.1).to_event(2), obs=x)

    def guide(x):
        pyro.sample("z", dist.Normal(x[:, :2], 0.1).to_event(2))

    run = pv.Fit(model, guide)
    torch.testing.assert_close(predict.embed(run, digits), digits[:, :2])
    z = torch.randn(5, 2)
    torch.testing.assert_close(predict.decode(run, z), z @ weight)


# Walks.


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


# Complaints: each says what was expected, what came and what to do.


def ladder_z(**shapes):
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, _: predict.decode(r, {"w": torch.zeros(3, 2)}), "site 'w'.*latent sites.*z"),
        (lambda r, _: predict.decode(r, {"zz": torch.zeros(3, 2)}), "Did you mean 'z'"),
        (lambda r, _: predict.decode(r, {}), r"none for \['z'\]"),
        (lambda r, _: predict.decode(r, torch.zeros(3, 5)), r"shape \(n, 2\), got \(3, 5\)"),
        (lambda r, _: predict.decode(r, torch.zeros(2)), r"z\[None\]"),
        (lambda r, _: predict.decode(r, torch.zeros(3, 2), site="y"), "site: expected one of .*'x'"),
        (lambda r, _: predict.sample(r, 0), "size: expected a positive"),
        (lambda r, x: predict.posterior_predictive(r, x, num_samples=0), "num_samples"),
        (lambda r, x: predict.reconstruct(r, x, num_samples=-1), "num_samples"),
        (lambda r, x: predict.embed(r, x, batch_size=0), "batch_size"),
        (lambda r, x: predict.encode(r, x[:0]), "n of at least 1"),
        (lambda r, x: predict.encode(r, x * float("nan")), "finite"),
        (lambda r, x: predict.interpolate(r, x[0], x[1], kind="sperical"), "Did you mean 'spherical'"),
        (lambda r, x: predict.interpolate(r, x[0], x[1], steps=1), "steps"),
        (lambda r, x: predict.interpolate(r, x[:2], x[:3]), "as many data as a, 2, got 3"),
        (lambda r, _: predict.manifold(r, extent=(1, 1)), "extent"),
        (lambda r, _: predict.manifold(r, dims=(0, 2)), "dims: expected 2 different dimensions from 0 to 1"),
        (lambda r, x: predict.traverse(r, x[:2]), "one datum, got 2"),
        (lambda r, x: predict.traverse(r, x[0], dims=[5]), "dims"),
        (lambda r, x: predict.traverse(r, x[0], dims=[]), "dims"),
        (lambda r, x: predict.traverse(r, x[0], values=[]), "values"),
        (lambda r, x: predict.traverse(r, x[0], latent="y"), r"latent: expected one of .*\['z'\]"),
    ],
)
def test_complaints(digits, call, message):
    with pytest.raises(ValueError) as caught:
        call(vae(), digits)
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, _: predict.decode(r, torch.zeros(3, 2)), "Pass a mapping"),
        (lambda r, _: predict.decode(r, ladder_z(z1=(3, 3))), r"none for \['z2'\]"),
        (lambda r, _: predict.decode(r, ladder_z(z1=(3, 3), z2=(4, 2))), "for the same 3 data"),
        (lambda r, _: predict.manifold(r), "one latent site, got the latent sites"),
        (lambda r, x: predict.traverse(r, x[0]), "latent='...'"),
    ],
)
def test_complaints_about_several_latents(digits, call, message):
    with pytest.raises(ValueError) as caught:
        call(ladder()[0], digits)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_latent_that_is_no_plane():
    with pytest.raises(ValueError, match="two or more dimensions"):
        predict.manifold(vae(dim=1))
    with pytest.raises(ValueError, match=r"Choose: dims=\(0, 1\)"):
        predict.manifold(vae(dim=3))


def test_a_value_that_is_no_tensor():
    with pytest.raises(TypeError, match=r"z, site 'z'.*got str"):
        predict.decode(vae(), "zero")


def test_a_datum_without_its_batch_dimension(digits):
    run = vae()
    run.config = RECORD
    with pytest.raises(ValueError, match=r"x\[None\]"):
        predict.encode(run, digits[0])


def test_a_model_that_demands_data_says_so_where_their_shape_is_unknown(digits):
    run = tutorial()
    assert predict.reconstruct(run, digits).shape == (24, 64)
    with pytest.raises(ValueError, match=r"model\(x=None, size=None\).*config="):
        predict.sample(run, 3)
    assert predict.sample(tutorial(RECORD), 3).shape == (3, 64)
    assert predict.manifold(tutorial(RECORD), steps=3).images.shape == (3, 3, 64)


def test_a_model_that_observes_nothing():
    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            return pyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"observed sites \[\]"):
        predict.sample(pv.Fit(model, model, config={"data": {"shapes": [[]]}}), 3)
