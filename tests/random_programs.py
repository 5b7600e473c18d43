"""Small random programs: a list of sites, drawn by hypothesis and interpreted as a model and its guide."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from hypothesis import strategies as st
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO, TraceEnum_ELBO
from torch import Tensor
from torch.nn.functional import softplus

CONTINUOUS = ("normal", "gamma", "beta", "lognormal", "mvn")
DISCRETE = ("bernoulli", "categorical")
SIZES = {"outer": 4, "inner": 3}
_DIMS = {"outer": -2, "inner": -1}


class Site(NamedTuple):
    """A latent choice.

    Attributes:
        kind: of its distribution.
        depth: how many plates it is in.
        parents: which earlier sites it depends on.
        shared: it depends on the parameter that model and guide share.
        mask, scale: the handlers around it, in both programs.
        enumerate: "parallel" or "sequential" in the guide, "model" where it is summed out; of discrete ones.
    """

    kind: str
    depth: int
    parents: tuple[int, ...]
    shared: bool
    mask: str | None
    scale: float | None
    enumerate: str | None


class Program(NamedTuple):
    """A pair: its latent sites, the kind of what is observed, and how its objective is estimated.

    Attributes:
        subsample: how many of the outer and of the inner plate are looked at, None for all.
        particles: how many, and whether vectorised.
    """

    sites: tuple[Site, ...]
    observed: str
    subsample: tuple[int | None, int | None]
    particles: tuple[int, bool]


@st.composite
def programs(draw: Callable[..., Any], enumerated: bool = False) -> Program:
    """Programs; with ``enumerated`` those with discrete sites, at least one, that are summed out."""
    count = draw(st.integers(1, 3))
    first = draw(st.integers(0, count - 1)) if enumerated else -1
    sites: list[Site] = []
    for i in range(count):
        kind = draw(st.sampled_from(DISCRETE if i == first else CONTINUOUS + DISCRETE))
        how = None
        if enumerated and kind in DISCRETE:
            how = draw(st.sampled_from(("parallel", "sequential", "model")))
        # Outer plates first, or independence within them is lost.
        depth = draw(st.integers(sites[-1].depth if sites else 0, 2))
        sites.append(
            Site(
                kind=kind,
                depth=depth,
                parents=tuple(k for k in range(i) if draw(st.booleans())),
                shared=draw(st.booleans()),
                mask=draw(st.sampled_from((None, None, "all", "some"))),
                # Pyro wants one scale for all sites that are summed out together.
                scale=None if enumerated else draw(st.sampled_from((None, None, 0.5))),
                enumerate=how,
            )
        )
    subsample = (
        (None, None)
        if enumerated
        else (
            draw(st.sampled_from((None, None, 2))),
            draw(st.sampled_from((None, None, 2))),
        )
    )
    particles = draw(st.sampled_from(((1, False), (2, False), (2, True))))
    return Program(tuple(sites), draw(st.sampled_from(("normal", "bernoulli"))), subsample, particles)


def objective(program: Program) -> Any:
    """The ELBO of a program."""
    number, vectorized = program.particles
    kind = TraceEnum_ELBO if any(site.enumerate for site in program.sites) else Trace_ELBO
    return kind(num_particles=number, vectorize_particles=vectorized, max_plate_nesting=2)


def interpreted(program: Program) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The model and the guide, functions of the data, ``(outer, inner)``."""

    def model(x: Tensor) -> None:
        plates = _plates(program)
        free = pyro.param("scale", x.new_tensor(0.7), constraint=constraints.positive)
        values = _latents(program, plates, x, "model")
        # What hangs on a choice in subsampled plates is looked at in the same ones.
        with ExitStack() as stack:
            indices = [stack.enter_context(plate) for plate in plates]
            t = sum((_summary(site, value) for site, value in zip(program.sites, values, strict=True)), 0.1)
            seen = x[indices[0]][:, indices[1]]
            if program.observed == "normal":
                pyro.sample("x", dist.Normal(t, free), obs=seen)
            else:
                pyro.sample("x", dist.Bernoulli(logits=t * free), obs=(seen > 0.0).to(x.dtype))

    def guide(x: Tensor) -> None:
        _latents(program, _plates(program), x, "guide")

    return model, guide


def _plates(program: Program) -> list[Any]:
    return [
        pyro.plate(name, size, subsample_size=subsample, dim=_DIMS[name])
        for (name, size), subsample in zip(SIZES.items(), program.subsample, strict=True)
    ]


def _latents(program: Program, plates: list[Any], x: Tensor, side: str) -> list[Tensor | None]:
    values: list[Tensor | None] = []
    for i, site in enumerate(program.sites):
        if side == "guide" and site.enumerate == "model":
            values.append(None)
            continue
        t = pyro.param(f"{side}{i}", x.new_tensor(0.2 * (i + 1)))
        if site.shared:
            t = t + pyro.param("shared", x.new_tensor(0.3)) * (2.0 if side == "guide" else 1.0)
        if side == "guide":
            t = t + 0.1 * x.mean()
        for k in site.parents:
            t = t + 0.5 * _summary(program.sites[k], values[k])
        with ExitStack() as stack:
            for plate in plates[: site.depth]:
                stack.enter_context(plate)
            if site.mask is not None:
                mask = torch.tensor(True) if site.mask == "all" else _some(plates[: site.depth])
                stack.enter_context(poutine.mask(mask=mask))
            if site.scale is not None:
                stack.enter_context(poutine.scale(scale=site.scale))
            values.append(pyro.sample(f"z{i}", _distribution(site.kind, t), infer=_infer(site, side)))
    return values


def _infer(site: Site, side: str) -> dict[str, str]:
    if site.enumerate == "model":
        return {"enumerate": "parallel"} if side == "model" else {}
    return {"enumerate": site.enumerate} if site.enumerate and side == "guide" else {}


def _some(plates: list[Any]) -> Tensor:
    """Masks the first of the innermost plate out."""
    if not plates:
        return torch.tensor(False)
    mask = torch.ones(plates[-1].subsample_size, dtype=torch.bool)
    mask[0] = False
    return mask.reshape(-1, 1) if len(plates) == 1 else mask


def _distribution(kind: str, t: Tensor) -> Any:
    one = t.new_ones(())
    if kind == "normal":
        return dist.Normal(t, softplus(t) + 0.5)
    if kind == "gamma":
        return dist.Gamma(softplus(t) + 1.0, 1.5 * one)
    if kind == "beta":
        return dist.Beta(softplus(t) + 1.0, 2.0 * one)
    if kind == "lognormal":
        return dist.LogNormal(t.tanh(), 0.5 * one)
    if kind == "mvn":
        tril = torch.tensor([[1.0, 0.0], [0.4, 0.8]], dtype=t.dtype)
        return dist.MultivariateNormal(
            torch.stack([t, -t], -1), scale_tril=tril * (softplus(t) + 0.5)[..., None, None]
        )
    if kind == "bernoulli":
        return dist.Bernoulli(logits=t)
    return dist.Categorical(logits=torch.stack([t, torch.zeros_like(t), -t], -1))


def _summary(site: Site, value: Tensor | None) -> Any:
    """A number of moderate size for what a site has drawn."""
    if value is None:
        return 0.0
    if site.kind == "mvn":
        value = value.sum(-1)
    return 0.5 * value.double() if site.kind in DISCRETE else value.tanh()
