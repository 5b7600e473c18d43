"""Discrete latents on MNIST: every estimator's test bound in one table.

    python benchmarks/discrete_latents.py --root DIR                  MNIST in DIR (or PYROVAE_DATA)
    python benchmarks/discrete_latents.py --data digits --epochs 5    a rehearsal on the embedded digits

Two models, each trained once by each of its estimators, all from the same weights, on the same data in the
same order, for the same number of steps:

- 20 binary latents (``discrete/binary.py``): score function with each baseline, VIMCO, straight-through,
  Gumbel-softmax, Concrete. Their evidence is computed exactly, by summing over all 2^20 latents.
- 10 classes and a normal latent, 1,000 digits labelled (``discrete/classes.py``): the class enumerated, or by
  score function; beside them the classifier alone, by the labels and nothing else.
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
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from discrete import binary, classes
from discrete.measuring import PARTICLES, bounds, trained
from measure import machine, mean_and_error
from torch import Tensor

import pyrovae as pv
from pyrovae import objectives as o

HIDDEN = 200
KNOWN = {"mnist": 1000, "digits": 100}
"""How many data are labelled."""
REPEATS = 10
"""How often an epoch shows each of those, while it shows the others once."""
EVERY = 40
"""Of so many test data one counts to those with a tight bound and the exact evidence."""


class Row(NamedTuple):
    """What a row is made from; small enough to be sent to a process."""

    model: str
    name: str
    data: str
    root: str | None
    epochs: int
    seed: int


@cache
def load(name: str, root: str | None) -> pv.data.Splits:
    """Digits, each binarised by a fresh draw at every use."""
    return pv.data.load(name, root=root, flatten=True, transform=pv.data.Binarize())


def measure(row: Row) -> dict[str, Any]:
    """Trains and evaluates one row."""
    print(f"{row.model}: {row.name}", file=sys.stderr)
    begun = time.process_time()
    results = MEASURES[row.model](row)
    results["cpu_seconds_in_all"] = time.process_time() - begun
    return {"model": row.model, "name": row.name, **results}


def of_bits(row: Row) -> dict[str, Any]:
    """A row of the model with 20 binary latents."""
    data = load(row.data, row.root)
    inputs = data.train.shape[0]
    torch.manual_seed(row.seed)
    decoder = pv.nets.MLP(binary.LATENT, HIDDEN, inputs)
    model, guide = binary.pair(decoder, pv.nets.MLP(inputs, HIDDEN, binary.LATENT))
    loss = binary.rows(inputs, row.epochs)[row.name]
    run, results = trained(model, guide, data, loss, epochs=row.epochs, seed=row.seed)
    x = data.test.transformed(seed=0)
    results |= bounds(run, o.ELBO(10), x, every=EVERY)
    exact = binary.log_evidence(decoder, run.params["prior"], x[::EVERY])
    return {**results, "evidence_of_some": mean_and_error(exact)}


def of_classes(row: Row) -> dict[str, Any]:
    """A row of the model with 10 classes."""
    data = partly_labelled(load(row.data, row.root), KNOWN[row.data])
    torch.manual_seed(row.seed)
    model, guide, classifier = classes.pair(data.train.shape[0], HIDDEN)
    loss = classes.rows()[row.name]
    run, results = trained(model, guide, data, loss, epochs=row.epochs, seed=row.seed)
    x = data.test.transformed(seed=0)
    nothing = torch.full((len(x),), classes.UNKNOWN)
    results |= bounds(run, o.ELBO(), x, nothing, every=EVERY)
    return {**results, "error": error_of(classifier, x, load(row.data, row.root).test.y)}


def of_labels(row: Row) -> dict[str, Any]:
    """The classifier by itself, for comparison: labelled data only, no model of the pictures."""
    full = load(row.data, row.root)
    train = partly_labelled(full, KNOWN[row.data]).train
    known = train.subset((train.y[: len(full.train)] != classes.UNKNOWN).nonzero()[:, 0])
    torch.manual_seed(row.seed)
    model, guide, classifier = classes.classification(train.shape[0], HIDDEN)
    _, results = trained(model, guide, known, None, epochs=row.epochs, seed=row.seed)
    return {**results, "error": error_of(classifier, full.test.transformed(seed=0), full.test.y)}


def partly_labelled(data: pv.data.Splits, known: int) -> pv.data.Splits:
    """Most labels taken away; the data with the others come several times an epoch."""
    train, labels = data.train, classes.hidden_labels(data.train.y, known=known)
    again = (labels != classes.UNKNOWN).nonzero()[:, 0].repeat(REPEATS - 1)
    index = torch.cat([torch.arange(len(labels)), again])
    nothing = torch.full_like(data.validation.y, classes.UNKNOWN)
    return pv.data.Splits(
        pv.data.Data(train.x[index], labels[index], train.transform),
        pv.data.Data(data.validation.x, nothing, train.transform),
        data.test,
    )


@torch.no_grad()
def error_of(classifier: torch.nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of data whose most probable class is not theirs."""
    return (classifier(x).argmax(-1) != y).double().mean().item()


