"""Priors and guides on MNIST under one budget: test evidence, samples, pseudo-inputs.

    python benchmarks/mnist_priors.py --root DIR --out docs           MNIST in DIR (or PYROVAE_DATA)
    python benchmarks/mnist_priors.py --data digits --epochs 3        a rehearsal on the embedded digits

Four priors (standard normal, mixture of normals, VampPrior, flow) beside two guides (diagonal, inverse
autoregressive flow). Every pair has the same encoder trunk and decoder, sees the same data in the same order
for the same number of steps, and is taken at its best epoch by the validation ELBO. The evidence is the
importance weighted bound of 1,000 particles on 1,000 test digits.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measure import Clock, machine, mean_and_error
from torch import Tensor

import pyrovae as pv
from pyrovae import objectives

LATENT, HIDDEN, CONTEXT = 40, 300, 32
COMPONENTS = {"mixture": 100, "VampPrior": 500}
PARTICLES, TESTED = 1000, 1000
BATCH = 128
PRIORS = ("standard normal", "mixture", "VampPrior", "flow")
GUIDES = ("diagonal", "IAF")


class Row(NamedTuple):
    """What a row is made from; small enough to be sent to a process."""

    prior: str
    guide: str
    data: str
    root: str | None
    epochs: int
    seed: int


def pair(row: Row, x: Tensor) -> tuple[pv.models.VAE, pv.guides.Amortized]:
    """The model and the guide of a row; ``x`` are training data, for pseudo-inputs to start from."""
    inputs = x.shape[1]
    head: Any = pv.heads.normal
    if row.guide == "IAF":
        head = pv.heads.Flowed(head, pv.flows.IAF(LATENT, context=CONTEXT, layers=2, hidden=(HIDDEN,)))
    encoder = pv.nets.MLP(inputs, HIDDEN, HIDDEN, head.features(LATENT))
    decoder = pv.nets.MLP(LATENT, HIDDEN, HIDDEN, inputs)
    model = pv.models.VAE(prior_of(row, encoder, head, x), decoder, pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, head))


def prior_of(row: Row, encoder: torch.nn.Module, head: Any, x: Tensor) -> Any:
    """The prior of a row."""
    if row.prior == "mixture":
        return pv.priors.NormalMixture(LATENT, COMPONENTS[row.prior])
    if row.prior == "flow":
        return pv.priors.Flow(pv.flows.RealNVP(LATENT, layers=6, hidden=(100,)))
    if row.prior == "VampPrior":
        # The mixture of an IAF's own posteriors would need its way back, 40 passes for each component.
        of_base = pv.heads.BaseOf(head) if row.guide == "IAF" else head
        prior = pv.priors.VampPrior(encoder, of_base, COMPONENTS[row.prior], x.shape[1:], bounds=(0, 1))
        return prior.start_from(x, seed=row.seed)
    return pv.priors.StandardNormal(LATENT)


def measure(row: Row) -> dict[str, Any]:
    """Trains and evaluates one row; its pictures are its samples and its pseudo-inputs."""
    print(f"{row.prior} prior, {row.guide} guide", file=sys.stderr)
    data = pv.data.load(row.data, root=row.root, flatten=True, transform=pv.data.Binarize())
    torch.manual_seed(row.seed)
    model, guide = pair(row, data.train.subset(torch.arange(1000)).transformed(row.seed))
    begun = Clock.now()
    run = pv.fit(
        model,
        guide,
        data,
        loss=objectives.ELBO(),
        optim=partial(torch.optim.Adam, lr=1e-3),
        epochs=row.epochs,
        batch_size=BATCH,
        seed=row.seed,
        device="cpu",
        kl_warmup=row.epochs / 4,
        progress=False,
    )
    trained = Clock.now().since(begun).cpu
    x = data.test.transformed(seed=0)[:: max(1, len(data.test) // TESTED)][:TESTED]
    bound = pv.evaluate.elbo(run, x, num_samples=10)
    evidence = pv.evaluate.log_evidence(run, x, num_samples=PARTICLES)
    pictures = {"samples": pv.predict.sample(run, 16, mean=True, seed=row.seed).tolist()}
    if row.prior == "VampPrior":
        pictures["pseudo-inputs"] = model.prior.pseudo_inputs[:16].detach().tolist()
    return {
        "prior": row.prior,
        "guide": row.guide,
        "steps": run.history[-1].step,
        "cpu_seconds": trained,
        "cpu_seconds_in_all": Clock.now().since(begun).cpu,
        "elbo": mean_and_error(bound.elbo),
        "rate": mean_and_error(bound.kl["z"]),
        "evidence": mean_and_error(evidence),
        "pictures": pictures,
    }


def measured(rows: list[Row], jobs: int) -> Iterator[dict[str, Any]]:
    """Results in the order of the rows, so many at a time; each on one thread where they are several."""
    if jobs == 1:
        yield from map(measure, rows)
        return
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, fresh, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(measure, rows)


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table, nats per digit."""
    head = ["prior", "guide", f"IWAE-{PARTICLES}", "± s.e.", "ELBO", "rate", "CPU s"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for row in results:
        cells = [row["prior"], row["guide"]]
        cells += [f"{row['evidence']['mean']:.2f}", f"{row['evidence']['standard_error']:.2f}"]
        cells += [f"{row['elbo']['mean']:.2f}", f"{row['rate']['mean']:.1f}", f"{row['cpu_seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: list[dict[str, Any]], folder: Path) -> None:
    """Two pictures: samples of every prior (under the diagonal guide), and pseudo-inputs of the VampPrior."""
    from matplotlib.figure import Figure

    diagonal = {row["prior"]: row["pictures"] for row in results if row["guide"] == GUIDES[0]}
    samples = {prior: pictures["samples"] for prior, pictures in diagonal.items()}
    inputs = {
        f"{row['guide']} guide": row["pictures"]["pseudo-inputs"]
        for row in results
        if "pseudo-inputs" in row["pictures"]
    }
    for name, rows in (("prior-samples", samples), ("pseudo-inputs", inputs)):
        if not rows:
            continue
        figure = Figure(figsize=(8.5, 0.75 * len(rows)), layout="constrained")
        for axes, (label, images) in zip(
            figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True
        ):
            side = round(len(images[0]) ** 0.5)
            strip = torch.tensor(images).reshape(-1, side, side).permute(1, 0, 2).reshape(side, -1)
            axes.imshow(strip, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
            axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        figure.savefig(folder / f"{name}.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist")
    parser.add_argument("--root", help="where MNIST lies; by default PYROVAE_DATA says so")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    parser.add_argument("--jobs", type=int, default=2, help="how many rows at a time, one thread each")
    parser.add_argument("--only", default="", help="the rows whose prior and guide contain this")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--out", type=Path, help="draw samples and pseudo-inputs into images/ of this folder")
    options = parser.parse_args()
    rows = [
        Row(prior, guide, options.data, options.root, options.epochs, options.seed)
        for prior in PRIORS
        for guide in GUIDES
        if options.only in f"{prior}, {guide}"
    ]
    begun = time.perf_counter()
    results = list(measured(rows, options.jobs))
    times = os.times()
    took = {
        "cpu_minutes": (times.user + times.system + times.children_user + times.children_system) / 60,
        "wall_minutes": (time.perf_counter() - begun) / 60,
    }
    print(table(results))
    print(f"\nNats per digit, {TESTED:,} test digits; {results[0]['steps']:,} steps each.")
    print("{cpu_minutes:.1f} CPU minutes in all, {wall_minutes:.1f} on the clock".format(**took))
    if options.out:
        (options.out / "images").mkdir(parents=True, exist_ok=True)
        draw(results, options.out / "images")
    if options.json:
        facts = {"machine": machine(), "settings": {k: str(v) for k, v in vars(options).items()}, **took}
        options.json.write_text(json.dumps({**facts, "rows": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
