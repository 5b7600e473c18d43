"""How far each guide stays from posteriors that are known exactly, and what it costs.

    python benchmarks/guide_gaps.py                 the tables, as Markdown
    python benchmarks/guide_gaps.py --out docs      and docs/images/guide-gaps.png
    python benchmarks/guide_gaps.py --steps 20 --seeds 1 --rows diagonal Full --rounds 1      a rehearsal

Three models without parameters, so that all that is trained is the guide: the gap is
log p(x) - ELBO = KL(q(z | x) || p(z | x)), the mean over test data, nats. log p(x) is known by quadrature.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from gaps import picture
from gaps.best import least_gap
from gaps.costs import costs, large, small
from gaps.guides import ROWS, Row
from gaps.problems import PROBLEMS
from gaps.training import Known, draws, lesser_mode, measure, train
from measure import Clock, machine
from torch import Tensor

from pyrovae.objectives import ELBO, IWAE, Objective

LARGE = 1000
"""Nats: a gap beyond is that of a few draws far out, and its number means nothing."""
SEVERAL = 8
"""The particles of the importance weighted bound that guides are trained by in the last table."""
BY_IWAE = (
    "diagonal normal",
    "FullNormal",
    "NormalMixture(4)",
    "flow: IAF",
    "flow: RealNVP",
    "flow: NeuralSpline",
)


def gaps_of(rows: list[Row], known: Known, options: argparse.Namespace) -> dict[str, Any]:
    """What is measured on every guide of a problem, seed by seed, and draws for the picture."""
    found: dict[str, Any] = {row.name: {"steps": row.longer * options.steps, "runs": []} for row in rows}
    for seed in range(options.seeds):
        for row in rows:
            figures, z = one(row, known, options.steps, seed, ELBO(row.draws))
            found[row.name]["runs"].append(figures)
            if seed == 0:
                found[row.name]["draws"] = [[round(v, 3) for v in point] for point in z[:, 0].tolist()]
    return found


def modes_of(rows: list[Row], known: Known, options: argparse.Namespace) -> dict[str, Any]:
    """The same, without draws, of some guides trained by a bound of several particles."""
    rows = [row for row in rows if row.name in BY_IWAE]
    seeds = range(options.seeds)
    return {
        row.name: [one(row, known, options.steps, seed, IWAE(SEVERAL))[0] for seed in seeds] for row in rows
    }


def least_of(known: Known) -> dict[str, float]:
    """The least gap that a family of normals can have, the mean over the test data."""
    families = {"diagonal": False, "full": True}
    return {
        name: least_gap(known.problem, known.test, known.log_evidence, full=full).mean().item()
        for name, full in families.items()
    }


def one(
    row: Row, known: Known, steps: int, seed: int, objective: Objective
) -> tuple[dict[str, float], Tensor]:
    """What is measured on one training of a guide, and its draws for each test datum."""
    begun = Clock.now()
    run = train(row, known, steps=steps, seed=seed, objective=objective)
    figures, z = measure(run, row, known, seed=seed), draws(run, row, known)
    if known.problem.name == "bimodal":
        figures["lesser"] = lesser_mode(z)
    told = ", ".join(f"{key} {value:.4f}" for key, value in figures.items())
    seconds = Clock.now().since(begun).cpu
    what = f"{known.problem.name}, {type(objective).__name__}, seed {seed}, {row.name}"
    print(f"{what}: {told}, {seconds:.1f} s", file=sys.stderr, flush=True)
    return figures, z


def tables_of(results: dict[str, Any]) -> str:
    """All tables as Markdown."""
    problems = list(results["gaps"])
    first = [f"| Guide | {' | '.join(problems)} | steps | parameters | step | step of a VAE |"]
    first.append("|---|" + "---:|" * (len(problems) + 4))
    second = [f"| Guide | {' | '.join(f'{name}: short by | effective' for name in problems)} |"]
    second.append("|---|" + "---:|" * (2 * len(problems)))
    for name in results["gaps"][problems[0]]:
        runs = [results["gaps"][problem][name]["runs"] for problem in problems]
        cells = [spread([run["gap"] for run in each], 3) for each in runs]
        small_, large_ = (results["costs"][size][name] for size in ("small", "large"))
        steps = results["gaps"][problems[0]][name]["steps"]
        cells += [f"{steps:,}", f"{small_['parameters']:,}", ratio(small_), ratio(large_)]
        first.append(f"| {name} | {' | '.join(cells)} |")
        cells = [cell for each in runs for cell in _usable(each)]
        second.append(f"| {name} | {' | '.join(cells)} |")
    for family in ("diagonal", "full"):
        cells = [f"{results['least'][problem][family]:.3f}" for problem in problems]
        first.append(f"| *the best {family} normals* | {' | '.join(cells)} | | | | |")
    third = [
        "| Guide | trained by | gap | short by | effective | in the lesser mode |",
        "|---|---|" + "---:|" * 4,
    ]
    for name, by_iwae in results["modes"].items():
        by_elbo = results["gaps"]["bimodal"][name]["runs"]
        for objective, runs in {"ELBO": by_elbo, f"IWAE, {SEVERAL}": by_iwae}.items():
            cells = [spread([run["gap"] for run in runs], 3), *_usable(runs)]
            cells.append(f"{fmean(run['lesser'] for run in runs):.0%}")
            third.append(f"| {name} | {objective} | {' | '.join(cells)} |")
    return "\n\n".join("\n".join(lines) for lines in (first, second, third))


def _usable(runs: list[dict[str, float]]) -> list[str]:
    return [spread([run["short"] for run in runs], 3), f"{fmean(run['effective'] for run in runs):.0%}"]


def spread(values: Sequence[float], places: int) -> str:
    """A mean and, of several, the standard deviation."""
    if fmean(values) > LARGE:
        return f"> {LARGE}"
    mean = f"{fmean(values):.{places}f}"
    return f"{mean} ± {stdev(values):.{places}f}" if len(values) > 1 else mean


def ratio(found: dict[str, float]) -> str:
    """A median of ratios."""
    return f"{found['median']:.1f}"


def everything(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    begun = Clock.now()
    rows = [row for row in ROWS if not options.rows or any(word in row.name for word in options.rows)]
    known = {name: Known(problem, tested=options.tested) for name, problem in PROBLEMS.items()}
    size = {"rounds": options.rounds}
    results: dict[str, Any] = {
        "machine": machine(),
        "gaps": {name: gaps_of(rows, each, options) for name, each in known.items()},
        "least": {name: least_of(each) for name, each in known.items()},
        "modes": modes_of(rows, known["bimodal"], options),
        "costs": {
            "small": costs(rows, small(), steps=10, **size),
            "large": costs(rows, large(), steps=3, **size),
        },
    }
    return results | {"seconds": Clock.now().since(begun).cpu}


def notes_of(results: dict[str, Any]) -> str:
    """What the tables leave unsaid."""
    runs = [run for each in results["gaps"].values() for row in each.values() for run in row["runs"]]
    error = max(run["error"] for run in runs)
    lowest = min(run["gap"] / run["error"] for run in runs)
    return (
        f"Monte Carlo standard error of a gap: at most {error:.3f}. The lowest gap by its own: {lowest:.1f}. "
        f"{results['seconds'] / 60:.1f} CPU minutes."
    )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--steps", type=int, default=1000, help="of a training; some rows take a multiple")
    add("--seeds", type=int, default=1, help="how many trainings for each row")
    add("--rounds", type=int, default=11, help="of blocks, for the costs")
    add("--tested", type=int, default=200, help="data that gaps are the means of")
    add("--rows", nargs="+", metavar="WORD", help="only rows whose names hold one of these")
    add("--out", type=Path, help="the folder of the docs: draws images/guide-gaps.png there")
    add("--json", type=Path, help="also write all figures to this file")
    add("--redraw", type=Path, help="train nothing: tables and picture of such a file")
    return parser


def main() -> None:
    options = parser().parse_args()
    torch.set_num_threads(1)
    results = json.loads(options.redraw.read_text("utf-8")) if options.redraw else everything(options)
    if options.json:
        options.json.write_text(json.dumps(results) + "\n", encoding="utf-8")
    print(f"{tables_of(results)}\n\n{notes_of(results)}")
    if options.out:
        shown = {
            problem: {
                name: {"draws": each["draws"], "gap": fmean(run["gap"] for run in each["runs"])}
                for name, each in guides.items()
            }
            for problem, guides in results["gaps"].items()
        }
        path = options.out / "images" / "guide-gaps.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.draw(shown, path)


if __name__ == "__main__":
    main()
