"""Encoding, decoding and generation, for pairs of every kind."""

from __future__ import annotations

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pairs import (
    PAIRS,
    data_for,
    labelled,
    ladder,
    mixture,
    shared,
    vae,
)
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, AutoNormal
from sklearn.datasets import load_digits
from torch import nn

import pyrovae as pv
from pyrovae import predict
from pyrovae.data import Data, Threshold
from pyrovae.predict.centre import centre


@pytest.fixture
def digits(digits):
    return digits[:24]


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
