"""Log densities of one trace, for each datum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pyro.distributions.util import scale_and_mask
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor


def log_prob(site: Any, plate: str | None) -> tuple[Tensor, bool]:
    """The log density of a site, masks applied and scales not, and whether it is one for each datum.

    A mini-batch's scale and a KL weight are matters of training; the density of a datum knows neither.

    Returns: ``(n,)`` and True for a site inside the data's plate, else a scalar and False.
    """
    value = site["fn"].log_prob(site["value"], *site["args"], **site["kwargs"])
    value = scale_and_mask(value, 1.0, site["mask"])
    for frame in site["cond_indep_stack"]:
        if frame.vectorized and frame.name == plate:
            return value.movedim(frame.dim, 0).reshape(frame.size, -1).sum(-1), True
    return value.sum(), False


def log_weight(model: Iterable[Any], guide: Iterable[Any], plate: str | None) -> Tensor:
    r"""The log importance weight of one draw, :math:`\log p(x, z) - \log q(z \mid x)`, in nats.

    Arguments:
        model, guide: the sites of the model's trace, latents drawn by the guide, and of the guide's.

    Returns: ``(n,)``; a scalar, the sum over the data, where data share a latent or a joint posterior.
    """
    drawn = {site["name"] for site in guide}
    signed = [(1, log_prob(s, plate)) for s in model if s["is_observed"] or s["name"] in drawn]
    signed += [(-1, log_prob(s, plate)) for s in guide]
    if all(of_each for _, (_, of_each) in signed):
        return torch.stack([sign * value for sign, (value, _) in signed]).sum(0)
    return torch.stack([sign * value.sum() for sign, (value, _) in signed]).sum()


def sample_sites(trace: Any) -> list[Any]:
    """All sites of a trace that have a density: factors and the guide's auxiliary sites too, plates not."""
    return [
        site
        for site in trace.nodes.values()
        if site["type"] == "sample"
        and not isinstance(site["fn"], _Subsample)
        and not site["infer"].get("_deterministic", False)
    ]
