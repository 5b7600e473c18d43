"""A first look at a pair of programs on one batch: what can go wrong is said before the first step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.training.parameters import networks
from pyrovae.training.support import Support, check_latent, check_observed, supports_of
from pyrovae.types import Batch, Program

_PLATE = "data"


class Survey(NamedTuple):
    """What the first look has found.

    Attributes:
        latents: the latent sites, in the model's order.
        nesting: how deep the plates are nested.
        supports: of the tensors that are observed as they are, the supports that no datum changes.
        without_path: the latent sites whose draws in the guide have no gradient.
    """

    latents: tuple[str, ...]
    nesting: int
    supports: tuple[Support, ...]
    without_path: tuple[str, ...]


def survey(model: Program, guide: Program, batch: Batch) -> Survey:
    """Runs guide and model on a batch and compares them site by site.

    Raises:
        ValueError: latent sites that only one side has; a guide that samples an observed site; plates, event
            shapes or data that disagree; data outside the likelihood's support; a program that fails; a
            network that is used but never trained.
    """
    with poutine.block(), pyro.validation_enabled(True):
        try:
            guide_trace = _run("guide", guide, batch)
        except (ValueError, TypeError):
            # Data far from the likelihood's support make the guide's networks overflow: that is said first.
            _check_data(model, batch)
            raise
        prior_trace = _run("model", model, batch)
        guide_sites, model_sites = _sites(guide_trace), _sites(prior_trace)
        _compare_names(guide_sites, model_sites)
        for name in guide_sites:
            if name in model_sites:
                _compare_shapes(name, guide_sites[name], model_sites[name])
        for role, sites in (("guide", guide_sites), ("model", model_sites)):
            _check_plate(role, sites, len(batch[0]))
        try:
            model_trace = _run("model", poutine.replay(model, trace=guide_trace), batch)
        except (ValueError, TypeError):
            _check_data(model, batch)
            raise
        observed = {name: site for name, site in _sites(model_trace).items() if site["is_observed"]}
        for name, site in _sites(model_trace).items():
            if name in observed:
                check_observed(name, site)
            else:
                check_latent(name, site)
        with _explained("densities of guide and model", batch):
            dependencies = [*_leaves(_log_prob(guide_trace)), *_leaves(_log_prob(model_trace))]
        _check_trained(model, guide, (guide_trace, model_trace), dependencies, batch)
    latents = tuple(name for name, site in model_sites.items() if not site["is_observed"])
    frames = [f for s in (*guide_sites.values(), *model_sites.values()) for f in s["cond_indep_stack"]]
    nesting = max((-frame.dim for frame in frames if frame.dim is not None), default=0)
    without_path = tuple(name for name in latents if name in guide_sites and not _has_path(guide_sites[name]))
    return Survey(latents, nesting, tuple(supports_of(observed, batch)), without_path)


def _has_path(site: Any) -> bool:
    return bool(getattr(site["fn"], "has_rsample", False))


def datum_scale(model: Program, batch: Batch) -> float:
    """How many data a batch's loss speaks for: its size, times the scale of the site that observes them.

    That is ``"x"``, or the first that is observed: others, such as a weighed classification loss, may have
    scales of their own.
    """
    size = float(len(batch[0]))
    with poutine.block(), torch.no_grad():
        trace = poutine.trace(model).get_trace(*batch)
    sites = _sites(trace)
    for site in (*([sites["x"]] if "x" in sites else []), *sites.values()):
        frames = {frame.name: frame for frame in site["cond_indep_stack"]}
        if site["is_observed"]:
            scale = torch.as_tensor(site["scale"])
            count = frames[_PLATE].size if _PLATE in frames else size
            return float(count * scale) if scale.numel() == 1 else size
    return size


def _check_data(model: Program, batch: Batch) -> None:
    """Holds the data against the likelihood's support, whatever the guide does; silent if the model fails."""
    try:
        sites = _sites(_run("model", model, batch))
    except (ValueError, TypeError):
        return
    for name, site in sites.items():
        if site["is_observed"] and tuple(site["fn"].shape()) == tuple(site["value"].shape):
            check_observed(name, site)


def _run(role: str, program: Callable[..., Any], batch: Batch) -> Any:
    with _explained(role, batch):
        return poutine.trace(program).get_trace(*batch)


