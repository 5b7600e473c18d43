"""The VAE that is a PPCA, whose bounds and evidence are known, and the training of guides for it."""

from __future__ import annotations

import functools
import math

import torch
from ppca import PPCA
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import pyrovae as pv

MEAN_FIELD = TraceMeanField_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=2)


def as_vae(ppca: PPCA) -> pv.models.VAE:
    """The VAE that is a given PPCA, in float64."""
    size, dim = ppca.weight.shape
    decoder = pv.nets.MLP(dim, size)
    model = pv.models.VAE(pv.priors.StandardNormal(dim), decoder, pv.heads.IsotropicNormal()).double()
    with torch.no_grad():
        decoder.layers[0].weight.copy_(ppca.weight)
        decoder.layers[0].bias.copy_(ppca.mean)
        model.likelihood.log_scale.fill_(0.5 * math.log(ppca.variance))
    return model


def best_mean_field(x: Tensor, ppca: PPCA) -> Tensor:
    """The largest bound of any diagonal normal: the posterior's mean, the diagonal of its precision."""
    _, covariance = ppca.posterior(x)
    precision = torch.linalg.inv(covariance)
    gap = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    assert gap > 0.5, "the posterior is correlated enough to tell the two apart"
    return ppca.log_evidence(x) - gap


def sampled_bound(run: pv.Fit, data: object, num_samples: int = 300) -> Tensor:
    """The mean log-weight: with an exact posterior it has no noise, unlike a bound of a KL in closed form."""
    return pv.evaluate.log_weights(run, data, num_samples=num_samples, compile=False).mean(0)


def train_guide(model: nn.Module, guide: nn.Module, data: object, steps: int = 300) -> pv.Fit:
    """Trains a guide alone, all data in each step."""
    frozen = model.eval().requires_grad_(False)
    return pv.fit(
        frozen,
        guide,
        data,
        loss=MEAN_FIELD,
        optim=functools.partial(torch.optim.Adam, lr=0.1, betas=(0.9, 0.95)),
        scheduler=functools.partial(CosineAnnealingLR, T_max=steps),
        epochs=steps,
        batch_size=10_000,
        compile="capture",
    )
