"""Pairs of every shape whose guide is the exact posterior: each weight is then the evidence itself."""

from __future__ import annotations

import logging
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoNormal
from torch import nn

import pyrovae as pv
from pyrovae.evaluate import _draw

N, D, NOISE = 7, 5, 0.5
X = torch.linspace(-1.0, 2.0, N * D, dtype=torch.float64).sin().reshape(N, D)


def shared_latent_evidence(x: torch.Tensor) -> torch.Tensor:
    """x_j = z + noise for all j, z standard normal: a multivariate normal."""
    size = x.shape[1]
    covariance = torch.ones(size, size) + NOISE**2 * torch.eye(size)
    return torch.distributions.MultivariateNormal(torch.zeros(size).double(), covariance.double()).log_prob(x)


def posterior(x: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Mean ``(n,)`` and scale of z given x."""
    precision = 1 + x.shape[1] / NOISE**2
    return x.sum(-1) / NOISE**2 / precision, precision**-0.5


def double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def plain_guide(x):
    mean, scale = posterior(x)
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(mean, scale))


# Each model below is p(z) = N(0, 1), p(x | z) = N(z, NOISE), told in another way.


def in_one_event(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        loc = z.unsqueeze(-1).expand((*z.shape, D))
        pyro.sample("x", dist.Normal(loc, NOISE).to_event(1), obs=x)


def inner_plate_left(x):
    data = pyro.plate("data", len(x), dim=-1)
    with data:
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
    with pyro.plate("pixels", D, dim=-2), data:
        pyro.sample("x", dist.Normal(z, NOISE), obs=x.T)


def inner_plate_as_large_as_data(x):
    """The pixels' plate has the size of the batch as well, and stands at the right."""
    with pyro.plate("rows", len(x), dim=-2):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        with pyro.plate("pixels", D, dim=-1):
            pyro.sample("x", dist.Normal(z, NOISE), obs=x)


def guide_of_rows(x):
    mean, scale = posterior(x)
    with pyro.plate("rows", len(x), dim=-2):
        pyro.sample("z", dist.Normal(mean.unsqueeze(-1), scale))


def one_flat_batch_dimension(x):
    """As a network of convolutions, it takes ``(n, ...)`` and nothing else."""
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        if z.dim() != 1:
            raise RuntimeError("expected (n,)")
        pyro.sample(
            "x",
            dist.Normal(nn.Unflatten(1, (1, 1))(z[:, None])[:, 0].expand(-1, D), NOISE).to_event(1),
            obs=x,
        )


def wrong_with_particles(x):
    """No error with a dimension more, only wrong numbers: the mean is over data, or over particles."""
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        z = z if z.dim() == 1 else z.mean(0).expand(z.shape)
        pyro.sample("x", dist.Normal(z.unsqueeze(-1).expand((*z.shape, D)), NOISE).to_event(1), obs=x)


def size_known_beforehand(x):
    with pyro.plate("data", N):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        z = z if z.dim() == 1 else z.mean(0).expand(z.shape)
        pyro.sample("x", dist.Normal(z.unsqueeze(-1).expand((*z.shape, D)), NOISE).to_event(1), obs=x)


def subsampled_and_scaled(x):
    with pyro.plate("data", 1000, subsample_size=len(x)), poutine.scale(scale=0.1):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        pyro.sample("x", dist.Normal(z.unsqueeze(-1).expand((*z.shape, D)), NOISE).to_event(1), obs=x)


def guide_subsampled(x):
    mean, scale = posterior(x)
    with pyro.plate("data", 1000, subsample_size=len(x)):
        pyro.sample("z", dist.Normal(mean, scale))


def factor_and_deterministic(x):
    pyro.deterministic("shared", torch.ones(3))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
        pyro.deterministic("twice", 2 * z)
        log_p = dist.Normal(z.unsqueeze(-1).expand((*z.shape, D)), NOISE).to_event(1).log_prob(x)
        pyro.factor("x", log_p)


def guide_with_auxiliary(x):
    mean, scale = posterior(x)
    with pyro.plate("data", len(x)):
        e = pyro.sample("e", dist.Normal(torch.zeros_like(mean), 1.0), infer={"is_auxiliary": True})
        density = torch.full_like(e, -math.log(scale))
        pyro.sample("z", dist.Delta(mean + scale * e, log_density=density))


PAIRS = {
    "one event": (in_one_event, plain_guide, _draw.vectorised),
    "inner plate, left": (inner_plate_left, plain_guide, _draw.vectorised),
    "plate without the name": (inner_plate_as_large_as_data, guide_of_rows, _draw.vectorised),
    "subsampled and scaled": (subsampled_and_scaled, guide_subsampled, _draw.vectorised),
    "factor": (factor_and_deterministic, plain_guide, _draw.vectorised),
    "auxiliary": (in_one_event, guide_with_auxiliary, _draw.vectorised),
    "flat": (one_flat_batch_dimension, plain_guide, _draw.copied),
    "wrong": (wrong_with_particles, plain_guide, _draw.copied),
}


def used(caplog: pytest.LogCaptureFixture) -> object:
    """The strategy that was taken, by what was logged."""
    refused = [record.getMessage() for record in caplog.records if record.name.startswith("pyrovae.evaluate")]
    return (_draw.vectorised, _draw.copied, _draw.looped)[len(refused)]


@pytest.mark.parametrize("size", [N, 5, 1])
@pytest.mark.parametrize("name", PAIRS)
def test_every_weight_is_the_evidence(name, size, caplog):
    model, guide, strategy = PAIRS[name]
    x = X[:size]
    caplog.set_level(logging.INFO)
    weights = pv.evaluate.log_weights(pv.Fit(model, guide), x, num_samples=4)
    expected = shared_latent_evidence(x)
    assert torch.allclose(weights, expected.expand(4, -1), atol=1e-10)
    assert used(caplog) is strategy


def test_a_program_that_can_only_be_looped(caplog):
    def guide(x):
        mean, scale = posterior(x)
        with pyro.plate("data", N):
            pyro.sample("z", dist.Normal(mean, scale))

    caplog.set_level(logging.INFO)
    weights = pv.evaluate.log_weights(pv.Fit(size_known_beforehand, guide), X, num_samples=4, batch_size=N)
    assert torch.allclose(weights, shared_latent_evidence(X).expand(4, -1), atol=1e-10)
    assert used(caplog) is _draw.looped
    assert "site 'x': log-probabilities differ" in caplog.text


@pytest.mark.parametrize("way", ["poutine.mask", "dist.mask"])
def test_masked_pixels_do_not_count(way):
    mask = torch.zeros(N, D, dtype=torch.bool)
    mask[:, :3] = True

    def model(x, mask):
        mask = mask.bool()  # data are numbers
        with pyro.plate("data", len(x), dim=-2):
            z = pyro.sample("z", dist.Normal(double(0.0), 1.0))
            with pyro.plate("pixels", D, dim=-1):
                if way == "dist.mask":
                    pyro.sample("x", dist.Normal(z, NOISE).expand((*z.shape[:-1], D)).mask(mask), obs=x)
                else:
                    with poutine.mask(mask=mask):
                        pyro.sample("x", dist.Normal(z, NOISE), obs=x)

    def guide(x, mask):
        mean, scale = posterior(x[:, :3])
        with pyro.plate("data", len(x), dim=-2):
            pyro.sample("z", dist.Normal(mean.unsqueeze(-1), scale))

    weights = pv.evaluate.log_weights(pv.Fit(model, guide), (X, mask), num_samples=4)
    assert torch.allclose(weights, shared_latent_evidence(X[:, :3]).expand(4, -1), atol=1e-10)


def test_several_latents_in_the_guides_own_order():
    """z2 -> z1 -> x, a chain of normals, and its exact posterior read off bottom-up: q(z1 | x) q(z2 | z1)."""

    def model(x):
        with pyro.plate("data", len(x)):
            z2 = pyro.sample("z2", dist.Normal(double(0.0), 1.0))
            z1 = pyro.sample("z1", dist.Normal(z2, 1.0))
            pyro.sample("x", dist.Normal(z1, 1.0), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            z1 = pyro.sample("z1", dist.Normal(2 * x / 3, math.sqrt(2 / 3)))
            pyro.sample("z2", dist.Normal(z1 / 2, math.sqrt(1 / 2)))

    x = X[:, 0]
    weights = pv.evaluate.log_weights(pv.Fit(model, guide), x, num_samples=4)
    expected = torch.distributions.Normal(0.0, math.sqrt(3.0)).log_prob(x)
    assert torch.allclose(weights, expected.expand(4, -1), atol=1e-10)


def test_a_convolutional_decoder_without_leading_dimensions(caplog):
    pyro.set_rng_seed(0)
    decoder = nn.Sequential(
        nn.Linear(2, 4 * 4 * 4), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 1, 4, 2, 1)
    ).double()
    model = pv.models.VAE(pv.priors.StandardNormal(2).double(), decoder, pv.heads.Bernoulli(event_dim=3))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double()
    run = pv.Fit(model, pv.guides.Amortized(z=(encoder, pv.heads.normal)))
    x = pv.data.load("digits").test.x[:6].double().round()
    caplog.set_level(logging.INFO)
    found = pv.evaluate.evidence(run, x, num_samples=500)
    assert used(caplog) is _draw.copied

    grid = torch.cartesian_prod(*[torch.linspace(-6, 6, 121, dtype=torch.float64)] * 2)
    with torch.no_grad():
        log_p = pv.heads.Bernoulli(3)(decoder(grid)).log_prob(x[:, None])
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid).sum(-1)
    exact = (log_p + log_prior).logsumexp(-1) + 2 * math.log(0.1)
    assert ((found.log_evidence - exact).abs() < 4 * found.standard_error + 1e-6).all()


