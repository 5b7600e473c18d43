"""One run of guide and model: its sites, and their log-probabilities datum by datum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyro import poutine
from pyro.distributions import Delta
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.types import Batch, Program

Site = Mapping[str, Any]
"""A sample statement as Pyro's trace records it."""


@dataclass(frozen=True)
class Pair:
    """The sample sites of one run of a guide, and of its model replayed with the guide's latents.

    Attributes:
        posterior: the guide's sites, auxiliary ones and factors included, in their order.
        prior: the model's latent sites, in their order.
        observed: the model's observed sites and factors.
    """

    posterior: dict[str, Site]
    prior: dict[str, Site]
    observed: dict[str, Site]

    def sites(self) -> Iterator[Site]:
        """All of them."""
        for side in (self.posterior, self.prior, self.observed):
            yield from side.values()


def run_pair(
    model: Program, guide: Program, batch: Batch, latents: Mapping[str, Tensor] | None = None
) -> Pair:
    """Runs the guide, or replays it with given latents, and replays the model with what it drew."""
    if latents is not None:
        given = poutine.Trace()
        for name, value in latents.items():
            given.add_node(name, name=name, type="sample", value=value, is_observed=False, infer={})
        guide = poutine.replay(guide, trace=given)
    guide_trace = _trace("guide", guide, batch)
    model_trace = _trace("model", poutine.replay(model, trace=guide_trace), batch)
    stated = dict(_samples(model_trace))
    return Pair(
        posterior=dict(_samples(guide_trace)),
        prior={name: site for name, site in stated.items() if not site["is_observed"]},
        observed={name: site for name, site in stated.items() if site["is_observed"]},
    )


def _trace(role: str, program: Program, batch: Batch) -> Any:
    try:
        return poutine.trace(program).get_trace(*batch)
    except ValueError as error:
        # Torch's complaint about a parameter of a distribution prints the whole tensor.
        complaint = str(error).split(", but found invalid values")[0]
        raise ValueError(
            explain(
                role,
                expected=f"a program that runs on data of shapes {[tuple(x.shape) for x in batch]}",
                got=" ".join(complaint.split()),
                remedy="Check the data, and that the weights have not diverged in training.",
            )
        ) from error


def _samples(trace: Any) -> Iterator[tuple[str, Site]]:
    """The sample statements proper: neither plates nor ``pyro.deterministic``, which have no density."""
    for name, site in trace.nodes.items():
        if site["type"] != "sample" or site_is_subsample(site) or site["infer"].get("_deterministic"):
            continue
        yield name, site


def check_sites(pair: Pair) -> None:
    """Refuses a pair whose importance weights would not be p(x, z) / q(z | x).

    Raises:
        ValueError: latent sites that only one side has, a guide that samples an observed site, an auxiliary
            site that nothing makes a latent of, or a model without any observed site.
    """
    if not pair.observed:
        raise ValueError(
            explain(
                "model",
                expected="at least one observed site",
                got="none",
                remedy='Give the data to a sample statement: pyro.sample("x", ..., obs=x).',
            )
        )
    auxiliary = [name for name, site in pair.posterior.items() if site["infer"].get("is_auxiliary")]
    for name, site in pair.posterior.items():
        if name in pair.observed and not site["is_observed"]:
            raise ValueError(
                explain(
                    f"guide, site {name!r}",
                    expected="a latent site of the model",
                    got="a site that the model observes",
                    remedy="A guide samples latents only: take the statement out of the guide.",
                )
            )
        if name not in pair.prior and not site["is_observed"] and name not in auxiliary:
            raise ValueError(
                explain(
                    f"guide, site {name!r}",
                    expected=f"a latent site of the model, one of {sorted(pair.prior)}",
                    got="a name that the model does not sample",
                    remedy='Rename it, or mark it infer={"is_auxiliary": True} if a latent is made of it.',
                )
            )
    for name in pair.prior:
        if name not in pair.posterior:
            raise ValueError(
                explain(
                    f"model, latent site {name!r}",
                    expected="a site of the same name in the guide",
                    got=f"a guide that samples {sorted(pair.posterior)}",
                    remedy="Sample it in the guide, if need be from its prior; enumerated sites too.",
                )
            )
    _check_auxiliary(pair, [name for name in auxiliary if name not in pair.prior])


def _check_auxiliary(pair: Pair, auxiliary: list[str]) -> None:
    """An auxiliary draw must become a latent by a Delta: else the densities' product is not q(z | x)."""
    made = any(name in pair.prior and holds(site["fn"], Delta) for name, site in pair.posterior.items())
    if auxiliary and not made:
        raise ValueError(
            explain(
                f"guide, auxiliary site {auxiliary[0]!r}",
                expected="a latent made from it by a Delta site, or a site of the same name in the model",
                got="neither, so that the density q(z | x) of what the guide draws is not known",
                remedy=f"Sample {auxiliary[0]!r} in the model too, from a reverse density r(. | x, z).",
            )
        )


def holds(fn: Any, kind: type | tuple[type, ...]) -> bool:
    """Whether a distribution is of a kind, or is made from one that is."""
    while not isinstance(fn, kind) and hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, kind)


def log_prob(site: Site) -> Tensor:
    """The log-probability at a site, masks respected, plates' scales left out: it is about single data."""
    try:
        value: Tensor = site["fn"].log_prob(site["value"], *site["args"], **site["kwargs"])
    except ValueError as error:
        raise ValueError(
            explain(
                f"site {site['name']!r}",
                expected="values in the support of its distribution",
                got=" ".join(str(error).split()),
                remedy="Bring the data to what the likelihood takes: binarise, scale or reshape them.",
            )
        ) from error
    masked: Tensor = scale_and_mask(value, mask=site["mask"])
    return masked
