"""How the two programs of a run are run for prediction: on which arguments, with which sites drawn anew.

A model of the house's convention generates by ``model(size=n)``. Any other Pyro model is run on data (the
ones at hand, or zeros of a datum's shape), and its observed sites are drawn as if they were not observed.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

import torch
from pyro import poutine
from pyro.distributions import Unit
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor, nn

from pyrovae.data.memory import Data
from pyrovae.errors import explain, nearest
from pyrovae.predict.centre import centre
from pyrovae.randomness import isolated
from pyrovae.training.fitted import Fit
from pyrovae.training.parameters import networks, takes_missing
from pyrovae.types import Batch, Program

Sites: TypeAlias = dict[str, Any]
"""The sample sites of a trace by name, in the program's order."""


class Structure(NamedTuple):
    """What a model is made of, as one run of it on data shows.

    Attributes:
        latents, observed: the sites, with values of one datum where the model takes any number of data.
        plate: the name of the plate around the data; None for a model without plates.
        size: how many data were in that run.
    """

    latents: Sites
    observed: Sites
    plate: str | None
    size: int

    def is_local(self, site: Any) -> bool:
        """Whether each datum has a value of its own; a decoder's weights, say, have one for all."""
        if self.plate is None:
            return bool(site["value"].ndim) and len(site["value"]) == self.size
        return any(frame.name == self.plate for frame in site["cond_indep_stack"])


@contextmanager
def ready(run: Fit, seed: int) -> Iterator[tuple[Program, Program]]:
    """The two programs ready to be run, noise seeded; the process's random state is left as it was."""
    with isolated(run.device, seed=seed), run.evaluating() as pair:
        yield pair


def as_batch(run: Fit, data: Any, *, seed: int = 0) -> Batch:
    """All tensors of the data, checked, on the run's device, floating ones of its networks' dtype.

    Arguments:
        data: a tensor or array ``(n, ...)``, a tuple or list of them, or :class:`pyrovae.data.Data`, of which
            the transform is applied once, with noise of the seed.

    Raises:
        TypeError, ValueError: not data, no data, NaN (unless it means missing) or infinity, lengths that
            disagree, one datum without its batch dimension.
    """
    if not isinstance(data, Data):
        missing = takes_missing(run.model, run.guide)
        arrays = data if isinstance(data, tuple | list) else (data,)
        data = Data.of(*arrays, missing=missing)
    data = data.to(run.device)
    dtype = floating(run)
    batch = [data.transformed(seed), *data.tensors[1:]]
    shape = known_shape(run)
    if shape is not None and tuple(batch[0].shape) == shape:
        raise ValueError(
            explain(
                "x",
                expected=f"data of shape (n, {str(shape)[1:-1].rstrip(',')})",
                got=f"one datum of shape {shape}",
                remedy="Add the batch dimension: x[None].",
            )
        )
    return tuple(tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in batch)


def datum_shape(run: Fit) -> tuple[int, ...] | None:
    """The shape of one datum: from the run's record, else from a datum that the model generates."""
    shape = known_shape(run)
    if shape is not None:
        return shape
    with ready(run, 0) as (model, _):
        if takes_size(model):
            site = trace(model, size=1).get("x")
            if site is not None:
                return tuple(site["value"].shape[1:])
    return None


def known_shape(run: Fit) -> tuple[int, ...] | None:
    """The shape of one datum as training has recorded it."""
    shapes = run.config.get("data", {}).get("shapes")
    return tuple(shapes[0]) if shapes else None


def floating(run: Fit) -> torch.dtype:
    """The dtype that the networks compute in."""
    for module in networks(run.model, run.guide).values():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
    return torch.get_default_dtype()


def trace(program: Program, *args: Any, **kwargs: Any) -> Sites:
    """Runs a program and returns its sample sites; plates, deterministic sites and factors left out."""
    with poutine.block():
        nodes = poutine.trace(program).get_trace(*args, **kwargs).nodes
    return {name: site for name, site in nodes.items() if site["type"] == "sample" and not _bookkeeping(site)}


def structure(run: Fit, model: Program, args: Batch | None, covariates: Batch = ()) -> Structure:
    """Runs the model once to see which sites it has; takes no noise from the caller.

    Arguments:
        args: the data, or None where there are none, but maybe ``covariates``.
    """
    with isolated(run.device, seed=0):
        if args is None:
            given: tuple[Tensor | None, ...] = _stand_ins(run, model, 1, covariates)
        else:
            given = tuple(tensor[:1] for tensor in args) if takes_size(model) else args
        sites = trace(model, *given)
    size = next(len(tensor) for tensor in given if tensor is not None)
    plates = {
        f.name for s in sites.values() for f in s["cond_indep_stack"] if f.vectorized and f.size == size
    }
    observed = {name: site for name, site in sites.items() if site["is_observed"]}
    outermost = [
        f.name for s in (observed or sites).values() for f in s["cond_indep_stack"] if f.name in plates
    ]
    return Structure(
        {name: site for name, site in sites.items() if not site["is_observed"]},
        observed,
        "data" if "data" in plates else next(iter(outermost), None),
        size,
    )


def draw_posterior(guide: Program, args: Batch) -> dict[str, Tensor]:
    """One draw of every latent site from the guide."""
    sites = trace(guide, *args)
    return {name: site["value"] for name, site in sites.items() if not _auxiliary(site)}