def test_parameters_for_each_datum_need_all_data_at_once():
    guide = AutoNormal(in_one_event)
    guide(X)
    run = pv.Fit(in_one_event, guide)
    with pytest.raises(ValueError, match="batch_size=len"):
        pv.evaluate.evidence(run, X, num_samples=10)
    found = pv.evaluate.evidence(run, X, num_samples=2000, batch_size=N)
    exact = shared_latent_evidence(X)
    assert (found.log_evidence < exact + 5 * found.standard_error).all()


def test_sites_that_come_and_go():
    """A site that some runs have and others don't: the evidence is right, and a KL by site means nothing."""

    def model(x):
        with pyro.plate("data", len(x)):
            fair = pyro.sample("coin", dist.Bernoulli(0.5 * torch.ones(len(x)).double()))
            if fair[..., :1].bool().all():
                pyro.sample("w", dist.Normal(double(0.0), 1.0))
            pyro.sample("x", dist.Normal(double(0.0), 1.0), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            fair = pyro.sample("coin", dist.Bernoulli(0.5 * torch.ones(len(x)).double()))
            if fair[..., :1].bool().all():
                pyro.sample("w", dist.Normal(double(0.0), 1.0))

    x = X[:1, 0]
    weights = pv.evaluate.log_weights(pv.Fit(model, guide), x, num_samples=20, batch_size=1)
    assert torch.allclose(weights, torch.distributions.Normal(0.0, 1.0).log_prob(x))
    with pytest.raises(ValueError, match="come and go"):
        pv.evaluate.elbo(pv.Fit(model, guide), x, num_samples=20, batch_size=1)


def test_a_model_without_latents():
    def model(x):
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(double(0.0), 1.0), obs=x)

    run = pv.Fit(model, lambda x: None)
    exact = torch.distributions.Normal(0.0, 1.0).log_prob(X[:, 0])
    assert torch.allclose(pv.evaluate.log_evidence(run, X[:, 0], 10), exact)
    bound = pv.evaluate.elbo(run, X[:, 0], num_samples=10)
    assert torch.allclose(bound.elbo, exact)
    assert not bound.kl


def test_the_guides_network_sees_each_datum_once():
    class Counting(nn.Linear):
        rows = 0

        def forward(self, x):
            Counting.rows += x.shape[:-1].numel()
            return super().forward(x)

    model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, D), pv.heads.IsotropicNormal())
    run = pv.Fit(model, pv.guides.Amortized(z=(Counting(D, 4), pv.heads.normal)))
    pv.evaluate.evidence(run, X.float(), num_samples=10)
    before = Counting.rows
    pv.evaluate.evidence(run, X.float(), num_samples=500)
    looks_and_data = Counting.rows - before
    assert looks_and_data < 500  # a handful of looks at three data, and once through the seven
