"""Two traces read: what each site comes to, in one layout; and whether guide and model fit each other."""

from __future__ import annotations

from typing import Any

import torch
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor

from pyrovae.errors import explain, nearest
from pyrovae.objectives._terms import Latent, Layout, Plate, Term
from pyrovae.objectives.estimators import Drawn, Estimator

Site = dict[str, Any]

PARTICLES = "_particles"
NOTE = "_pyrovae"
_HERE = "data"


def sites_of(trace: Any) -> dict[str, Site]:
    """The sample statements of a trace, without those of plates and ``pyro.deterministic``."""
    return {
        name: site
        for name, site in trace.nodes.items()
        if site["type"] == "sample"
        and not isinstance(site["fn"], _Subsample)
        and not site["infer"].get("_deterministic", False)
    }


def frames_of(site: Site) -> tuple[Any, ...]:
    """The vectorised plates around a site, the particles' included."""
    return tuple(frame for frame in site["cond_indep_stack"] if frame.vectorized)


class Reader:
    """Reads log densities off two traces, all in one layout."""

    def __init__(self, layout: Layout, guide: dict[str, Site], model: dict[str, Site]) -> None:
        self.layout, self.guide, self.model = layout, guide, model
        dims = [site["infer"].get("_enumerate_dim") for site in (*guide.values(), *model.values())]
        self.enumerated = frozenset(dim for dim in dims if dim is not None)
        self.places = {
            name: tuple(list(side).index(name) if name in side else -1 for side in (guide, model))
            for name in {**guide, **model}
        }
        self.latents = [name for name, site in guide.items() if not site["is_observed"]]
        self._priors: dict[str, Tensor] = {}

    def latent(self, name: str) -> Latent:
        """A latent site of the guide, beside the model's of the same name."""
        site, prior = self.guide[name], self.model.get(name)
        estimator, why, drawn = site["infer"].get(NOTE, (Estimator(), "drawn by a handler", Drawn()))
        if drawn.densities is not None and prior is not None:
            log_q, self._priors[name] = drawn.densities(site["fn"], prior["fn"])
        else:
            log_q = _density(f"guide, site {name!r}, {estimator!r}", site)
        frames = frames_of(site)
        return Latent(
            name=name,
            guide=site["fn"],
            prior=None if prior is None else prior["fn"],
            value=site["value"],
            estimator=estimator,
            why=why,
            drawn=drawn,
            log_q=self.layout.lay(log_q, frames, name, self.enumerated),
            mask=as_mask(site["mask"], log_q.device),
            plates=plates_of(frames),
            places=self.places[name],  # type: ignore[arg-type]
            enumerated=site["infer"].get("_enumerate_dim"),
        )

    def factors(self) -> list[Term]:
        """What the guide observes, as ``pyro.factor`` does: it counts to its density."""
        # What the model observes too is the data, in the trace of a guide that runs the model itself.
        stated = {n: site for n, site in self.guide.items() if site["is_observed"] and n not in self.model}
        return [
            self.term(name, "posterior", -site["fn"].log_prob(site["value"]), site)
            for name, site in stated.items()
        ]

    def posterior(self, latent: Latent) -> Term:
        """Its term, -log q."""
        return self.term(latent.name, "posterior", -latent.log_q, self.guide[latent.name])

    def log_p(self, name: str) -> Tensor:
        """The log density of a site of the model."""
        site = self.model[name]
        value = self._priors.get(name)
        return _density(f"model, site {name!r}", site) if value is None else value

    def term(self, name: str, kind: str, value: Tensor, site: Site) -> Term:
        """A log density as a term, masked."""
        frames = frames_of(site)
        mask = as_mask(site["mask"], value.device)
        if mask is not None:
            value = torch.where(mask, value, 0.0)
        value = self.layout.lay(value, frames, name, self.enumerated)
        places: Any = self.places[name]
        return Term(name, kind, value, site["scale"], plates_of(frames), places)


def _density(where: str, site: Site) -> Tensor:
    """The log density of a site's value."""
    try:
        density: Tensor = site["fn"].log_prob(site["value"])
        return density
    except (NotImplementedError, KeyError) as error:
        raise ValueError(
            explain(
                where,
                expected="a distribution with a density at any value",
                got="one that knows it at its own draws only, as a flow without an inverse does",
                remedy="Use Pathwise() there, in ELBO, IWAE or Renyi.",
            )
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            explain(
                where,
                expected="a value that its distribution can score",
                got=str(error).splitlines()[0],
                remedy="Compare the plates, shapes and values of both programs there.",
            )
        ) from error


def plates_of(frames: tuple[Any, ...]) -> frozenset[Plate]:
    """The plates of a site, the particles' left out."""
    return frozenset(Plate(frame.dim, frame.name) for frame in frames if frame.name != PARTICLES)


def as_mask(mask: Any, device: torch.device) -> Tensor | None:
    if mask is None or mask is True:
        return None
    return torch.as_tensor(mask, dtype=torch.bool, device=device)


def check_names(guide: dict[str, Site], model: dict[str, Site]) -> None:
    for name, site in guide.items():
        if site["is_observed"]:
            continue
        if name not in model and not site["infer"].get("is_auxiliary", False):
            raise ValueError(
                explain(
                    f"guide, site {name!r}",
                    expected="one of the model's latent sites",
                    got="a site that is in the guide and not in the model",
                    remedy=nearest(name, [n for n, s in model.items() if not s["is_observed"]])
                    + ' An auxiliary one is marked infer={"is_auxiliary": True}.',
                )
            )
        if name in model and model[name]["is_observed"]:
            raise ValueError(
                explain(
                    f"guide, site {name!r}",
                    expected="latent sites only",
                    got="a site that the model observes",
                    remedy=f"Remove pyro.sample({name!r}, ...) from the guide: the data are given.",
                )
            )
    for name, site in model.items():
        if not site["is_observed"] and name not in guide and site["infer"].get("_enumerate_dim") is None:
            raise ValueError(
                explain(
                    f"model, site {name!r}",
                    expected="a guide that samples it, or a site that is summed out",
                    got="a latent site that is in the model and not in the guide",
                    remedy='Add it to the guide, or mark it infer={"enumerate": "parallel"} if finite.',
                )
            )


def check_dimensions(latents: list[Latent]) -> None:
    """Refuses sites that are enumerated in one dimension, as ``pyro.markov`` makes them.

    Raises:
        ValueError: by site.
    """
    seen: dict[int, str] = {}
    for latent in latents:
        if latent.enumerated is None:
            continue
        other = seen.setdefault(latent.enumerated, latent.name)
        if other != latent.name:
            raise ValueError(
                explain(
                    f"guide, site {latent.name!r}",
                    expected="a dimension of its own for each site that is enumerated",
                    got=f"that of {other!r}, shared by pyro.markov",
                    remedy="Mark them in the model, out of the guide, or use TraceEnum_ELBO.",
                )
            )


def data_plate(sites: list[Site]) -> Plate | None:
    """The plate "data"; without one, the outermost plate around all sites, or None."""
    around = [plates_of(frames_of(site)) for site in sites]
    named = [plate for plates in around for plate in plates if plate.name == _HERE]
    if named:
        return min(named)
    common = frozenset.intersection(*around) if around else frozenset()
    return min(common) if common else None
