"""A model and a guide of any parts: the networks suit the data, and the heads say how wide they must be."""

from __future__ import annotations

from typing import Any

import torch
from pyro.infer.autoguide import AutoNormal
from torch import Tensor

from pyrovae import guides, heads, models, nets, priors
from swapped.data import DATA, Data, binary
from swapped.parts import WIDTH, D


def pair(x: Tensor, *, prior: Any, posterior: Any, likelihood: Any) -> tuple[Any, Any]:
    """A model and a guide of these parts, with networks for data like x."""
    encoder = network_from(x, posterior.features(D))
    if prior is priors.VampPrior:  # which is made of the guide's own encoder
        prior = vamp(encoder, posterior, x)
    model = models.VAE(prior, network_to(x, likelihood), likelihood)
    return model, guides.Amortized(z=(encoder, posterior))


def network_from(x: Tensor, outputs: int) -> Any:
    """From a datum to features: of an image, of a sequence, of a vector with gaps, of a vector."""
    if x.ndim == 4:
        return nets.ConvEncoder(x.shape[1:], outputs, channels=(8, 16))
    if x.ndim == 3:
        return nets.Recurrent(x.shape[2], outputs, direction="backward")
    if x.isnan().any():
        return nets.Filled(nets.MLP(2 * x.shape[1], WIDTH, outputs))
    return nets.MLP(x.shape[1], WIDTH, outputs)


def network_to(x: Tensor, likelihood: Any) -> Any:
    """From a latent, of a sequence that of each step, to what the likelihood takes."""
    if x.ndim == 4:
        shape = (likelihood.features(x.shape[1]), *x.shape[2:])
        return nets.ConvDecoder(D, shape, channels=(16, 8))
    return nets.MLP(D, WIDTH, likelihood.features(x.shape[-1]))


def vamp(encoder: Any, posterior: Any, x: Tensor) -> Any:
    """Of a flowed posterior it mixes the bases: the way back of an IAF would take a pass for each entry."""
    head = heads.BaseOf(posterior) if isinstance(posterior, heads.Flowed) else posterior
    return priors.VampPrior(encoder, head, 10, x.shape[1:], bounds=(0, 1)).start_from(x)


def vae(guide: Any) -> tuple[Any, Any, Data]:
    """The plain model, under a guide that is made of it and of the amortized one."""
    x = binary().flatten(1)
    parts = {"prior": priors.StandardNormal(D), "posterior": heads.normal, "likelihood": heads.bernoulli}
    model, amortized = pair(x, **parts)
    return model, guide(model, amortized), (x, torch.arange(len(x)))


def ladder() -> tuple[Any, Any, Data]:
    prior = priors.Ladder((D, 2), (nets.MLP(2, WIDTH, 2 * D),))
    lower = (nets.MLP(64, WIDTH, WIDTH), nets.MLP(WIDTH, 2 * D))
    upper = (nets.MLP(WIDTH, WIDTH, WIDTH), nets.MLP(WIDTH, 2 * 2))
    model = models.Ladder(prior, nets.MLP(D, WIDTH, 64), heads.bernoulli)
    return model, guides.Ladder(prior, z1=lower, z2=upper), DATA["digits"]()


def views(guide: Any) -> tuple[Any, Any, Data]:
    """The upper and the lower half of a digit; of every fourth one the lower is missing."""
    top, bottom = binary().flatten(1).chunk(2, 1)
    bottom = bottom.masked_fill(torch.arange(len(bottom))[:, None] % 4 == 0, torch.nan)
    prior = priors.StandardNormal(D)
    seen = {name: (nets.MLP(D, WIDTH, 32), heads.bernoulli) for name in ("top", "bottom")}
    read = {name: (nets.MLP(32, WIDTH, 2 * D), heads.normal) for name in ("top", "bottom")}
    return models.Views(prior, **seen), guide(prior, **read), (top, bottom)


# Guides that are more than a network and a head for each latent; some have a model of their own.
GUIDES: dict[str, Any] = {
    "Hamiltonian": lambda: vae(lambda model, q: guides.Hamiltonian(q, model, dim=D, steps=2)),
    "SemiAmortized": lambda: vae(lambda model, q: guides.SemiAmortized(q, model, steps=2)),
    "PerDatum": lambda: vae(lambda model, q: guides.PerDatum(200, z=(2 * D, heads.normal))),
    "AutoNormal": lambda: vae(lambda model, q: AutoNormal(model)),
    "Ladder": ladder,
    "ProductOfExperts": lambda: views(guides.ProductOfExperts),
    "MixtureOfExperts": lambda: views(guides.MixtureOfExperts),
}
