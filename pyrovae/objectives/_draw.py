"""One draw from the guide, the model run against it: the latent sites, and the terms of the bound."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.objectives._marginal import marginalised
from pyrovae.objectives._read import (
    NOTE,
    PARTICLES,
    Reader,
    check_dimensions,
    check_names,
    data_plate,
    sites_of,
)
from pyrovae.objectives._terms import Expectation, Latent, Layout, Plate, Term
from pyrovae.objectives.estimators import Estimator, Setting
from pyrovae.types import Program

Choice = tuple[Estimator, str]
Choose = Callable[[str, Any, dict[str, Any]], Choice]
"""The estimator of a site, and why, from its name, its distribution and its ``infer``."""

_DATA = "x"
"""The observed site that holds the data."""


@dataclass(frozen=True)
class Draw:
    """What one run of a pair came to.

    Attributes:
        latents: the guide's sites, in its order.
        likelihood: the terms of the observed sites, and of sites that are summed out of the model.
        priors, posteriors: ``log p`` and ``-log q`` of the latent sites, by name.
        layout: which dimensions are whose.
        data: the data plate, or None where there is none around all sites.
        factors: what the guide observes, counted to ``-log q``.
        args: what the programs were called with.
    """

    latents: list[Latent]
    likelihood: list[Term]
    priors: dict[str, Term]
    posteriors: dict[str, Term]
    layout: Layout
    data: Plate | None
    args: tuple[Any, ...]
    factors: tuple[Term, ...] = ()

    @functools.cached_property
    def expectation(self) -> Expectation:
        """Over what is enumerated in the guide."""
        return Expectation(self.latents, self.layout)

    @property
    def terms(self) -> list[Term]:
        """All of log p(x, z) - log q(z | x)."""
        return [*self.likelihood, *self.priors.values(), *self.posteriors.values(), *self.factors]

    @functools.cached_property
    def size(self) -> int:
        """How many data there are; 1 without a data plate."""
        if self.data is None:
            return 1
        return max(term.value.shape[self.data.dim] for term in self.terms if self.data in term.plates)

    @functools.cached_property
    def count(self) -> float | Tensor:
        """How many data the sum of the terms speaks for: their number, times the scale of their plate."""
        inside = [term for term in self.likelihood if self.data in term.plates] or self.likelihood
        # Other observed sites, such as a weighed classification loss, may have scales of their own.
        named = [term for term in inside if term.name == _DATA] or inside
        scale = named[0].scale if named else 1.0
        if isinstance(scale, Tensor) and scale.numel() > 1:
            return scale.expand(torch.broadcast_shapes(scale.shape, (self.size,))).mean() * self.size
        return scale * self.size

    def check_local(self, objective: str) -> None:
        """Refuses sites outside the data plate, where a bound for each datum is asked for.

        Raises:
            ValueError: by site.
        """
        for term in self.terms:
            if self.data not in term.plates and (self.data is not None or self._plated):
                raise ValueError(
                    explain(
                        f"site {term.name!r}",
                        expected=f"to be inside the data plate, for {objective}: a bound for each datum",
                        got="one outside, as what all data share, or one in a plate of its own",
                        remedy="Make it a parameter, or use ELBO, which takes sites of either kind.",
                    )
                )

    @functools.cached_property
    def _plated(self) -> bool:
        return any(term.plates for term in self.terms)

    def rows(self, value: Tensor, plates: frozenset[Plate]) -> Tensor:
        """A term as ``(particles, n)``: its expectation, every plate but the data's summed."""
        keep = plates & {self.data}
        value = self.layout.sum_plates(self.expectation(value, plates), keep=keep)
        value = value.reshape(value.shape[self.layout.dim :]) if value.dim() > -self.layout.dim else value
        if self.data is not None:
            value = value.movedim(self.data.dim, -1)
        return value.reshape(value.shape[0], -1)


class _Estimating(Messenger):
    """Draws each latent site of the guide as its estimator says."""

    def __init__(self, choose: Choose, step: Tensor) -> None:
        super().__init__()
        self.choose, self.step = choose, step

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or msg["done"] or isinstance(msg["fn"], _Subsample):
            return
        infer = {key: value for key, value in msg["infer"].items() if key != "enumerate"}
        estimator, why = self.choose(msg["name"], msg["fn"], msg["infer"])
        drawn = estimator.draw(msg["fn"], Setting(msg["name"], self.step, infer))
        msg["infer"] = {**infer, NOTE: (estimator, why, drawn)}
        if drawn.value is not None:
            msg["value"], msg["done"] = drawn.value, True


class _Enumerating(EnumMessenger):
    """Pyro's, which passes over values that are there already; ``pyro.markov`` must hear of them too."""

    def _pyro_sample(self, msg: Any) -> None:
        given = msg["done"] and not msg["is_observed"]
        if given:
            msg["done"], msg["is_observed"] = False, True
        super()._pyro_sample(msg)
        if given:
            msg["done"], msg["is_observed"] = True, False


