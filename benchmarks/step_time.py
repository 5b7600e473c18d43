"""One optimisation step, side by side: hand-written torch, Pyro, pyrovae, NumPyro and pythae, in alternation.

    python benchmarks/step_time.py --markdown                          the MLP
    python benchmarks/step_time.py --workload all --numpyro ~/numpyro/bin/python --picture steps.png
    python benchmarks/step_time.py --sweep                             the MLP at batches from 32 to 4096
    python benchmarks/step_time.py --verify --workload all             do all sides compute the same loss?
    python benchmarks/step_time.py --check                             a rehearsal in seconds

A step: the batch is in memory; forward, backward, update, and the loss as a float. Each side is a process of
its own, and one alone runs at a time. Between any two blocks of steps of other sides runs one of hand-written
eager torch; a block's ratio is its time by the mean of its two neighbours.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from measure import machine
from steps import drive, figures, picture, tables
from steps.problem import pose
from steps.sides import REFERENCE, SIDES, chosen
from steps.workloads import SWEEP, WORKLOADS

SHARPEN = 2.0  # for --verify: a posterior far from the prior, where a wrong term would show


def setting_of(options: argparse.Namespace) -> drive.Setting:
    interpreters = {"torch": sys.executable, "numpyro": options.numpyro, "pythae": options.pythae}
    return drive.Setting(
        device=options.device,
        threads=options.threads,
        seed=options.seed,
        flush_denormal=options.flush_denormal,
        omp_wait=options.omp_wait,
        cold=not options.warm_cache,
        interpreters={name: path for name, path in interpreters.items() if path},
    )


def one(name: str, batch: int | None, options: argparse.Namespace) -> dict[str, Any]:
    """All that is measured, or verified, of one workload at one batch size."""
    work, setting = WORKLOADS[name], setting_of(options)
    batch = batch or work.batch
    compiling = not (options.check or options.verify)
    sides, left_out = chosen(name, options.device, setting.interpreters, options.sides, compiling=compiling)
    result = {"workload": name, "about": work.about, "batch": batch, "left_out": left_out}
    if options.verify:
        problem = pose(work, batch=batch, seed=options.seed, sharpen=SHARPEN)
        losses, failed = drive.draw(sides, problem, setting, options.draws)
        return {**result, "losses": losses, "failed": failed}
    problem = pose(work, batch=batch, seed=options.seed)
    measured, failed = drive.measure(
        sides, problem, setting, rounds=options.rounds, seconds=options.block_seconds
    )
    found = figures.figures(measured, options.clock)
    # The bars are set for the ordinary batch.
    bars = figures.bars(name, found, options.clock) if batch == work.batch else []
    return {**result, "sides": found, "failed": failed, "bars": bars}


def text_of(results: list[dict[str, Any]], options: argparse.Namespace) -> str:
    if options.verify:
        return "\n\n".join(tables.of_losses(result) for result in results)
    parts = [tables.of_sides(result, options.clock) for result in results]
    return "\n\n".join(filter(None, [*parts, tables.of_bars(results)]))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--workload", choices=[*WORKLOADS, "all"], help="by default the mlp")
    add("--batch", type=int, help="instead of the workload's own")
    add("--sweep", action="store_true", help=f"the MLP at batches {', '.join(map(str, SWEEP))}")
    add("--sides", nargs="+", choices=list(SIDES), help=f"these alone, and {REFERENCE}; by default all")
    add(
        "--numpyro", metavar="PYTHON", help="an interpreter that has numpyro; without it the side is left out"
    )
    add("--pythae", metavar="PYTHON", help="an interpreter that has pythae; without it the side is left out")
    add("--rounds", type=int, default=15, help="blocks of each side")
    add("--block-seconds", type=float, default=0.3, help="about how long a block takes")
    add("--clock", choices=("wall", "cpu"), default="wall", help="of the ratios; cpu counts all threads")
    add("--threads", type=int, default=2, help="of every side")
    add("--device", default="cpu", help="cpu or cuda, of the torch sides")
    add("--seed", type=int, default=0, help="of weights, data, noise and order")
    add("--flush-denormal", action="store_true", help="torch.set_flush_denormal(True) in all torch sides")
    add("--omp-wait", choices=("default", "passive"), default="default", help="of OpenMP's idle threads")
    add("--warm-cache", action="store_true", help="take the user's Inductor cache, not an empty one")
    add("--verify", action="store_true", help="compare mean losses at common weights; no clocks")
    add("--draws", type=int, default=200, help="of --verify")
    add("--check", action="store_true", help="a rehearsal: tiny, short, and nothing that compiles")
    add("--json", type=Path, help="also write all figures to this file")
    add("--picture", type=Path, help="also draw the ratios into this file")
    add("--markdown", action="store_true", help="print Markdown tables instead of JSON")
    return parser


def main() -> None:
    options = parser().parse_args()
    if options.check:
        options.workload, options.rounds = options.workload or "tiny", 2
        options.block_seconds = 0.01
    work = options.workload or "mlp"
    if options.sweep:
        runs = [("mlp", batch) for batch in SWEEP]
    else:
        runs = [(name, options.batch) for name in (WORKLOADS if work == "all" else [work])]
    results = [one(name, batch, options) for name, batch in runs]
    kept = {
        "machine": machine() | {"threads": options.threads},
        "settings": {k: str(v) for k, v in vars(options).items()},
        "results": results,
    }
    text = json.dumps(kept, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.picture and not options.verify:
        picture.draw(results, options.picture)
    print(text_of(results, options) if options.markdown else text)
    if any(result["failed"] for result in results):
        sys.exit("some sides failed: see above")


if __name__ == "__main__":
    main()
