"""From data to latents: the posterior of each datum, and its mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import biject_to, constraints

from pyrovae.errors import explain
from pyrovae.predict.centre import centre
from pyrovae.predict.programs import AtMeans, as_batch, ready, structure, trace
from pyrovae.training.fitted import Fit
from pyrovae.types import Batch, Distribution, Program


class Encoding(NamedTuple):
    """The posterior of a batch of data.

    Attributes:
        posterior: for each latent site q(site | x), batch shape ``(n,)``.
        mean: for each latent site its mean, ``(n, ...)``.
    """

    posterior: dict[str, Distribution]
    mean: dict[str, Tensor]


def encode(run: Fit, x: Any, *, seed: int = 0) -> Encoding:
    r"""The posterior q(z | x) of each datum, site by site.

    In a hierarchy each site's posterior is the one given the *means* of the sites that the guide draws
    before it, :math:`q(z_2 \mid \bar z_1, x)`: nothing is drawn, so nothing is random.

    Arguments:
        x: data ``(n, ...)``: a tensor, an array, a tuple of what the model takes, or ``pyrovae.data.Data``.
        seed: of the Monte Carlo mean of posteriors that have no formula for it, such as flows.

    Returns: distributions and means by site. Where there is no mean (Categorical), the mode stands for it.
        Of an AutoGuide with one joint posterior for all sites each site is the point at the joint's centre.

    Raises:
        TypeError, ValueError: data that the programs can't take.

    Example:
        >>> import torch, pyrovae as pv
        >>> _ = torch.manual_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> encoding = encode(pv.Fit(model, guide), torch.zeros(5, 64))
        >>> encoding.posterior["z"].batch_shape, encoding.mean["z"].shape
        (torch.Size([5]), torch.Size([5, 2]))
    """
    args = run.arguments(as_batch(run, x, seed=seed))
    with ready(run, seed) as (model, guide):
        return encode_with(run, model, guide, args)


def encode_with(run: Fit, model: Program, guide: Program, args: Batch) -> Encoding:
    """:func:`encode` for programs that are ready and arguments that are checked."""
    with poutine.block():
        sites = trace(AtMeans()(guide), *args)
    posterior, mean = {}, {}
    for name, site in sites.items():
        if site["infer"].get("is_auxiliary"):
            continue
        posterior[name], mean[name] = site["fn"], site["value"].detach()
        unconstrained = sites.get(f"{name}_unconstrained")
        if unconstrained is not None and isinstance(site["fn"], dist.Delta):
            support = structure(run, model, args).latents[name]["fn"].support
            posterior[name] = _constrained(unconstrained["fn"], support)
            mean[name] = centre(posterior[name])
    return Encoding(posterior, mean)


def embed(run: Fit, x: Any, *, batch_size: int | None = None, seed: int = 0) -> Tensor:
    """The posterior means of all latents of a datum, side by side: features for whatever comes next.

    Arguments:
        x: data, as for :func:`encode`.
        batch_size: how many data are encoded at a time; None: all at once.
        seed: as for :func:`encode`.

    Returns: ``(n, d)``, the sites in the guide's order, each flattened. Latents that the data share, such as
        a Bayesian decoder's weights, are left out.

    Raises:
        TypeError, ValueError: data that the programs can't take; no latent that belongs to a datum.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> embed(pv.Fit(model, guide), torch.zeros(5, 64), batch_size=2).shape
        torch.Size([5, 2])
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(
            explain("batch_size", expected="a positive number", got=repr(batch_size), remedy="None: all.")
        )
    args = run.arguments(as_batch(run, x, seed=seed))
    size = len(args[0])
    batches = [
        tuple(tensor[start : start + (batch_size or size)] for tensor in args)
        for start in range(0, size, batch_size or size)
    ]
    parts: list[Tensor] = []
    with ready(run, seed) as (model, guide):
        sites = structure(run, model, batches[0])
        local = [name for name, site in sites.latents.items() if sites.is_local(site)]
        for part in batches:
            mean = encode_with(run, model, guide, part).mean
            parts.append(_side_by_side({name: value for name, value in mean.items() if name in local}))
    return torch.cat(parts)


def _side_by_side(mean: dict[str, Tensor]) -> Tensor:
    if not mean:
        raise ValueError(
            explain(
                "embed",
                expected="a latent site inside the plate of the data",
                got="none",
                remedy="Only models with latents of their own for each datum embed data.",
            )
        )
    flat = [value.reshape(len(value), -1) for value in mean.values()]
    return torch.cat([value if value.is_floating_point() else value.float() for value in flat], dim=-1)


def _constrained(distribution: Any, support: Any) -> Any:
    """A posterior on unconstrained values, as AutoNormal keeps it, as one on the site's support."""
    base = support
    while isinstance(base, constraints.independent):
        base = base.base_constraint
    if base is constraints.real:
        return distribution
    return dist.TransformedDistribution(distribution, [biject_to(support)])