def draw(
    model: Program,
    guide: Program,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    layout: Layout,
    vectorised: bool,
    choose: Choose,
    step: Tensor,
) -> Draw:
    """Draws particles from the guide and runs the model against them.

    Arguments:
        layout: how deep the plates are, and how many particles are wanted.
        vectorised: all particles in one run, in an outermost plate; otherwise one run each.
        choose: the estimator of each site.
        step: the number of steps taken, for schedules.

    Raises:
        ValueError: by site, for a pair that doesn't fit.
    """
    if not vectorised and layout.particles > 1:
        single = Layout(layout.nesting, 1)
        runs = [
            draw(model, guide, args, kwargs, layout=single, vectorised=True, choose=choose, step=step)
            for _ in range(layout.particles)
        ]
        return _stacked(runs, layout)
    inside = _in_plate(layout)
    with _Enumerating(first_available_dim=layout.dim - 1):
        guide_trace = poutine.trace(_handled(inside(guide), _Estimating(choose, step))).get_trace(
            *args, **kwargs
        )
    # The model's own enumeration goes on to the left of the guide's.
    replayed = poutine.replay(_Enumerating()(inside(model)), trace=guide_trace)
    model_trace = poutine.trace(replayed).get_trace(*args, **kwargs)
    return _read(guide_trace, model_trace, layout, args)


def _handled(program: Program, handler: Messenger) -> Program:
    def run(*args: Any, **kwargs: Any) -> Any:
        with handler:
            return program(*args, **kwargs)

    return run


def _in_plate(layout: Layout) -> Callable[[Program], Program]:
    if layout.particles == 1:
        return lambda program: program

    def inside(program: Program) -> Program:
        def run(*args: Any, **kwargs: Any) -> Any:
            with pyro.plate(PARTICLES, layout.particles, dim=layout.dim):
                return program(*args, **kwargs)

        return run

    return inside


def _stacked(runs: list[Draw], layout: Layout) -> Draw:
    """Runs of one particle each as one draw of many."""

    def stack(terms: list[Term]) -> Term:
        first = terms[0]
        value = torch.cat(torch.broadcast_tensors(*(t.value for t in terms)), layout.dim)
        return Term(first.name, first.kind, value, first.scale, first.plates, first.places)

    def latent(copies: list[Latent]) -> Latent:
        if copies[0].estimator.is_cut and copies[0].drawn.path is not None:
            raise ValueError(
                explain(
                    f"site {copies[0].name!r}, {copies[0].estimator!r}",
                    expected="vectorised particles",
                    got="vectorize_particles=False",
                    remedy="Use Pathwise() there, or one particle.",
                )
            )
        log_q = torch.cat([copy.log_q for copy in copies], layout.dim)
        return dataclasses.replace(copies[0], log_q=log_q, runs=tuple(copies))

    first = runs[0]
    return Draw(
        latents=[latent([run.latents[i] for run in runs]) for i in range(len(first.latents))],
        likelihood=[stack([run.likelihood[i] for run in runs]) for i in range(len(first.likelihood))],
        priors={name: stack([run.priors[name] for run in runs]) for name in first.priors},
        posteriors={name: stack([run.posteriors[name] for run in runs]) for name in first.posteriors},
        layout=layout,
        data=first.data,
        args=first.args,
        factors=tuple(stack([run.factors[i] for run in runs]) for i in range(len(first.factors))),
    )


def _read(guide_trace: Any, model_trace: Any, layout: Layout, args: tuple[Any, ...]) -> Draw:
    guide_sites, model_sites = sites_of(guide_trace), sites_of(model_trace)
    check_names(guide_sites, model_sites)
    reader = Reader(layout, guide_sites, model_sites)
    latents = [reader.latent(name) for name in reader.latents]
    check_dimensions(latents)
    posteriors = {latent.name: reader.posterior(latent) for latent in latents}
    values = {name: reader.log_p(name) for name in model_sites}
    marginals: list[Term] = []
    summed = {n: site for n, site in model_sites.items() if not site["is_observed"] and n not in guide_sites}
    if summed:
        marginals, involved = marginalised(guide_trace, model_trace, values, summed, layout)
        values = {name: value for name, value in values.items() if name not in involved}
    stated = {
        name: reader.term(name, "prior" if name in reader.latents else "likelihood", value, model_sites[name])
        for name, value in values.items()
    }
    priors = {name: term for name, term in stated.items() if term.kind == "prior"}
    observed = [term for term in stated.values() if term.kind == "likelihood"]
    everything = [*guide_sites.values(), *model_sites.values()]
    return Draw(
        latents,
        [*observed, *marginals],
        priors,
        posteriors,
        layout,
        data_plate(everything),
        args,
        tuple(reader.factors()),
    )
