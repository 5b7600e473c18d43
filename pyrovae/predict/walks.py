"""Walks through latent space: from one datum to another, and along one coordinate after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from pyrovae.errors import explain, nearest
from pyrovae.predict.centre import centre
from pyrovae.predict.decoding import require_positive
from pyrovae.predict.encoding import encode_with
from pyrovae.predict.paths import linear, spherical
from pyrovae.predict.plane import check_dims
from pyrovae.predict.programs import (
    Structure,
    as_batch,
    datum_shape,
    generate,
    observed_site,
    ready,
    structure,
)
from pyrovae.training.fitted import Fit
from pyrovae.types import Batch

_PATHS = {"linear": linear, "spherical": spherical}


def interpolate(
    run: Fit,
    a: Any,
    b: Any,
    *,
    steps: int = 10,
    kind: Literal["linear", "spherical"] = "linear",
    site: str | None = None,
) -> Tensor:
    """The decoded path from the posterior mean of one datum to that of another.

    Arguments:
        a, b: a datum each, or a batch of data each, for one path a pair.
        steps: points of a path, ends included: these are the reconstructions of ``a`` and ``b``.
        kind: the straight path or the one along the sphere, :func:`linear` or :func:`spherical`.
        site: which observed site; by default the only one, or ``"x"`` among several.

    Returns: the likelihood's means, ``(steps, ...)`` between two data, ``(pairs, steps, ...)`` between
        batches. Labels and covariates of a tuple stay those of ``a``; latents that the data share stay at
        their mean.

    Raises:
        ValueError: fewer than two steps, an unknown kind, batches of different lengths, a discrete latent.

    References:
        White, 2016, Sampling Generative Networks, https://arxiv.org/abs/1609.04468

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> run = pv.Fit(model, guide)
        >>> interpolate(run, torch.zeros(64), torch.ones(64), steps=5).shape
        torch.Size([5, 64])
        >>> interpolate(run, torch.zeros(3, 64), torch.ones(3, 64), steps=5, kind="spherical").shape
        torch.Size([3, 5, 64])
    """
    if kind not in _PATHS:
        raise ValueError(
            explain("kind", expected=f"one of {list(_PATHS)}", got=repr(kind), remedy=nearest(kind, _PATHS))
        )
    require_positive("steps", steps)
    if steps < 2:
        raise ValueError(explain("steps", expected="2 or more", got="1", remedy="Both ends count."))
    (start, single), (end, _) = _data(run, a), _data(run, b)
    if len(start[0]) != len(end[0]):
        raise ValueError(
            explain(
                "b",
                expected=f"as many data as a, {len(start[0])}",
                got=str(len(end[0])),
                remedy="A path goes from each datum of a to the datum of b in the same place.",
            )
        )
    pairs = len(start[0])
    with ready(run, 0) as (model, guide):
        sites = structure(run, model, start)
        name = observed_site(sites, site)
        ends = [encode_with(run, model, guide, args).mean for args in (start, end)]
        t = torch.linspace(0, 1, steps, device=run.device)
        latents = dict(ends[0])
        for latent in _local(sites, ends[0]):
            u, v = (_continuous(latent, mean[latent]) for mean in ends)
            path = _PATHS[kind](u.flatten(1), v.flatten(1), t)
            latents[latent] = path.reshape(pairs * steps, *u.shape[1:])
        means = _decode(run, model, latents, name, _repeat(start, steps))
    means = means.reshape(pairs, steps, *means.shape[1:])
    return means[0] if single else means


def traverse(
    run: Fit,
    x: Any,
    *,
    dims: Sequence[int] | None = None,
    values: Sequence[float] | Tensor | None = None,
    latent: str | None = None,
    site: str | None = None,
) -> Tensor:
    """What each latent dimension does: it is moved, all others stay at the datum's posterior mean.

    Arguments:
        x: one datum, or a batch of one.
        dims: which dimensions of the flattened latent; None: all.
        values: what the dimension is set to, ``(steps,)``; None: seven values from -3 to 3.
        latent: which latent site; by default the only one. Other sites stay at their posterior mean.
        site: which observed site; by default the only one, or ``"x"`` among several.

    Returns: the likelihood's means, ``(dims, steps, ...)``.

    Raises:
        ValueError: more than one datum, several latent sites and none named, a discrete latent, dimensions
            that it does not have.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> traverse(pv.Fit(model, guide), torch.zeros(64), values=[-2, 0, 2]).shape
        torch.Size([2, 3, 64])
    """
    args, _ = _data(run, x)
    if len(args[0]) != 1:
        raise ValueError(
            explain("x", expected="one datum", got=f"{len(args[0])} data", remedy="Choose: x[:1].")
        )
    steps = torch.as_tensor(torch.linspace(-3, 3, 7) if values is None else values, device=run.device)
    if steps.ndim != 1 or not len(steps):
        raise ValueError(
            explain("values", expected="(steps,)", got=str(tuple(steps.shape)), remedy="Try [-2, 0, 2].")
        )
    with ready(run, 0) as (model, guide):
        sites = structure(run, model, args)
        name = observed_site(sites, site)
        means = encode_with(run, model, guide, args).mean
        chosen = _one(_local(sites, means), latent)
        mean = _continuous(chosen, means[chosen])
        centre_point = mean.flatten()
        which = check_dims(range(len(centre_point)) if dims is None else dims, len(centre_point))
        z = centre_point.repeat(len(which), len(steps), 1)
        for row, dim in enumerate(which):
            z[row, :, dim] = steps.to(z)
        size = len(which) * len(steps)
        latents = {
            key: value.repeat_interleave(size, 0) if key in _local(sites, means) else value
            for key, value in means.items()
        }
        latents[chosen] = z.reshape(size, *mean.shape[1:])
        images = _decode(run, model, latents, name, _repeat(args, size))
    return images.reshape(len(which), len(steps), *images.shape[1:])


def _data(run: Fit, data: Any) -> tuple[Batch, bool]:
    """A datum or data as the programs take them, and whether it was one datum without a batch dimension."""
    parts = list(data) if isinstance(data, tuple | list) else [data]
    single = hasattr(parts[0], "ndim") and tuple(parts[0].shape) == datum_shape(run)
    if single:
        data = tuple(torch.as_tensor(part)[None] for part in parts)
    return run.arguments(as_batch(run, data)), single


def _repeat(args: Batch, times: int) -> Batch:
    return tuple(tensor.repeat_interleave(times, 0) for tensor in args)


def _decode(run: Fit, model: Any, latents: dict[str, Tensor], site: str, args: Batch) -> Tensor:
    sites = generate(run, model, len(args[0]), latents=latents, redraw=(site,), args=args)
    return centre(sites[site]["fn"])


def _local(sites: Structure, means: dict[str, Tensor]) -> list[str]:
    return [name for name in means if sites.is_local(sites.latents[name])]


def _continuous(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        raise ValueError(
            explain(
                f"latent site {name!r}",
                expected="continuous values, which have something between them",
                got=str(value.dtype),
                remedy="Decode its values one by one with pyrovae.predict.decode.",
            )
        )
    return value


def _one(names: list[str], name: str | None) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    raise ValueError(
        explain(
            "latent",
            expected=f"one of the latent sites {names}",
            got=repr(name),
            remedy=nearest(name, names) if name and names else "Name it: latent='...'.",
        )
    )
