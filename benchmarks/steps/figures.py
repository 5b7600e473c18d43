"""From blocks to figures: medians with quartiles, break-even steps, and the bars that ours has to clear."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from measure import quartiles

from steps.drive import WARM_UP, Measured
from steps.sides import REFERENCE, SIDES

OFFICIAL = "pyro"


class Bar(NamedTuple):
    """How long a step of ours may take, in steps of another side."""

    workload: str
    other: str
    limit: float
    ours: str = "ours-compile"


BARS = (
    Bar("mlp", "hand", 0.70),
    Bar("mlp", "hand-compile-fused", 0.90),
    Bar("mlp", "pyro", 0.50),
    Bar("conv", "hand", 0.95),
    Bar("iwae", "hand", 0.85),
    Bar("tiny", "hand", 0.50),
    Bar("mlp", "numpyro", 1.10),
    Bar("iwae", "numpyro", 1.10),
)


def figures(measured: dict[str, Measured], clock: str) -> dict[str, dict[str, Any]]:
    """What the table shows of each side; ratios are to the reference's neighbouring blocks."""
    results = {name: of_side(name, found, clock) for name, found in measured.items()}
    for result in results.values():
        result["break_even"] = {
            other: break_even(result, results[other]) for other in (REFERENCE, OFFICIAL) if other in results
        }
    return results


def of_side(name: str, found: Measured, clock: str) -> dict[str, Any]:
    pairs = found.pairs
    seconds = {kind: [getattr(pair.side, kind) for pair in pairs] for kind in ("wall", "cpu")}
    ratios = {
        kind: [getattr(pair.side, kind) / getattr(pair.reference, kind) for pair in pairs]
        for kind in ("wall", "cpu")
    }
    step = statistics.median(seconds["wall"])
    starts = found.starts
    return {
        "label": SIDES[name].label,
        "milliseconds": {kind: quartiles([1e3 * s for s in of]) for kind, of in seconds.items()},
        "ratio": quartiles(ratios[clock]),
        "ratios": ratios,
        "first_seconds": starts.first,
        # What the beginning took beyond as many ordinary steps.
        "extra_seconds": max(starts.first + starts.warm - (1 + WARM_UP) * step, 0.0),
        "losses": starts.losses,
        "idle_cpu_seconds": found.idle_cpu,
    }


def break_even(one: dict[str, Any], other: dict[str, Any]) -> float | None:
    """The number of steps from which on ``one`` has needed less wall time than ``other``; None: never."""
    # The steps by ratios, for they are paired.
    unit = 1e-3 * other["milliseconds"]["wall"]["median"]
    relative = statistics.median(one["ratios"]["wall"]) / statistics.median(other["ratios"]["wall"])
    owed = one["extra_seconds"] - other["extra_seconds"]
    if relative >= 1:
        return None
    return max(owed / (unit * (1 - relative)), 0.0)


def bars(workload: str, results: dict[str, dict[str, Any]], clock: str) -> list[dict[str, Any]]:
    """The bars of one workload: the quotient of median ratios, and its quartiles over rounds."""
    rows = []
    for bar in BARS:
        if bar.workload != workload:
            continue
        row: dict[str, Any] = {**bar._asdict(), "ratio": None}
        if bar.ours in results and bar.other in results:
            ours, other = (results[name]["ratios"][clock] for name in (bar.ours, bar.other))
            # Of the reference every block is kept: in each round it is by definition 1.
            other = [1.0] * len(ours) if bar.other == REFERENCE else other
            row["ratio"] = {
                **quartiles([a / b for a, b in zip(ours, other, strict=True)]),
                "median": statistics.median(ours) / statistics.median(other),
            }
            row["met"] = row["ratio"]["median"] <= bar.limit
        rows.append(row)
    return rows
