"""A run's posterior on given data as an ArviZ tree: draws, predictions, densities and weights."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from arviz_base import from_dict
from pyro import poutine
from torch import Tensor, nn
from xarray import DataTree

from pyrovae import __version__
from pyrovae.errors import explain, nearest
from pyrovae.export.scores import log_prob, log_weight, sample_sites
from pyrovae.predict.decoding import require_positive
from pyrovae.predict.programs import Structure, as_batch, generate, ready, structure
from pyrovae.training.fitted import Fit
from pyrovae.types import Batch, Program

GROUPS = (
    "posterior",
    "prior",
    "posterior_predictive",
    "log_likelihood",
    "sample_stats",
    "observed_data",
    "constant_data",
)
"""The groups of a tree, by ArviZ's names."""


def to_datatree(
    run: Fit, x: Any, *, num_samples: int = 100, seed: int = 0, groups: Collection[str] | None = None
) -> DataTree:
    r"""The posterior of given data as ArviZ keeps it, ready for its functions, its plots and its files.

    With draws :math:`z_s \sim q(z \mid x)`, the same ones in all groups:

    - ``posterior``: :math:`z_s`; ``prior``: as many draws of p(z);
    - ``posterior_predictive``: :math:`x'_s \sim p(x \mid z_s)`, drawn, never the data themselves;
    - ``log_likelihood``: :math:`\log p(x_i \mid z_s)` of each datum, nats;
    - ``sample_stats``, variable ``log_weight``: :math:`\log p(x_i, z_s) - \log q(z_s \mid x_i)`, nats, whose
      log-mean-exp over the draws estimates the log evidence of each datum;
    - ``observed_data``: x; ``constant_data``: labels and covariates, if the data bring them.

    Dimensions are ``chain`` (1), ``draw``, then the names of the *plates* around a site, such as ``data``,
    then ``z_dim_0``, ``z_dim_1``, ... of the event of site ``z``. A ``/`` in a site's name becomes a dot.
    Where data share a latent, or a posterior is joint over the data, weights belong to no datum: then
    ``log_weight`` is the sum over the data and has no ``data`` dimension. Latents that the guide leaves to
    the model (enumerated ones) are drawn from the prior, which then is their proposal.

    Arguments:
        x: data ``(n, ...)``, as for :func:`pyrovae.predict.encode`.
        num_samples: draws, S.
        seed: of all draws; it is written to the attributes.
        groups: which groups to make; None: all. Without ``posterior_predictive`` a tree takes S times the
            size of x less memory, and the draws of the same seed differ.

    Raises:
        TypeError, ValueError: data that the programs can't take, no samples, a group that does not exist.

    References:
        Kumar, Carroll, Hartikainen and Martin, 2019, ArviZ, a unified library for exploratory analysis of
        Bayesian models in Python, JOSS 4(33), 1143.

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> tree = to_datatree(pv.Fit(model, guide), torch.zeros(5, 64), num_samples=10)
        >>> dict(tree.posterior["z"].sizes)
        {'chain': 1, 'draw': 10, 'data': 5, 'z_dim_0': 2}
        >>> tree.sample_stats["log_weight"].dims
        ('chain', 'draw', 'data')
    """
    require_positive("num_samples", num_samples)
    wanted = _wanted(groups)
    everything = as_batch(run, x, seed=seed)
    args = run.arguments(everything)
    with ready(run, seed) as (model, guide):
        draws = _Draws(run, model, guide, args, num_samples, wanted)
        draws.from_posterior()
        if "prior" in wanted:
            draws.from_prior()
    table = draws.table
    table.constant(_constants(run.model, everything, args, draws.sites), "constant_data")
    attributes = {
        "inference_library": "pyrovae",
        "inference_library_version": __version__,
        "sampling_seed": seed,
    }
    data = {group: table.values[group] for group in GROUPS if group in wanted and group in table.values}
    return from_dict(data, dims=table.dims, attrs=dict.fromkeys([*data, "/"], attributes))


class _Table:
    """The arrays of a tree under way, by group and variable, and the names of their dimensions."""

    def __init__(self, num_samples: int, plate: str) -> None:
        self.num_samples, self.plate = num_samples, plate
        self.values: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        self.dims: dict[str, list[str]] = {}

    def put(self, group: str, name: str, draw: int, value: Tensor) -> None:
        """Writes one draw of a variable into its place: nothing is held twice."""
        array = _array(value)
        variables = self.values.setdefault(group, {})
        if name not in variables:
            variables[name] = np.empty((1, self.num_samples, *array.shape), array.dtype)
        variables[name][0, draw] = array

    def constant(self, values: dict[str, Tensor], group: str) -> None:
        for name, value in values.items():
            self.values.setdefault(group, {})[name] = _array(value)
            self.dims.setdefault(name, [self.plate, *(f"{name}_dim_{i}" for i in range(value.ndim - 1))])


