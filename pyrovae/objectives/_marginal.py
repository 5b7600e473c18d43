"""Finite sites that only the model has, summed out of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from pyro.infer.util import is_validation_enabled
from pyro.ops import packed
from pyro.ops.contract import contract_tensor_tree
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.objectives._read import Site, as_mask, frames_of, plates_of, sites_of
from pyrovae.objectives._terms import Layout, Term, alike


def marginalised(
    guide_trace: Any,
    model_trace: Any,
    values: dict[str, Tensor],
    summed: dict[str, Site],
    layout: Layout,
) -> tuple[list[Term], set[str]]:
    """Sums finite sites out of the model: the terms that come of it, and the sites that they stand for.

    .. math:: \\log p(x, z) = \\log \\sum_y p(y)\\, p(x, z \\mid y)

    by Pyro's contraction of factors, which takes plates and ``pyro.markov`` into account.
    """
    # Statements of plates may stand in a mask, and have no density to pack.
    guide_trace, model_trace = prune_subsample_sites(guide_trace), prune_subsample_sites(model_trace)
    sites = sites_of(model_trace)
    for name, site in sites.items():
        mask = as_mask(site["mask"], values[name].device)
        value = values[name]
        if mask is not None and name not in summed:
            # The probabilities of what is summed out add up to one, masked or not.
            value = torch.where(mask, value, 0.0)
        site["log_prob"] = site["unscaled_log_prob"] = value
    guide_trace.pack_tensors()
    model_trace.pack_tensors(guide_trace.plate_to_symbol)
    symbols = {site["infer"]["_enumerate_symbol"] for site in summed.values()}
    factors: OrderedDict[frozenset[str], list[Tensor]] = OrderedDict()
    frames = {
        model_trace.plate_to_symbol[frame.name]: frame for site in sites.values() for frame in frames_of(site)
    }
    involved: dict[str, Site] = {}
    for name, site in sites.items():
        value = site["packed"]["log_prob"]
        if name in summed or not symbols.isdisjoint(value._pyro_dims):
            involved[name] = site
            ordinal = frozenset(model_trace.plate_to_symbol[frame.name] for frame in frames_of(site))
            factors.setdefault(ordinal, []).append(value)
    scale = _common_scale(involved)
    reduced = contract_tensor_tree(factors, symbols)
    terms = []
    for ordinal, tensors in reduced.items():
        around = tuple(frames[symbol] for symbol in ordinal)
        for tensor in tensors:
            value = packed.unpack(tensor, model_trace.symbol_to_dim)
            dims = frozenset(range(-value.dim(), 0))
            value = layout.lay(value, around, ", ".join(summed), dims)
            terms.append(Term(", ".join(summed), "marginal", value, scale, plates_of(around), (-1, -1)))
    return terms, set(involved)


def _common_scale(sites: dict[str, Site]) -> float | Tensor:
    """The scale of all sites that are summed together, which must be one and the same.

    Raises:
        ValueError: by site, where they differ.
    """
    scales = {name: site["scale"] for name, site in sites.items()}
    first = next(iter(scales.values()))
    for name, scale in scales.items():
        tensors = isinstance(scale, Tensor) or isinstance(first, Tensor)
        # Values of tensors are read where programs are validated, and not in a captured step.
        differs = (is_validation_enabled() and not alike(scale, first)) if tensors else scale != first
        if differs:
            raise ValueError(
                explain(
                    f"model, site {name!r}",
                    expected="the scale of the other sites that are summed out with it",
                    got="another one",
                    remedy="Scale them alike, or not at all.",
                )
            )
    return first
