"""Truth: with a linear decoder and Gaussian noise the VAE is probabilistic PCA, of which all is known."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from ppca import PPCA, largest_angle
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

import pyrovae as pv

LATENTS = {"digits": 4, "freyfaces": 5}


@functools.cache
def images(name: str) -> Tensor:
    """Gray values in [0, 1] about their mean, ``(n, D)``, float64."""
    if name != "digits" and "PYROVAE_DATA" not in os.environ:
        pytest.skip(f"{name} needs PYROVAE_DATA, the folder in which it lies")
    x = torch.cat([part.x for part in pv.data.load(name) if part is not None]).flatten(1)
    x = x.double() / 255 if x.dtype == torch.uint8 else x.double()
    assert 0 <= x.min() < x.max() <= 1
    return x - x.mean(0)


@functools.cache
def solution(name: str) -> PPCA:
    return PPCA.maximum_likelihood(images(name), LATENTS[name])


def as_vae(ppca: PPCA) -> pv.models.VAE:
    """The VAE that is a given PPCA."""
    size, dim = ppca.weight.shape
    model = pv.models.VAE(
        pv.priors.StandardNormal(dim), pv.nets.MLP(dim, size), pv.heads.IsotropicNormal()
    ).double()
    linear = model.decoder.layers[0]
    with torch.no_grad():
        linear.weight.copy_(ppca.weight)
        linear.bias.copy_(ppca.mean)
        model.likelihood.log_scale.fill_(0.5 * math.log(ppca.variance))
    return model


def as_ppca(model: pv.models.VAE) -> PPCA:
    """The PPCA that a trained VAE is."""
    linear = model.decoder.layers[0]
    variance = model.likelihood.log_scale.detach().double().exp().item() ** 2
    return PPCA(linear.weight.detach().double(), linear.bias.detach().double(), variance)


def exact_guide(ppca: PPCA, inflation: float = 1.0, diagonal: bool = False) -> Callable[[Tensor], None]:
    """The posterior as a plain Pyro function, widened, or with its correlations left out."""

    def guide(x: Tensor) -> None:
        mean, covariance = ppca.posterior(x)
        with pyro.plate("data", len(x)):
            if diagonal:
                q = dist.Normal(mean, inflation * covariance.diagonal().sqrt()).to_event(1)
            else:
                q = dist.MultivariateNormal(mean, covariance_matrix=inflation**2 * covariance)
            pyro.sample("z", q)

    return guide


def rotated(ppca: PPCA) -> PPCA:
    """The same density with other axes in latent space, in which the posterior is correlated."""
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(ppca.weight.shape[1], ppca.weight.shape[1]).double()).Q
    return PPCA(ppca.weight @ rotation, ppca.mean, ppca.variance)


def test_the_closed_form_is_a_maximum():
    """The reference itself: moving any part of it makes the digits less likely."""
    x, ppca = images("digits"), solution("digits")
    best = ppca.log_evidence(x).mean()
    for other in (
        PPCA(ppca.weight * 1.02, ppca.mean, ppca.variance),
        PPCA(ppca.weight, ppca.mean + 0.01, ppca.variance),
        PPCA(ppca.weight, ppca.mean, ppca.variance * 1.02),
        PPCA(ppca.weight, ppca.mean, ppca.variance * 0.98),
    ):
        assert other.log_evidence(x).mean() < best
    assert torch.allclose(rotated(ppca).log_evidence(x), ppca.log_evidence(x))
    assert largest_angle(rotated(ppca).weight, ppca.weight) < 1e-4


@pytest.mark.parametrize("name", LATENTS)
def test_the_exact_guide_gives_the_evidence_at_once(name):
    ppca = rotated(solution(name))
    x = images(name)[::20]
    run = pv.Fit(as_vae(ppca), exact_guide(ppca))
    weights = pv.evaluate.log_weights(run, x, num_samples=5)
    assert torch.allclose(weights, ppca.log_evidence(x).expand(5, -1), rtol=0, atol=1e-4)
    found = pv.evaluate.evidence(run, x, num_samples=5)
    assert (found.standard_error < 1e-4).all()
    assert (found.effective_sample_size > 4.999).all()
    bound = pv.evaluate.elbo(run, x, num_samples=300)
    assert bound.closed_form == {"z": True}
    assert ((bound.elbo - ppca.log_evidence(x)).abs() < 5 * bound.standard_error).all()


@pytest.mark.parametrize("name", LATENTS)
@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
def test_importance_sampling_finds_the_evidence(name, diagonal):
    """A guide that is not the posterior: wider, and without correlations where there are some."""
    ppca = rotated(solution(name)) if not diagonal else solution(name)
    x = images(name)[::5]
    run = pv.Fit(as_vae(ppca), exact_guide(ppca, inflation=1.3, diagonal=diagonal))
    found = pv.evaluate.evidence(run, x, num_samples=500)
    deviation = found.log_evidence - ppca.log_evidence(x)
    # The log of an unbiased estimate is too low by half its squared error: here, below the noise of the mean.
    error_of_mean = found.standard_error.square().sum().sqrt() / len(x)
    assert deviation.mean().abs() < 3 * error_of_mean
    standardised = deviation / found.standard_error
    assert (standardised.abs() > 3).double().mean() < 0.02
    assert 0.85 < standardised.std() < 1.15


def test_correlations_left_out_cost_effective_samples():
    ml = solution("digits")
    ppca = rotated(PPCA(ml.weight * torch.tensor([4.0, 2.0, 1.0, 0.5]), ml.mean, ml.variance))
    x = images("digits")[::20]
    full, diagonal = (
        pv.evaluate.evidence(
            pv.Fit(as_vae(ppca), exact_guide(ppca, 1.3, diagonal=diagonal)), x, num_samples=1000
        )
        for diagonal in (False, True)
    )
    assert diagonal.effective_sample_size.mean() < 0.8 * full.effective_sample_size.mean()
    error = (diagonal.standard_error.square().sum().sqrt() / len(x)).item()
    assert abs((diagonal.log_evidence - ppca.log_evidence(x)).mean().item()) < 3 * error


@pytest.mark.parametrize("name", LATENTS)
def test_training_finds_the_maximum(name):
    """From random weights: the evidence at the maximum within 0.5%, and the principal subspace."""
    x, best = images(name).float(), solution(name)
    dim, size, epochs = LATENTS[name], x.shape[1], 60
    torch.manual_seed(0)
    model = pv.models.VAE(pv.priors.StandardNormal(dim), pv.nets.MLP(dim, size), pv.heads.IsotropicNormal())
    guide = pv.guides.Amortized(z=(pv.nets.MLP(size, 2 * dim), pv.heads.normal))
    run = pv.fit(
        model,
        guide,
        x,
        loss=TraceMeanField_ELBO(),
        optim=functools.partial(torch.optim.Adam, lr=0.03),
        scheduler=functools.partial(CosineAnnealingLR, T_max=epochs),
        epochs=epochs,
        batch_size=200,
        device="cpu",
    )
    found = as_ppca(model)
    at_best = best.log_evidence(x).mean().item()
    reached = found.log_evidence(x).mean().item()
    assert reached <= at_best + 1e-6 * abs(at_best)
    assert reached > at_best - 0.005 * abs(at_best)
    assert largest_angle(found.weight, best.weight) < 5

    sampled = pv.evaluate.evidence(run, x[::5], num_samples=500)
    deviation = sampled.log_evidence - found.log_evidence(x[::5])
    # The weights are float32, and a log-probability of some hundred nats keeps four digits after the point.
    assert deviation.mean().abs() < 3 * sampled.standard_error.square().sum().sqrt() / len(deviation) + 1e-3
