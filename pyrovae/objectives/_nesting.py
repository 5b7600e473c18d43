"""How deep the plates of a pair are nested, found out by a run."""

from __future__ import annotations

from typing import Any

from pyro import poutine

from pyrovae.objectives._read import frames_of, sites_of
from pyrovae.types import Program


def nesting_of(model: Program, guide: Program, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How many dimensions the plates take up; the batch dimensions that no plate declares don't count."""
    guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
    model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs)
    sites = [*sites_of(guide_trace).values(), *sites_of(model_trace).values()]
    return max((-frame.dim for site in sites for frame in frames_of(site)), default=0)
