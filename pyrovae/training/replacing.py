"""A fitted pair with another prior in place of its own; the pair that it was made from stays as it is."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyro
from pyro.infer.autoguide import AutoGuide
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovae.covariates import asked
from pyrovae.errors import explain
from pyrovae.training.fitted import Fit
from pyrovae.training.parameters import Parameters, networks
from pyrovae.types import Distribution, Program


class Replaced(NamedTuple):
    """A pair with a new prior.

    Attributes:
        run: the pair; its history and configuration are still those of the old one.
        prior: its prior, a copy of the one that was given.
        free: the parameters of the prior that nothing else in the pair has a use for.
    """

    run: Fit
    prior: nn.Module
    free: list[Tensor]


def with_prior(run: Fit, prior: nn.Module, site: str, *, alone: bool) -> Replaced:
    """A pair whose latent ``site`` has another prior.

    Modules are copied, and what they share stays shared. Plain functions can't be: the new pair calls them,
    and has the networks of their closures in common with the old one.

    Arguments:
        alone: whether the site is the model's only latent. Then an attribute ``prior`` of the model is what
            it is drawn from, and is replaced; otherwise the site's distribution is, whenever the model runs.

    Raises:
        ValueError: for a prior that asks for covariates, where the model doesn't pass them on.
    """
    memo = _kept(run)
    model, guide = (
        copy.deepcopy(program, memo) if isinstance(program, nn.Module) else program
        for program in (run.model, run.guide)
    )
    new = copy.deepcopy(prior, memo).to(run.device)
    if alone and isinstance(model, nn.Module) and callable(getattr(model, "prior", None)):
        model.prior = new
        used = {id(p) for name, p in _named(model, guide) if not name.startswith("model.prior.")}
    elif asked(new, 0):
        raise ValueError(
            explain(
                "fit_prior, prior",
                expected="a prior without covariates: nothing in this model would pass them on",
                got=f"one that asks for {asked(new, 0)}",
                remedy="Take a model with an attribute prior that is given them, as models.VAE.",
            )
        )
    else:
        used = {id(p) for _, p in _named(model, guide)}
        model = _drawing(model, new, site)
    free: list[Tensor] = [p for p in new.parameters() if p.requires_grad and id(p) not in used]
    pair = Fit(model, guide, parameters=_store(run, site), history=run.history, config=run.config)
    return Replaced(pair, new, free)


def _kept(run: Fit) -> dict[int, Any]:
    """What isn't copied along with the modules, as deepcopy's memo."""
    memo: dict[int, Any] = {}
    for net in networks(run.model, run.guide).values():
        if net is not run.model and net is not run.guide:
            memo |= {id(part): part for part in (*net.modules(), *net.parameters())}
    if isinstance(run.guide, AutoGuide):
        # It remembers a run of its model, with tensors in the midst of a graph, for their shapes alone.
        memo[id(run.guide.prototype_trace)] = run.guide.prototype_trace
    return memo


def _store(run: Fit, site: str) -> Parameters:
    """What of Pyro's store goes over as it is: no parameter of a copied module, none of a prior before.

    A module's are named again when it runs, and the new prior may have the old one's names.
    """
    modules = (program for program in (run.model, run.guide) if isinstance(program, nn.Module))
    copied = {id(parameter) for module in modules for parameter in module.parameters()}
    store = run.parameters.unconstrained()
    parameters = Parameters()
    for kind, entries in run.parameters.state.items():
        parameters.state[kind] = {
            name: entry
            for name, entry in entries.items()
            if id(store[name]) not in copied and not name.startswith(f"{_name(site)}$$$")
        }
    return parameters


def _named(model: Program, guide: Program) -> Iterator[tuple[str, Tensor]]:
    """All parameters of the pair's modules, under each of their names."""
    for where, net in networks(model, guide).items():
        yield from net.named_parameters(prefix=where, remove_duplicate=False)


def _name(site: str) -> str:
    """Under which Pyro's store knows a prior that a model draws a site from."""
    return f"prior_of_{site}"


def _drawing(model: Program, prior: nn.Module, site: str) -> Program:
    """The program with one of its latents drawn from a prior."""
    if getattr(model, "drawn_anew", None) == site:
        model = model.original  # type: ignore[attr-defined]

    @functools.wraps(model.forward if isinstance(model, nn.Module) else model)
    def program(*args: Any, **kwargs: Any) -> Any:
        pyro.module(_name(site), prior)
        with _DrawnFrom(site, prior()):
            return model(*args, **kwargs)

    program.drawn_anew, program.original = site, model  # type: ignore[attr-defined]
    for name in ("covariates", "takes_missing"):
        if hasattr(model, name):
            setattr(program, name, getattr(model, name))
    return program


class _DrawnFrom(Messenger):
    """Gives a latent site another distribution."""

    def __init__(self, site: str, fn: Distribution) -> None:
        super().__init__()
        self.site, self.fn = site, fn

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == self.site and not msg["is_observed"]:
            # The plates inside of the program have broadcast it already; those outside are still to come.
            msg["fn"] = self.fn.expand(msg["fn"].batch_shape)
