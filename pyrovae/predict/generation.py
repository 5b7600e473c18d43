"""New data: from the prior, or from the posterior of data that are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.predict.centre import centre
from pyrovae.predict.decoding import require_positive
from pyrovae.predict.programs import (
    as_batch,
    draw_posterior,
    floating,
    generate,
    observed_site,
    ready,
    structure,
)
from pyrovae.training.fitted import Fit


def sample(
    run: Fit,
    size: int,
    *,
    given: Tensor | Sequence[Tensor] = (),
    mean: bool = False,
    seed: int = 0,
    site: str | None = None,
) -> Tensor:
    r"""Draws from the prior predictive, :math:`z \sim p(z),\ x \sim p(x \mid z)`.

    Arguments:
        size: how many data, n.
        given: the covariates of a conditional model, what follows ``x`` among its arguments, ``(size, ...)``.
        mean: the likelihood's mean at each prior draw in place of a draw from it: smoother pictures.
        seed: of the draws.
        site: which observed site; by default the only one, or ``"x"`` among several. The same seed draws the
            same data, so that two calls give two sites of one joint draw.

    Returns: ``(size, ...)``.

    Raises:
        ValueError: not a positive size, covariates of another length, an unknown site, a model that needs
            data of unknown shape to run.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> sample(pv.Fit(model, guide), 3, seed=1).unique()
        tensor([0., 1.])
    """
    require_positive("size", size)
    covariates = _covariates(run, size, given)
    with ready(run, seed) as (model, _):
        sites = structure(run, model, None, covariates)
        name = observed_site(sites, site)
        redraw = tuple(sites.observed)
        drawn = generate(run, model, size, latents={}, redraw=redraw, given=covariates)[name]
        return centre(drawn["fn"]) if mean else drawn["value"].detach()


def posterior_predictive(
    run: Fit, x: Any, *, num_samples: int = 100, seed: int = 0, site: str | None = None
) -> Tensor:
    r"""New data like given ones, :math:`z_s \sim q(z \mid x),\ x'_s \sim p(x \mid z_s)`.

    The data go to the guide and never to the likelihood: what comes back is drawn, not ``x`` itself.

    Arguments:
        x: data ``(n, ...)``, as for :func:`encode`. Labels and covariates in a tuple stay as given, unless
            they are the site that is asked for.
        num_samples: draws of each datum, S.
        seed: of the draws.
        site: which observed site; by default the only one, or ``"x"`` among several.

    Returns: ``(num_samples, n, ...)``.

    Raises:
        ValueError, TypeError: data that the programs can't take, an unknown site, no samples.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> posterior_predictive(pv.Fit(model, guide), torch.zeros(3, 64), num_samples=5).shape
        torch.Size([5, 3, 64])
    """
    require_positive("num_samples", num_samples)
    args = run.arguments(as_batch(run, x, seed=seed))
    with ready(run, seed) as (model, guide):
        name = observed_site(structure(run, model, args), site)
        draws = []
        for _ in range(num_samples):
            latents = draw_posterior(guide, args)
            sites = generate(run, model, len(args[0]), latents=latents, redraw=(name,), args=args)
            draws.append(sites[name]["value"].detach())
        return torch.stack(draws)


def _covariates(run: Fit, size: int, given: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    found = (given,) if isinstance(given, Tensor) else tuple(given)
    for tensor in found:
        if not isinstance(tensor, Tensor) or tensor.ndim == 0 or len(tensor) != size:
            raise ValueError(
                explain(
                    "given",
                    expected=f"covariates of {size} data, tensors ({size}, ...)",
                    got=str(tuple(tensor.shape)) if isinstance(tensor, Tensor) else type(tensor).__name__,
                    remedy="One row for each datum to draw.",
                )
            )
    dtype = floating(run)
    return tuple(t.to(run.device, dtype if t.is_floating_point() else t.dtype) for t in found)
