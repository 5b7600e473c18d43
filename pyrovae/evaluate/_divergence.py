"""KL(q || p) at a latent site: in closed form where that is right, from the samples elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from pyro.distributions import Delta, MaskedDistribution
from pyro.distributions.util import broadcast_shape
from torch import Tensor
from torch.distributions import Independent

from pyrovae import distributions
from pyrovae.distributions import has_closed_form
from pyrovae.evaluate._draw import Draw
from pyrovae.evaluate._pair import Pair, Site, holds


class Divergence(NamedTuple):
    """What one draw says of the divergence at one site.

    Attributes:
        value: nats, ``(particles, n)``.
        per_dimension: the same by elements of the latent, ``(particles, n, d)``; None where the distributions
            don't factorise over them.
        closed_form: whether each particle's value is an integral over the site, not a sample.
    """

    value: Tensor
    per_dimension: Tensor | None
    closed_form: bool


def divergence(draw: Draw, name: str) -> Divergence:
    r"""The divergence at a site of the guide, given the latents drawn before it.

    .. math::
        \mathrm{KL}\big(q(z_s \mid z_{<s}, x) \,\|\, p(z_s \mid z_{<s})\big)
        \quad\text{or}\quad \log q(z_s \mid z_{<s}, x) - \log p(z_s \mid z_{\neq s})

    The mean of either over the particles is right. The first needs a prior of :math:`z_s` that depends on
    nothing which the guide draws after it. A site that the model does not have (auxiliary, a factor) counts
    with its log-probability.
    """
    if name not in draw.pair.prior:
        return Divergence(draw.log_prob(draw.pair.posterior[name]), None, False)
    q, p = _Side.of(draw.pair.posterior[name]), _Side.of(draw.pair.prior[name])
    elementwise = q.elements is not None and p.elements is not None and q.fn.event_shape == p.fn.event_shape
    event_dim = q.fn.event_dim if elementwise else 0
    parts = (q.elements, p.elements) if elementwise else (q.fn, p.fn)
    exact = None
    if _same(q.mask, p.mask) and _in_order(draw.pair, name):
        exact = _closed_form(*parts)
    if exact is not None:
        rows = draw.axes.rows(_masked(exact, q.mask, event_dim), event_dim)
        return Divergence(rows.sum(-1), rows if elementwise else None, True)
    if elementwise:
        value = draw.pair.posterior[name]["value"]
        log_q, log_p = (_masked(side.elements.log_prob(value), side.mask, event_dim) for side in (q, p))
        rows = draw.axes.rows(log_q - log_p, event_dim)
        return Divergence(rows.sum(-1), rows, False)
    difference = draw.log_prob(draw.pair.posterior[name]) - draw.log_prob(draw.pair.prior[name])
    return Divergence(difference, None, False)


class _Side(NamedTuple):
    """A site's distribution without its masks, its elements where it factorises, and all masks in one."""

    fn: Any
    elements: Any
    mask: Tensor | None

    @classmethod
    def of(cls, site: Site) -> _Side:
        fn, masks = site["fn"], [site["mask"]]
        while isinstance(fn, MaskedDistribution):
            masks.append(fn._mask)
            fn = fn.base_dist
        mask = None
        for given in masks:
            if given is not None and given is not True:
                given = torch.as_tensor(given, device=site["value"].device)
                mask = given if mask is None else mask & given
        elements = fn
        while isinstance(elements, Independent):
            elements = elements.base_dist
        return cls(fn, None if elements.event_shape else elements, mask)


def _in_order(pair: Pair, name: str) -> bool:
    """Whether the guide has drawn, before a site, all that its prior may depend on."""
    before_in_model = list(pair.prior)[: list(pair.prior).index(name)]
    before_in_guide = list(pair.posterior)[: list(pair.posterior).index(name)]
    return set(before_in_model) <= set(before_in_guide)


def _same(mask: Tensor | None, other: Tensor | None) -> bool:
    if mask is None or other is None:
        return mask is other
    return bool((mask == other).all())


def _masked(values: Tensor, mask: Tensor | None, event_dim: int) -> Tensor:
    if mask is None:
        return values
    return torch.where(mask.reshape(mask.shape + (1,) * event_dim), values, values.new_zeros(()))


def _closed_form(q: Any, p: Any) -> Tensor | None:
    """KL(q || p) in the shape of both batches, or None where no formula is known."""
    # Pyro's formula for a Delta leaves its log_density out, and the sample is exact already; its formula for
    # masked distributions takes no notice of two masks that differ.
    if holds(q, (Delta, MaskedDistribution)) or holds(p, MaskedDistribution):
        return None
    if not has_closed_form(q, p):
        return None
    kl = distributions.divergence(q, p)
    return kl if kl.shape == broadcast_shape(q.batch_shape, p.batch_shape) else None
