"""New data: from the prior, or from the posterior of data that are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyrovae.predict.centre import centre
from pyrovae.predict.decoding import require_positive
from pyrovae.predict.programs import as_batch, draw_posterior, generate, observed_site, ready, structure
from pyrovae.training.fitted import Fit


def sample(run: Fit, size: int, *, mean: bool = False, seed: int = 0, site: str | None = None) -> Tensor:
    r"""Draws from the prior predictive, :math:`z \sim p(z),\ x \sim p(x \mid z)`.

    Arguments:
        size: how many data, n.
        mean: the likelihood's mean at each prior draw in place of a draw from it: smoother pictures.
        seed: of the draws.
        site: which observed site; by default the only one, or ``"x"`` among several. The same seed draws the
            same data, so that two calls give two sites of one joint draw.

    Returns: ``(size, ...)``.

    Raises:
        ValueError: not a positive size, an unknown site, a model that needs data of unknown shape to run.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> sample(pv.Fit(model, guide), 3, seed=1).unique()
        tensor([0., 1.])
    """
    require_positive("size", size)
    with ready(run, seed) as (model, _):
        sites = structure(run, model, None)
        name = observed_site(sites, site)
        drawn = generate(run, model, size, latents={}, redraw=tuple(sites.observed))[name]
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
