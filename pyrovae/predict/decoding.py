"""From latents to data: the likelihood at given latents, its mean, and reconstructions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import explain, nearest
from pyrovae.predict.centre import centre
from pyrovae.predict.encoding import encode_with
from pyrovae.predict.programs import (
    Structure,
    as_batch,
    draw_posterior,
    floating,
    generate,
    observed_site,
    ready,
    structure,
)
from pyrovae.training.fitted import Fit
from pyrovae.types import Distribution


def likelihood(run: Fit, z: Tensor | Mapping[str, Any], *, site: str | None = None) -> Distribution:
    r"""The likelihood :math:`p(x \mid z)` at given latents.

    Arguments:
        z: ``(n, ...)`` where the model has one latent site; a mapping of site to value where it has several.
            Latents that are marked for enumeration may be left out: they are drawn from the prior.
        site: which observed site; by default the only one, or ``"x"`` among several.

    Returns: a distribution, batch shape ``(n,)``.

    Raises:
        ValueError: a latent site that is not the model's, one that is missing, a wrong shape, an observed
            site that is not the model's, a model that needs data of unknown shape to run.
        TypeError: ``z`` is neither a tensor (or array) nor a mapping.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> p = likelihood(pv.Fit(model, guide), torch.zeros(3, 2))
        >>> p.batch_shape, p.event_shape
        (torch.Size([3]), torch.Size([64]))
    """
    with ready(run, 0) as (model, _):
        sites = structure(run, model, None)
        name = observed_site(sites, site)
        latents, size = _latents(run, sites, z)
        drawn = generate(run, model, size, latents=latents, redraw=tuple(sites.observed))
        found: Distribution = drawn[name]["fn"]
        return found


def decode(run: Fit, z: Tensor | Mapping[str, Any], *, site: str | None = None) -> Tensor:
    r"""The mean of the likelihood at given latents, :math:`\mathbb E[x \mid z]`.

    Arguments:
        z, site: as for :func:`likelihood`.

    Returns: ``(n, ...)``; where the likelihood has no mean (Categorical), its mode.

    Raises:
        ValueError, TypeError: as :func:`likelihood`.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> decode(pv.Fit(model, guide), torch.zeros(3, 2)).shape
        torch.Size([3, 64])
    """
    p = likelihood(run, z, site=site)
    with ready(run, 0):
        return centre(p)


def reconstruct(
    run: Fit, x: Any, *, num_samples: int | None = None, seed: int = 0, site: str | None = None
) -> Tensor:
    r"""Data as the model sees them through the posterior.

    .. math::
        \mathbb E[x' \mid \bar z],\ \bar z = \mathbb E_{q(z \mid x)}[z]
        \qquad\text{or}\qquad
        \frac 1 S \sum_{s=1}^S \mathbb E[x' \mid z_s],\ z_s \sim q(z \mid x)

    Arguments:
        x: data ``(n, ...)``, as for :func:`encode`.
        num_samples: S; None: at the posterior mean.
        seed: of the draws.
        site: which observed site; by default the only one, or ``"x"`` among several.

    Returns: ``(n, ...)``.

    Raises:
        ValueError, TypeError: data that the programs can't take, an unknown site, no samples.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> reconstruct(pv.Fit(model, guide), torch.zeros(3, 64), num_samples=5).shape
        torch.Size([3, 64])
    """
    if num_samples is not None:
        require_positive("num_samples", num_samples)
    args = run.arguments(as_batch(run, x, seed=seed))
    with ready(run, seed) as (model, guide):
        name = observed_site(structure(run, model, args), site)
        if num_samples is None:
            draws: Iterable[dict[str, Tensor]] = [encode_with(run, model, guide, args).mean]
        else:
            draws = (draw_posterior(guide, args) for _ in range(num_samples))
        total = torch.zeros((), device=run.device)
        for latents in draws:
            sites = generate(run, model, len(args[0]), latents=latents, redraw=(name,), args=args)
            total = total + centre(sites[name]["fn"])
        return total / (num_samples or 1)


def require_positive(where: str, number: int) -> None:
    """Raises ValueError for what does not count anything."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(
            explain(where, expected="a positive whole number", got=repr(number), remedy="Try 16.")
        )


def _latents(run: Fit, sites: Structure, z: Any) -> tuple[dict[str, Tensor], int]:
    """The latents by site, checked against the model, and how many data they are for."""
    needed = [name for name, site in sites.latents.items() if "enumerate" not in site["infer"]]
    if not isinstance(z, Mapping):
        if len(needed) != 1:
            raise ValueError(
                explain(
                    "z",
                    expected=f"a value for each of the latent sites {needed}",
                    got="one value without a name",
                    remedy="Pass a mapping: {" + ", ".join(f"{name!r}: ..." for name in needed) + "}.",
                )
            )
        z = {needed[0]: z}
    for name in z:
        if name not in sites.latents:
            raise ValueError(
                explain(
                    f"z, site {name!r}",
                    expected=f"one of the model's latent sites {list(sites.latents)}",
                    got="an unknown name",
                    remedy=nearest(name, sites.latents),
                )
            )
    missing = [name for name in needed if name not in z]
    if missing:
        raise ValueError(
            explain(
                "z",
                expected=f"a value for each of the latent sites {needed}",
                got=f"none for {missing}",
                remedy="Pass all of them, or draw from the prior with pyrovae.predict.sample.",
            )
        )
    values = {name: _value(run, name, value) for name, value in z.items()}
    sizes = {name: len(v) for name, v in values.items() if v.ndim and sites.is_local(sites.latents[name])}
    size = next(iter(sizes.values()), 1)
    for name, value in values.items():
        _check_shape(name, value, sites.latents[name], sites.is_local(sites.latents[name]), size)
    return values, size


def _value(run: Fit, name: str, value: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(value, device=run.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            explain(
                f"z, site {name!r}",
                expected="a tensor or an array",
                got=type(value).__name__,
                remedy="Convert it with torch.as_tensor.",
            )
        ) from error
    return tensor.to(floating(run)) if tensor.is_floating_point() else tensor


def _check_shape(name: str, value: Tensor, site: Any, local: bool, size: int) -> None:
    shape = tuple(site["value"].shape)
    expected = (size, *shape[1:]) if local else shape
    if tuple(value.shape) == expected:
        return
    wanted = "(" + ", ".join(["n", *map(str, shape[1:])]) + ("," if len(shape) == 1 else "") + ")"
    if local and tuple(value.shape) == shape[1:]:
        remedy = "Add the batch dimension: z[None]."
    elif local and len(value.shape) and tuple(value.shape[1:]) == shape[1:]:
        remedy = f"All latents must be for the same {size} data."
    else:
        remedy = "Give it the shape of the prior's draws."
    raise ValueError(
        explain(
            f"z, site {name!r}",
            expected=f"shape {wanted if local else shape}",
            got=str(tuple(value.shape)),
            remedy=remedy,
        )
    )