@contextmanager
def _explained(role: str, batch: Batch) -> Iterator[None]:
    """Says on which batch a program failed, and what may be the matter with it."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        shapes = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in batch)
        # Of torch's complaint about a parameter the constraint is enough: all its values would follow.
        reason = re.split(r"Trace Shapes:|:?\s*\btensor\(", str(error))[0].strip()
        remedy = "Check that networks, latent sizes and data fit each other."
        if "dtype" in reason:
            remedy = "Networks take float32 as a rule: pass x.float()."
        elif any(x.isnan().any() for x in batch):
            remedy = "There is NaN in the data: networks read them through pyrovae.nets.Filled(net)."
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            explain(
                role,
                expected=f"a program that runs on a batch of {shapes}",
                got=f"{type(error).__name__}: {reason}",
                remedy=remedy,
            )
        ) from error


def _sites(trace: Any) -> dict[str, Any]:
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample"
        and not isinstance(site["fn"], _Subsample)
        and not site["infer"].get("_deterministic", False)
    }


def _compare_names(guide: dict[str, Any], model: dict[str, Any]) -> None:
    for name in guide:
        if name in model and model[name]["is_observed"]:
            raise ValueError(
                explain(
                    f"guide, site {name!r}",
                    expected="latent sites only",
                    got="a site that the model observes",
                    remedy=f"Remove pyro.sample({name!r}, ...) from the guide: the data are given.",
                )
            )
    latents = {name for name, site in model.items() if not site["is_observed"]}
    extra = {n for n, s in guide.items() if n not in latents and not s["infer"].get("is_auxiliary", False)}
    lacking = {n for n in latents - set(guide) if "enumerate" not in model[n]["infer"]}
    if extra:
        raise ValueError(
            explain(
                f"guide, sites {sorted(extra)}",
                expected=f"the model's latent sites {sorted(latents)}",
                got="sites that are in the guide and not in the model",
                remedy='Rename them, or mark them infer={"is_auxiliary": True}.',
            )
        )
    if lacking:
        raise ValueError(
            explain(
                f"model, sites {sorted(lacking)}",
                expected=f"a guide that samples them (it samples {sorted(guide)})",
                got="latent sites that are in the model and not in the guide",
                remedy="Add them to the guide, or observe them with obs=.",
            )
        )


def _compare_shapes(name: str, guide: Any, model: Any) -> None:
    plates = [{f.name: f.size for f in site["cond_indep_stack"] if f.vectorized} for site in (guide, model)]
    if plates[0] != plates[1]:
        raise ValueError(
            explain(
                f"site {name!r}",
                expected=f"the same plates on both sides; in the model {plates[1]}",
                got=f"{plates[0]} in the guide",
                remedy='Put both into pyro.plate("data", len(x)).',
            )
        )
    if guide["fn"].event_shape != model["fn"].event_shape:
        raise ValueError(
            explain(
                f"site {name!r}",
                expected=f"event shape {tuple(model['fn'].event_shape)}, as in the model",
                got=f"{tuple(guide['fn'].event_shape)} in the guide",
                remedy="Give the guide's head twice the prior's dimensions (loc and scale), and to_event(1).",
            )
        )


def _check_plate(role: str, sites: dict[str, Any], size: int) -> None:
    for name, site in sites.items():
        for frame in site["cond_indep_stack"]:
            if frame.name == _PLATE and frame.size != size:
                raise ValueError(
                    explain(
                        f"{role}, site {name!r}, plate {_PLATE!r}",
                        expected=f"the batch's size, {size}",
                        got=str(frame.size),
                        remedy='Write pyro.plate("data", len(x)).',
                    )
                )


def _check_trained(
    model: Program, guide: Program, traces: tuple[Any, Any], dependencies: list[Tensor], batch: Batch
) -> None:
    """Every tensor that the densities depend on and that wants a gradient must be known to Pyro."""
    registered = {
        id(site["value"].unconstrained())
        for trace in traces
        for site in trace.nodes.values()
        if site["type"] == "param"
    }
    known = registered | {id(x) for x in batch}
    strangers = list({id(leaf): leaf for leaf in dependencies if id(leaf) not in known}.values())
    if not strangers:
        return
    names = [
        f"{where}.{name}"
        for where, net in networks(model, guide).items()
        for name, parameter in net.named_parameters()
        if any(parameter is leaf for leaf in strangers)
    ] or [f"a tensor of shape {tuple(leaf.shape)}" for leaf in strangers]
    raise ValueError(
        explain(
            f"parameters {names[:4]}{' ...' if len(names) > 4 else ''}",
            expected="parameters that the programs name to Pyro",
            got="parameters in use that would never be trained",
            remedy='Add pyro.module("name", network) to the program, with a name used once; or freeze them.',
        )
    )


def _log_prob(trace: Any) -> Tensor:
    """The sum of a trace's log densities."""
    total = torch.zeros(())
    for site in trace.nodes.values():
        if site["type"] == "sample" and not isinstance(site["fn"], _Subsample):
            total = total + site["fn"].log_prob(site["value"]).sum()
    return total


def _leaves(total: Tensor) -> Iterator[Tensor]:
    """The leaves of a tensor's autograd graph."""
    waiting, seen = [total.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            yield leaf
        waiting += [following for following, _ in node.next_functions]
