"""How noisy, and how far off, each estimator of a gradient is: on pairs whose exact gradients are known.

    python benchmarks/gradient_variance.py                 the tables, as Markdown
    python benchmarks/gradient_variance.py --out docs      and docs/images/gradient-variance.png
    python benchmarks/gradient_variance.py --draws 4 --truths bernoulli --particles 1 2

The gradient is that of the guide's parameters, of the negative bound, at the truth's own values. Its variance
is the sum over all parameters, for one datum and one call; its bias the distance of its mean from the exact
gradient, by the length of that one. Draws of a call share nothing, so that the data are repeated in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from measure import machine
from truths import TRUTHS, Truth
from variance import picture
from variance.estimators import has_relaxations, of_elbo, of_iwae
from variance.figures import measured, reference_of

from pyrovae.objectives import ELBO, Concrete, GumbelSoftmax, Objective

COUNTS = (1, 2, 4, 8, 16, 32, 64)
IN_TABLE = 4
IWAE_IN_TABLE = 3
CURVES = ("ppca", "discrete")
TEMPERATURES = (1.0, 0.5, 0.2, 0.1)
RELAXED = {
    "Gumbel-Softmax": GumbelSoftmax,
    "Gumbel-Softmax, hard": partial(GumbelSoftmax, hard=True),
    "Concrete": Concrete,
}


def rows_of(truth: Truth, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each estimator of a truth, of a few particles."""
    rows, size = [], (options.draws, options.repeats)
    for objectives in (of_elbo(truth, IN_TABLE), of_iwae(truth, IWAE_IN_TABLE)):
        for name, objective in objectives.items():
            row = {"truth": truth.name, "estimator": name, "particles": objective.num_particles}
            reference = reference_of(truth, objective, *size)
            rows.append(row | measured(truth, objective, *size, reference))
    return rows


def panels_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The variance of the ELBO's estimators, and the signal of IWAE's, by the number of particles."""
    noise, signal = "variance of the guide's gradient, one datum", "signal to noise of the guide's gradient"
    return [
        *(
            {"title": f"ELBO, {name}", "about": noise, **_lines(name, of_elbo, "variance", options)}
            for name in CURVES
        ),
        {"title": "IWAE, ppca", "about": signal, **_lines("ppca", of_iwae, "signal_to_noise", options)},
    ]


def _lines(
    name: str,
    objectives_of: Callable[[Truth, int], Mapping[str, Objective]],
    figure: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """One figure of a truth's estimators for each number of particles, and which of them are biased."""
    lines: dict[str, dict[int, float]] = {}
    for count in options.particles:
        for label, objective in objectives_of(TRUTHS[name], count).items():
            if label in picture.COLOURS:
                found = measured(TRUTHS[name], objective, options.draws, options.repeats)
                lines.setdefault(label, {})[count] = found[figure]
    biased = sorted({"straight-through", "Gumbel-Softmax", "Concrete"} & set(lines))
    return {"lines": lines, "counts": options.particles, "biased": biased}


def table_of(truth: Truth, rows: list[dict[str, Any]]) -> str:
    """A truth's rows as a Markdown table, by bound and variance."""
    head = [
        f"### {truth.name}",
        "",
        "| Estimator | particles | variance | bias |",
        "|---|---:|---:|---:|",
    ]
    rows = sorted(rows, key=lambda row: (row["particles"] != IN_TABLE, row["variance"]))
    return "\n".join(
        [
            *head,
            *(
                f"| {row['estimator']} | {row['particles']} | {_number(row['variance'])} | {_bias(row)} |"
                for row in rows
            ),
        ]
    )


def temperatures_of(truth: Truth, options: argparse.Namespace) -> str:
    """The bias of what is relaxed, by its temperature, as a Markdown table."""
    size = (options.draws, options.repeats)
    lines = [
        f"### {truth.name}: bias by temperature",
        "",
        f"| Estimator | {' | '.join(map(str, TEMPERATURES))} |",
        f"|---|{'---:|' * len(TEMPERATURES)}",
    ]
    for name, relaxed in RELAXED.items():
        cells = []
        for temperature in TEMPERATURES:
            objective = ELBO(IN_TABLE, estimators=relaxed(temperature))
            cells.append(_bias(measured(truth, objective, *size, reference_of(truth, objective, *size))))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "0" if value < 1e-12 else f"{value:.3g}"


def _bias(row: dict[str, Any]) -> str:
    if row["error"] < 1e-9:
        return "0"
    if row["bias"] < 3 * row["error"]:
        return f"none seen (s.e. {row['error']:.1%})"
    return f"**{row['bias']:.0%}** (s.e. {row['error']:.1%})"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--draws", type=int, default=60, help="calls of each objective")
    add("--repeats", type=int, default=100, help="how often the data are repeated in a call")
    add("--truths", nargs="+", choices=list(TRUTHS), default=list(TRUTHS), help="by default all")
    add("--particles", nargs="+", type=int, default=list(COUNTS), help="of the curves")
    add("--out", type=Path, help="the folder of the docs: draws images/gradient-variance.png there")
    add("--json", type=Path, help="also write all figures to this file")
    return parser


def main() -> None:
    options = parser().parse_args()
    tables, kept = [], []
    for name in options.truths:
        rows = rows_of(TRUTHS[name], options)
        kept += rows
        tables.append(table_of(TRUTHS[name], rows))
        if has_relaxations(TRUTHS[name]):
            tables.append(temperatures_of(TRUTHS[name], options))
    print("\n\n".join(tables))
    panels = panels_of(options) if options.out else []
    if options.out:
        path = options.out / "images" / "gradient-variance.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.draw(panels, path)
    if options.json:
        whole = {"machine": machine(), "rows": kept, "panels": panels}
        options.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