MEASURES = {"20 bits": of_bits, "10 classes": of_classes, "classifier": of_labels}


def all_rows(options: argparse.Namespace) -> list[Row]:
    """Every row, the slowest first, so that two processes end together."""
    names = {
        "10 classes": reversed(classes.rows()),
        "20 bits": reversed(binary.rows(1, 1)),
        "classifier": ["the labelled digits alone"],
    }
    epochs = {"10 classes": max(1, options.epochs // 2), "20 bits": options.epochs}
    epochs["classifier"] = 20 * options.epochs
    return [
        Row(model, name, options.data, options.root, epochs[model], options.seed)
        for model, of_model in names.items()
        for name in of_model
    ]


def measured(rows: list[Row], jobs: int) -> Iterator[dict[str, Any]]:
    """Results in the order of the rows, so many at a time; each on one thread where they are several."""
    if jobs == 1:
        yield from map(measure, rows)
        return
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, fresh, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(measure, rows)


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    head = ["model", "trained by", "particles", "steps", "CPU s", "ELBO", "ELBO*", f"IWAE-{PARTICLES}*"]
    head += ["log p(x)*", "error, %"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for row in results:
        cells = [row["model"], row["name"], str(row.get("particles", "")), f"{row['steps']:,}"]
        cells.append(f"{row['cpu_seconds']:.0f}")
        bounds = (row.get(name) for name in ("elbo", "elbo_of_some", "iwae_of_some", "evidence_of_some"))
        cells += ["" if bound is None else f"{bound['mean']:.1f}" for bound in bounds]
        cells.append(f"{100 * row['error']:.1f}" if "error" in row else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def picture(results: list[dict[str, Any]], path: Path) -> None:
    """The validation ELBO of the 20 bits while they are trained, by steps and by CPU seconds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    results = [row for row in results if row["model"] == "20 bits"]
    if not results:
        return
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for row in results:
        elbo = row["validation_elbo_by_epoch"]
        steps = [row["steps"] * (epoch + 1) / len(elbo) for epoch in range(len(elbo))]
        style = "--" if row["particles"] > 1 else "-"
        axes[0].plot(steps, elbo, style)
        axes[1].plot(row["cpu_seconds_by_epoch"], elbo, style, label=row["name"])
    best = max(max(row["validation_elbo_by_epoch"]) for row in results)
    axes[0].set(xlabel="steps", ylabel="validation ELBO, nats per digit", ylim=(best - 50, best + 2))
    axes[1].set(xlabel="CPU seconds")
    axes[1].legend(loc="lower right", fontsize="small", frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(KNOWN), default="mnist", help="mnist in full, or digits")
    parser.add_argument("--root", help="where MNIST lies; by default PYROVAE_DATA says so")
    parser.add_argument("--epochs", type=int, default=10, help="of the 20 bits; the 10 classes take half")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    parser.add_argument("--jobs", type=int, default=2, help="how many rows at a time, one thread each")
    parser.add_argument("--only", default="", help="the rows whose model and name contain this")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--picture", type=Path, help="also draw the bounds during training, to this file")
    options = parser.parse_args()
    rows = [row for row in all_rows(options) if options.only in f"{row.model}, {row.name}"]
    begun = time.perf_counter()
    results = list(measured(rows, options.jobs))[::-1]
    times = os.times()
    took = {
        "cpu_minutes": (times.user + times.system + times.children_user + times.children_system) / 60,
        "wall_minutes": (time.perf_counter() - begun) / 60,
    }
    print(table(results))
    print(f"\nBounds in nats per test digit; * every {EVERY}th of them.")
    print("{cpu_minutes:.1f} CPU minutes in all, {wall_minutes:.1f} on the clock".format(**took))
    if options.json:
        facts = {"machine": machine(), "settings": vars(options) | {"json": None, "picture": None}, **took}
        options.json.write_text(json.dumps({**facts, "rows": results}, indent=2) + "\n", encoding="utf-8")
    if options.picture:
        picture(results, options.picture)


if __name__ == "__main__":
    main()
