"""The model, run inside a guide and hidden from all that is around: its log density at given latents."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _DIM_ALLOCATOR, _PYRO_STACK
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.errors import explain
from pyrovae.types import Program


def log_joint(
    guide: str, model: Program, latents: dict[str, Tensor], args: tuple[Any, ...], *, strict: bool
) -> Tensor:
    """log p(x, z) of a model, summed over the data and all that stands to their left.

    Masks count; scales don't, for a plate's is the number of data that one stands for.

    Arguments:
        guide: who asks, for messages.
        latents: the values of all latent sites, ``(..., n, d)``.
        args: of the model.
        strict: whether to refuse networks other than those in Pyro's store.

    Raises:
        ValueError: by site, for latents that only one side has; by parameter, for another network than the
            one that is trained.
    """
    with _apart(), Itself(guide, strict=strict):
        trace = poutine.trace(poutine.condition(model, data=latents)).get_trace(*args)
    sites: dict[str, Any] = {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not site_is_subsample(site)
    }
    check_sites(guide, set(latents), sites)
    terms = [
        scale_and_mask(site["fn"].log_prob(site["value"]), mask=site["mask"]).sum() for site in sites.values()
    ]
    return functools.reduce(torch.add, terms)


@contextmanager
def _apart() -> Iterator[None]:
    """No handler of Pyro's around, and no plate open: a program inside a plate may open one of that name."""
    handlers, plates = list(_PYRO_STACK), list(_DIM_ALLOCATOR._stack)
    _PYRO_STACK.clear()
    _DIM_ALLOCATOR._stack.clear()
    try:
        yield
    finally:
        _PYRO_STACK[:] = handlers
        _DIM_ALLOCATOR._stack[:] = plates


class Itself(Messenger):
    """Lets a network in the hidden run be itself, whatever Pyro's store keeps under its name.

    Arguments:
        guide: who asks.
        strict: whether to refuse a network other than the store's: the one that is trained.
    """

    def __init__(self, guide: str, *, strict: bool) -> None:
        super().__init__()
        self.guide, self.strict = guide, strict

    def _pyro_param(self, msg: Any) -> None:
        name, *given = msg["args"]
        constraint = msg["kwargs"].get("constraint", constraints.real)
        if not (given and isinstance(given[0], nn.Parameter) and constraint is constraints.real):
            return
        trained = pyro.get_param_store()._params.get(name, given[0])
        if self.strict and trained is not given[0]:
            raise ValueError(
                explain(
                    f"{self.guide}, parameter {name!r}",
                    expected="the model that is trained",
                    got="another one of the same names",
                    remedy="Write guide.model = model, or start anew with pyro.clear_param_store().",
                )
            )
        msg["value"], msg["done"] = given[0], True


def check_sites(guide: str, latents: set[str], sites: dict[str, Any]) -> None:
    own = {name for name, site in sites.items() if not site["is_observed"]}
    for name in sorted(own | (latents - set(sites))):
        raise ValueError(
            explain(
                f"{guide}, site {name!r}",
                expected=f"the same latent sites on both sides; the guide has {sorted(latents)}",
                got="a site of the model's alone" if name in own else "a site of the guide's alone",
                remedy="The guide and its model must sample the same latents.",
            )
        )