def generate(
    run: Fit,
    model: Program,
    size: int,
    *,
    latents: Mapping[str, Tensor],
    redraw: Collection[str],
    args: Batch | None = None,
    given: Batch = (),
) -> Sites:
    """Runs the model with some latents given and the observed sites of ``redraw`` drawn, never read off data.

    Arguments:
        args: the data, of which what is not redrawn (labels, covariates) stays as given; None: no data.
        given: the covariates where there are no data.
    """
    if not takes_size(model):
        data = _stand_ins(run, model, size, given) if args is None else args
        return trace(_Draw(latents, redraw)(model), *data)
    found = _after_nothing(given) if args is None else args
    # There may be fewer names than tensors: of a model called as model(x, *given).
    names = zip_longest(inspect.signature(_call(model)).parameters, found)
    kept = [None if i == 0 or name in redraw else x for i, (name, x) in enumerate(names)][: len(found)]
    return trace(_Draw(latents, redraw)(model), *kept, size=size)


def observed_site(sites: Structure, name: str | None) -> str:
    """The observed site that is meant: the one that is named, else the only one, else ``"x"``."""
    known = list(sites.observed)
    if name is not None and name in known:
        return name
    if name is None and (len(known) == 1 or "x" in known):
        return known[0] if len(known) == 1 else "x"
    raise ValueError(
        explain(
            "site",
            expected=f"one of the model's observed sites {known}",
            got=repr(name),
            remedy=nearest(name, known) if name and known else "Name it: site='...'.",
        )
    )


def takes_size(model: Program) -> bool:
    """Whether a model generates by ``model(size=n)``, all its data arguments being optional."""
    parameters = inspect.signature(_call(model)).parameters
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return "size" in parameters and all(
        p.default is not inspect.Parameter.empty or p.kind in kinds or p.name == "size"
        for p in parameters.values()
    )


class _Draw(Messenger):
    """Gives latent sites their values and draws the observed sites of ``redraw`` anew."""

    def __init__(self, latents: Mapping[str, Tensor], redraw: Collection[str]) -> None:
        super().__init__()
        self.latents, self.redraw = latents, redraw

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.latents:
            msg["value"], msg["done"] = self.latents[msg["name"]], True
        elif msg["is_observed"] and msg["name"] in self.redraw:
            msg["is_observed"], msg["value"], msg["done"] = False, None, False


class AtMeans(Messenger):
    """Puts every latent site at its mean given the sites before it, in place of a draw."""

    def _pyro_sample(self, msg: Any) -> None:
        if not (msg["done"] or msg["is_observed"] or _bookkeeping(msg)):
            msg["value"], msg["done"] = centre(msg["fn"]), True


def _stand_ins(run: Fit, model: Program, size: int, given: Batch = ()) -> tuple[Tensor | None, ...]:
    """Arguments for a model when there are no data: zeros of their shape, or what the model generates."""
    given = tuple(tensor[:size] for tensor in given)
    record = run.config.get("data", {})
    if record.get("shapes"):
        dtypes = record.get("dtypes") or ["float32"] * len(record["shapes"])
        zeros = run.arguments(
            tuple(
                torch.zeros(size, *shape, dtype=getattr(torch, dtype), device=run.device)
                for shape, dtype in zip(record["shapes"], dtypes, strict=True)
            )
        )
        return (*zeros[:1], *given, *zeros[1 + len(given) :])
    if takes_size(model):
        generated = _generated(model, size, given)
        if any(value is not None for value in generated):
            return (*generated[:1], *given, *generated[1 + len(given) :])
    raise ValueError(
        explain(
            "model",
            expected="one that generates x by model(size=n), or a run that knows the shape of a datum",
            got=f"the arguments {inspect.signature(_call(model))} and no record of the data",
            remedy="Write it as model(x=None, size=None), or record the shape: "
            'Fit(model, guide, config={"data": {"shapes": [[784]], "dtypes": ["float32"]}}).',
        )
    )


def _generated(model: Program, size: int, given: Batch) -> tuple[Tensor | None, ...]:
    """What a model generates, at the places of its arguments."""
    parameters = inspect.signature(_call(model)).parameters
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values()):
        with poutine.block():
            returned = model(*_after_nothing(given), size=size)
        return returned if isinstance(returned, tuple) else (returned,)
    sites = trace(model, *_after_nothing(given), size=size)
    return tuple(sites[name]["value"] if name in sites else None for name in parameters if name != "size")


def _after_nothing(given: Batch) -> tuple[Tensor | None, ...]:
    """Covariates at their places, behind data that are not there."""
    return (None, *given) if given else ()


def _call(program: Program) -> Any:
    return program.forward if isinstance(program, nn.Module) else program


def _bookkeeping(site: Any) -> bool:
    """Sites that are neither latent nor data: plates, ``pyro.deterministic``, ``pyro.factor``."""
    return (
        isinstance(site["fn"], _Subsample)
        or bool(site["infer"] and site["infer"].get("_deterministic"))
        or isinstance(site["fn"], Unit)
    )


def _auxiliary(site: Any) -> bool:
    return bool(site["infer"].get("is_auxiliary"))