class _Draws:
    """Draws from a pair of programs, written into a table."""

    def __init__(
        self, run: Fit, model: Program, guide: Program, args: Batch, num_samples: int, wanted: Collection[str]
    ) -> None:
        self.run, self.model, self.guide, self.args, self.wanted = run, model, guide, args, wanted
        self.sites: Structure = structure(run, model, args)
        self.table = _Table(num_samples, _variable(self.sites.plate or "data"))

    def from_posterior(self) -> None:
        for draw in range(self.table.num_samples):
            with poutine.block():
                guide: Any = poutine.trace(self.guide).get_trace(*self.args)
                model: Any = poutine.trace(poutine.replay(self.model, trace=guide)).get_trace(*self.args)
            observed = {name: model.nodes[name] for name in self.sites.observed}
            latents = {name: guide.nodes[name] for name in self.sites.latents if name in guide.nodes}
            self._write("posterior", latents, draw)
            self._score(sample_sites(model), sample_sites(guide), observed, draw)
            if draw == 0:
                self._name_dimensions({**latents, **observed})
                if "observed_data" in self.wanted:
                    values = {_variable(n): site["value"] for n, site in observed.items()}
                    self.table.constant(values, "observed_data")
            if "posterior_predictive" in self.wanted:
                self._predict({name: site["value"] for name, site in latents.items()}, draw)

    def from_prior(self) -> None:
        for draw in range(self.table.num_samples):
            drawn = self._generate({}, tuple(self.sites.observed))
            latents = {name: drawn[name] for name in self.sites.latents}
            if draw == 0:
                self._name_dimensions(latents)
            self._write("prior", latents, draw)

    def _predict(self, latents: dict[str, Tensor], draw: int) -> None:
        for name in self.sites.observed:
            self._write("posterior_predictive", {name: self._generate(latents, (name,))[name]}, draw)

    def _generate(self, latents: dict[str, Tensor], redraw: tuple[str, ...]) -> dict[str, Any]:
        size = len(self.args[0])
        return generate(self.run, self.model, size, latents=latents, redraw=redraw, args=self.args)

    def _score(self, model: list[Any], guide: list[Any], observed: dict[str, Any], draw: int) -> None:
        plate = self.sites.plate
        if "log_likelihood" in self.wanted:
            for name, site in observed.items():
                self.table.put("log_likelihood", _variable(name), draw, log_prob(site, plate)[0])
        if "sample_stats" in self.wanted:
            weight = log_weight(model, guide, plate)
            self.table.dims["log_weight"] = [self.table.plate] if weight.ndim else []
            self.table.put("sample_stats", "log_weight", draw, weight)

    def _write(self, group: str, sites: dict[str, Any], draw: int) -> None:
        if group in self.wanted:
            for name, site in sites.items():
                self.table.put(group, _variable(name), draw, site["value"])

    def _name_dimensions(self, sites: dict[str, Any]) -> None:
        for name, site in sites.items():
            self.table.dims[_variable(name)] = dimensions(_variable(name), site)


def dimensions(name: str, site: Any) -> list[str]:
    """The names of a site's dimensions: its plates, then ``{name}_dim_{i}`` for what no plate names."""
    batch = site["value"].ndim - site["fn"].event_dim
    plates = {frame.dim: frame.name for frame in site["cond_indep_stack"] if frame.vectorized}
    names: list[str] = []
    unnamed = 0
    for position in range(site["value"].ndim):
        plate = plates.get(position - batch) if position < batch else None
        if plate is None:
            plate = f"{name}_dim_{unnamed}"
            unnamed += 1
        names.append(_variable(plate))
    return names


def _constants(
    model: Program, everything: Iterable[Tensor], args: Batch, sites: Structure
) -> dict[str, Tensor]:
    """What the data bring beside the observed sites, under the names of the model's arguments, else ``y``."""
    call = model.forward if isinstance(model, nn.Module) else model
    names = list(inspect.signature(call).parameters)[: len(args)]
    found: dict[str, Tensor] = {}
    for position, tensor in enumerate(everything):
        if position == 0:
            continue
        name = names[position] if position < len(names) else "y" if position == 1 else f"y{position}"
        if name not in sites.observed:
            found[name] = tensor
    return found


def _wanted(groups: Collection[str] | None) -> tuple[str, ...]:
    chosen = GROUPS if groups is None else tuple(groups)
    for group in chosen:
        if group not in GROUPS:
            raise ValueError(
                explain(
                    "groups",
                    expected=f"some of {list(GROUPS)}",
                    got=repr(group),
                    remedy=nearest(group, GROUPS),
                )
            )
    return chosen


def _variable(name: str) -> str:
    """A site's name as a variable's: in a tree the slash parts a group from what is in it."""
    return name.replace("/", ".")


def _array(value: Tensor) -> np.ndarray[Any, Any]:
    value = value.detach().cpu()
    if value.is_floating_point() and value.element_size() < 4:
        value = value.float()  # NumPy has no bfloat16, and NetCDF no half precision.
    array: np.ndarray[Any, Any] = value.numpy()
    return array
