"""The bound that a semi-amortized guide improves its guesses by: the model, run inside the guide."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import Normal

from pyrovae.distributions import divergence, has_closed_form
from pyrovae.distributions.unwrapping import family, unwrapped
from pyrovae.errors import explain
from pyrovae.guides._hidden_run import Itself, check_sites
from pyrovae.types import Distribution, Program


def bound(
    model: Program, posteriors: dict[str, Distribution], row: int, args: tuple[Any, ...], *, strict: bool
) -> Tensor:
    """An estimate of the evidence lower bound of a model, summed over the data.

    Arguments:
        posteriors: the guide's, by latent site.
        row: which point of each posterior is taken; opposite ones come in pairs.
        args: of the model.
        strict: whether to refuse networks other than those in Pyro's store.

    Raises:
        ValueError: by site, for latents that only one side has or that have no pathwise samples.
    """
    latents = {
        name: _point(name, posterior, site, row) for site, (name, posterior) in enumerate(posteriors.items())
    }
    with poutine.block(), Itself("SemiAmortized", strict=strict):
        trace = poutine.trace(poutine.condition(model, data=latents)).get_trace(*args)
    sites = {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site_is_subsample(site)
    }
    check_sites("SemiAmortized", set(latents), sites)
    terms: list[Tensor] = []
    for name, site in sites.items():
        fn: Any = site["fn"]
        term = fn.log_prob(site["value"])
        if name in latents:
            term = -_divergence(posteriors[name], site, term)
        # No scale: a plate's is the number of data that one stands for.
        terms.append(scale_and_mask(term, mask=site["mask"]).sum())
    return functools.reduce(torch.add, terms)


def _point(name: str, posterior: Any, site: int, row: int) -> Tensor:
    """A point of a posterior, ``(n, ...)``: of a normal one a scale off the loc, of others random."""
    if not posterior.has_rsample:
        raise ValueError(
            explain(
                f"SemiAmortized, site {name!r}",
                expected="a posterior with pathwise samples, of which a bound has gradients",
                got=family(posterior),
                remedy="Take a normal head, or guides.Amortized, for a discrete latent.",
            )
        )
    base = unwrapped(posterior)
    if not isinstance(base, Normal):
        sample: Tensor = posterior.rsample()
        return sample
    event = posterior.event_shape
    signs = torch.tensor(_signs(site, row, math.prod(event)), dtype=base.loc.dtype, device=base.loc.device)
    return base.loc + base.scale * signs.reshape(event)


@functools.lru_cache(maxsize=1024)
def _signs(site: int, row: int, size: int) -> list[float]:
    """Random signs, the same at every call; those of an odd row are opposite to the row's before."""
    signs = np.random.default_rng([site, row // 2]).choice([-1.0, 1.0], size)
    opposed: list[float] = (signs if row % 2 == 0 else -signs).tolist()
    return opposed


def _divergence(posterior: Any, site: Any, log_prior: Tensor) -> Tensor:
    """KL(q || p) given the latents before the site, or the sample's log-ratio where no formula is known."""
    if has_closed_form(posterior, site["fn"]):
        return divergence(posterior, site["fn"])
    return posterior.log_prob(site["value"]) - log_prior


def clipped(gradients: tuple[Tensor, ...], most: float) -> tuple[Tensor, ...]:
    """Gradients no longer than ``most`` for any datum, all sites together."""
    squares = [gradient.flatten(1).square().sum(-1) for gradient in gradients]
    # The root of exactly 0 has no second derivative.
    norm = functools.reduce(torch.add, squares).clamp(min=1e-12 * most**2).sqrt()
    shrink = (most / norm).clamp(max=1)
    return tuple(gradient * shrink.reshape(-1, *[1] * (gradient.ndim - 1)) for gradient in gradients)
