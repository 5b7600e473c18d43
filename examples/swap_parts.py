"""Swap one part and nothing else: every prior, posterior, likelihood and guide, on real data, by one script.

    python examples/swap_parts.py --prior VampPrior                     # under each posterior on R^d
    python examples/swap_parts.py --prior VampPrior --posterior IAF     # one cell of that table
    python examples/swap_parts.py --likelihood LogisticMixture          # on data of its kind
    python examples/swap_parts.py --guide Hamiltonian
    python examples/swap_parts.py                                       # all of it, in two minutes

`swap` trains a pair for 50 steps, measures it and exports it. What it is given stands beside this file:
`swapped/parts.py` holds each part by a name, `swapped/pairs.py` puts them together, and `swapped/data.py` has
data of every kind, which come with packages that are installed anyway.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from pyro.infer.autoguide import AutoNormal
from swapped.data import DATA, Data
from swapped.pairs import GUIDES, pair
from swapped.parts import LIKELIHOODS, MORE_POSTERIORS, POSTERIORS, PRIORS

import pyrovae as pv


class Found(NamedTuple):
    """What came of 50 steps; bounds in nats per datum.

    Attributes:
        run: the fitted pair.
        tree: what was exported.
        first, last: the unweighted bound, mean over the first five steps and over the last five.
        noise: the standard error of such a mean, for that its latents are drawn.
        bound, evidence: after training; ``error`` is the standard error of their difference.
        seconds: for all of it.
    """

    run: pv.Fit
    tree: Any
    first: float
    last: float
    noise: float
    bound: float
    evidence: float
    error: float
    seconds: float


def swap(model: Any, guide: Any, data: Data, export_to: Path) -> Found:
    """Trains, measures and exports: the same lines for every cell of every table."""
    begun, n = time.monotonic(), len(data[0])
    whole = isinstance(guide, AutoNormal)  # it has parameters for each datum, by its place
    batch = n if whole else -(-n // 5)
    adam = functools.partial(torch.optim.Adam, lr=0.01)
    settings = {"epochs": 50 * batch // n, "batch_size": batch, "compile": False}
    run = pv.fit(model, guide, data, loss=pv.objectives.ELBO(), optim=adam, **settings)

    all_at_once = {"batch_size": n if whole else None, "compile": False}
    bound = pv.evaluate.elbo(run, data, num_samples=10, **all_at_once)
    evidence = pv.evaluate.evidence(run, data, num_samples=20, **all_at_once)
    of_bound, of_evidence = (float(x.standard_error.norm()) / n for x in (bound, evidence))

    groups = ["posterior", "prior", "posterior_predictive", "sample_stats"]
    tree = pv.export.to_datatree(run, data, num_samples=2, groups=groups)
    tree.to_netcdf(export_to, engine="h5netcdf")
    told = np.reshape(run.history.column("train_elbo"), (10, -1)).mean(1)
    return Found(
        run,
        tree,
        first=told[0],
        last=told[-1],
        noise=of_bound * bound.num_samples**0.5,
        bound=bound.mean().value,
        evidence=evidence.mean().value,
        error=float(np.hypot(of_bound, of_evidence)),
        seconds=time.monotonic() - begun,
    )


class Cell(NamedTuple):
    """Which parts, by their names in the tables."""

    prior: str = "StandardNormal"
    posterior: str = "diagonal"
    likelihood: str = "Bernoulli"
    guide: str = "Amortized"

    def make(self) -> tuple[Any, Any, Data]:
        """A model, a guide, and data."""
        if self.guide != "Amortized":
            return GUIDES[self.guide]()
        kind = next(kind for kind, table in PRIORS.items() if self.prior in table)
        name, likelihood = LIKELIHOODS[self.likelihood]
        data = DATA[name]()
        prior, posterior = PRIORS[kind][self.prior], {**POSTERIORS[kind], **MORE_POSTERIORS}[self.posterior]
        return *pair(data[0], prior=prior(), posterior=posterior(), likelihood=likelihood()), data


def matrix() -> list[Cell]:
    """Priors by posteriors, more posteriors, likelihoods, guides; each cell once."""
    cells = []
    for kind, table in PRIORS.items():
        likelihood = "Steps" if kind == "sequence" else "Bernoulli"
        cells += [Cell(p, q, likelihood) for p, q in itertools.product(table, POSTERIORS[kind])]
    cells += [Cell(posterior=name) for name in MORE_POSTERIORS]
    for name in LIKELIHOODS:
        cells.append(Cell("GaussianProcess" if "Steps" in name else "StandardNormal", likelihood=name))
    cells += [Cell(guide=name) for name in GUIDES]
    return list(dict.fromkeys(cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in Cell._fields:
        parser.add_argument(f"--{part}", help=f"only the cells of this {part}")
    asked = {part: name for part, name in vars(parser.parse_args()).items() if name is not None}
    chosen = [cell for cell in matrix() if all(getattr(cell, part) == name for part, name in asked.items())]
    if not chosen:
        known = {part: sorted({getattr(cell, part) for cell in matrix()}) for part in asked}
        parser.error(f"no cell of the tables is {asked}; there are {known}")

    print(f"{'prior':17}{'posterior':17}{'likelihood':30}{'guide':17}  first    last  evidence  seconds")
    with tempfile.TemporaryDirectory() as folder:
        for cell in chosen:
            pyro.set_rng_seed(0)
            found = swap(*cell.make(), Path(folder, "posterior.nc"))
            names = f"{cell.prior:17}{cell.posterior:17}{cell.likelihood:30}{cell.guide:17}"
            print(f"{names}{found.first:7.1f}{found.last:8.1f}{found.evidence:10.1f}{found.seconds:9.1f}")


if __name__ == "__main__":
    main()
