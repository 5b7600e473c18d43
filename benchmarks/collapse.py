"""Posterior collapse: a decoder that can ignore z, under the plain ELBO and under every cure.

    python benchmarks/collapse.py --root DIR       MNIST in DIR (or PYROVAE_DATA), halved to 14 x 14
    python benchmarks/collapse.py --data digits    a rehearsal on the embedded digits

Every row trains the same pair from the same weights for the same number of steps, by another objective or
another head; every row is then scored alike, by the unweighted ELBO, the evidence by importance sampling,
the rate, and the active units.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hand_written as hand
import torch
from collapsing.measures import measure, rate
from collapsing.picture import draw
from collapsing.programs import LATENT, pair
from measure import Clock, machine
from torch import Tensor
from torch.nn import functional as F

import pyrovae as pv
from pyrovae import objectives as o

TARGET = 4.0
"""The nats that free bits, capacity and the committed rate ask for, all latent dimensions together."""
BATCH = 128
TRAINED = 20_480
"""How many of MNIST's training images are used: 160 batches."""


class Row(NamedTuple):
    """One way to train: its name, its objective for a number of steps, and what else differs."""

    name: str
    objective: Callable[[int], Any]
    head: Any = None
    decoder: str = "autoregressive"
    learning_rate: float = 1e-2


def _constant(objective: Callable[[], Any]) -> Callable[[int], Any]:
    return lambda steps: objective()


def _warm(steps: int) -> Any:
    return o.ELBO(beta=o.Linear(0.0, 1.0, steps=steps // 2))


ROWS = [
    Row("factorised decoder, plain ELBO", _constant(o.ELBO), decoder="factorised"),
    Row("plain ELBO", _constant(o.ELBO)),
    Row("plain ELBO, learning rate 1e-3", _constant(o.ELBO), learning_rate=1e-3),
    Row("IWAE, 5 particles", _constant(lambda: o.IWAE(5))),
    Row("warm-up, linear", _warm),
    Row("warm-up, sigmoid", lambda steps: o.ELBO(beta=o.Sigmoid(0.0, 1.0, steps=steps // 2))),
    Row("warm-up, cyclical", lambda steps: o.ELBO(beta=o.Cyclical(0.0, 1.0, steps=3 * steps // 4))),
    Row("lagging", lambda steps: o.Lagging(5, steps=steps // 2)),
    Row("beta = 0.5", _constant(lambda: o.ELBO(beta=0.5))),
    Row("beta = 0.25", _constant(lambda: o.ELBO(beta=0.25))),
    Row("free bits, per dimension", _constant(lambda: o.FreeBits(TARGET / LATENT))),
    Row("free bits, per site", _constant(lambda: o.FreeBits(TARGET, per="site"))),
    Row("capacity", lambda steps: o.CapacityELBO(o.Linear(0.0, TARGET, steps=steps // 2), gamma=10.0)),
    Row("delta-VAE, 1 nat", _constant(o.ELBO), head=pv.heads.CommittedNormal(1.0)),
    Row("delta-VAE, 4 nats", _constant(o.ELBO), head=pv.heads.CommittedNormal(TARGET)),
    Row("delta-VAE, 4 nats, linear warm-up", _warm, head=pv.heads.CommittedNormal(TARGET)),
]


class Trace:
    """A logger of ``pyrovae.fit`` that keeps the rate after every epoch."""

    def __init__(self, guide: Any, x: Tensor) -> None:
        self.guide, self.x = guide, x
        self.points: list[tuple[int, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.points.append((step, rate(self.guide, self.x)))


def load(name: str, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """Gray training images, and test images binarised once; MNIST is averaged over 2 x 2 pixels."""
    x, test = hand.load(name, root)
    if name == "mnist":
        x, test = (F.avg_pool2d(part.view(-1, 1, 28, 28), 2).flatten(1) for part in (x[:TRAINED], test))
    return x, torch.bernoulli(test, generator=torch.Generator().manual_seed(0))


def train(
    row: Row,
    data: tuple[Tensor, Tensor],
    *,
    epochs: int,
    seed: int,
    samples: int = 500,
    compile: Any = "capture",
) -> dict[str, Any]:
    """One row with one seed: the trained pair's measures, its rate by step, seconds of training."""
    x, test = data
    model, guide = pair(x.shape[1], decoder=row.decoder, head=row.head, seed=seed)
    trace = Trace(guide, test[:1000])
    steps = epochs * -(-len(x) // BATCH)
    begun = Clock.now()
    run = pv.fit(
        model,
        guide,
        pv.data.Data(x, transform=pv.data.Binarize()),
        loss=row.objective(steps),
        optim=functools.partial(torch.optim.Adam, lr=row.learning_rate),
        epochs=epochs,
        batch_size=BATCH,
        seed=seed,
        device="cpu",
        progress=False,
        loggers=(trace,),
        compile=compile,
    )
    seconds = Clock.now().since(begun).cpu
    return {
        "seed": seed,
        **measure(run, (model, guide), test, samples=samples),
        "seconds": seconds,
        "trace": trace.points,
    }


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table: means over seeds, behind ± their standard deviation."""
    heads = ["ELBO", "log evidence", "reconstruction", "rate", "information", "active units", "CPU seconds"]
    keys = ["elbo", "evidence", "reconstruction", "rate", "information", "active", "seconds"]
    digits = [2, 2, 2, 2, 2, 1, 0]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, runs in results["rows"].items():
        cells = [spread([run[key] for run in runs], places) for key, places in zip(keys, digits, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: Sequence[float], places: int) -> str:
    """A mean and, of several, the standard deviation; whole numbers that agree stay whole."""
    mean = statistics.fmean(values)
    if places == 0 or len(values) == 1 or len(set(values)) == 1:
        return f"{mean:.{places}f}".removesuffix(".0")
    return f"{mean:.{places}f} ± {statistics.stdev(values):.{places}f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist", help="mnist, or digits")
    parser.add_argument("--root", type=Path, help="where MNIST lies; by default PYROVAE_DATA says so")
    parser.add_argument("--epochs", type=int, help="passes over the data; 8, or 60 over the digits")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings for each row")
    parser.add_argument("--samples", type=int, default=500, help="for the evidence of each datum")
    parser.add_argument("--rows", nargs="+", metavar="WORD", help="only rows whose names hold one of these")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--picture", type=Path, help="also draw the rates to this file")
    parser.add_argument("--redraw", type=Path, help="train nothing: table and picture of such a file")
    options = parser.parse_args()
    if options.redraw:
        results = json.loads(options.redraw.read_text(encoding="utf-8"))
    else:
        results = everything(options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.picture:
        draw(results["rows"], options.picture)
    print(table(results))


def everything(options: argparse.Namespace) -> dict[str, Any]:
    """All rows with all seeds."""
    data = load(options.data, options.root)
    epochs = options.epochs or (8 if options.data == "mnist" else 60)
    rows = [row for row in ROWS if not options.rows or any(word in row.name for word in options.rows)]
    found: dict[str, list[dict[str, Any]]] = {row.name: [] for row in rows}
    for seed in range(options.seeds):
        for row in rows:
            run = train(row, data, epochs=epochs, seed=seed, samples=options.samples)
            found[row.name].append(run)
            print(f"seed {seed}: {row.name}: {summary(run)}", file=sys.stderr, flush=True)
    return {"machine": machine(), "data": options.data, "epochs": epochs, "rows": found}


def summary(run: dict[str, Any]) -> str:
    """The figures of one training in a line."""
    return ", ".join(f"{key} {value:.2f}" for key, value in run.items() if isinstance(value, float))


if __name__ == "__main__":
    main()
