"""The tables: the sides of each workload, the bars, and the mean losses."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from measure import mean_and_error

from steps.drive import WARM_UP
from steps.sides import NOTES, REFERENCE, SIDES


def of_sides(result: dict[str, Any], clock: str) -> str:
    """The sides of one workload; those left out or failed stand below with the reason."""
    batch, sides, hand = result["batch"], result["sides"], SIDES[REFERENCE].label
    heads = ["Side", f"ms a step ({clock})", f"against {hand}", "first step, s", "extra, s"]
    heads += [f"pays against {hand}", "pays against `pyro.infer.SVI`", f"nats after {1 + WARM_UP} steps"]
    lines = [
        f"### {result['about']}, batch {batch}",
        "",
        "| " + " | ".join(heads) + " |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, side in sides.items():
        even = side["break_even"] if SIDES[name].ahead else {}
        cells = [
            side["label"],
            f"{side['milliseconds'][clock]['median']:.3g}",
            spread(side["ratio"]) if name != REFERENCE else "1",
            f"{side['first_seconds']:.2f}",
            f"{side['extra_seconds']:.2f}",
            *("" if other == name or other not in even else steps(even[other]) for other in ("hand", "pyro")),
            f"{sum(side['losses'][-5:]) / 5 / batch:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *remarks(result, sides)])


def remarks(result: dict[str, Any], shown: Iterable[str]) -> list[str]:
    """What has to be said of sides: left out, failed, or shown with a reservation."""
    said = result["left_out"] | {f"{SIDES[name].label} FAILED": why for name, why in result["failed"].items()}
    for name in shown:
        if note := NOTES.get((name, result["workload"])):
            said[SIDES[name].label] = note
    return [""] * bool(said) + [f"- {label}: {what}" for label, what in said.items()]


def spread(ratio: dict[str, float]) -> str:
    return "{median:.2f} ({lower:.2f} to {upper:.2f})".format(**ratio)


def steps(count: float | None) -> str:
    """A break-even in words."""
    return "never" if count is None else "at once" if count < 1 else f"from {math.ceil(count):,} steps on"


def of_bars(results: list[dict[str, Any]]) -> str:
    """All bars of the measured workloads at their own batch sizes."""
    rows = [bar for result in results for bar in result["bars"]]
    if not rows:
        return ""
    lines = ["### Bars", "", "| Workload | Ratio | Bar | Measured (quartiles) | |", "|---|---|---:|---:|---|"]
    for bar in rows:
        ratio = f"{SIDES[bar['ours']].label} / {SIDES[bar['other']].label}"
        found = (
            ("", "not measured")
            if bar["ratio"] is None
            else (
                spread(bar["ratio"]),
                "met" if bar["met"] else "MISSED",
            )
        )
        lines.append(f"| {bar['workload']} | {ratio} | {bar['limit']:.2f} | {found[0]} | {found[1]} |")
    return "\n".join(lines)


def of_losses(result: dict[str, Any]) -> str:
    """Mean loss of each side at the same weights, and its distance from the reference in standard errors."""
    import torch

    lines = [
        f"### {result['about']}, batch {result['batch']}: mean loss at common weights, nats per datum",
        "",
        "| Side | mean | standard error | distance from by hand, standard errors |",
        "|---|---:|---:|---:|",
    ]
    moments = {
        name: mean_and_error(torch.tensor(losses, dtype=torch.float64) / result["batch"])
        for name, losses in result["losses"].items()
    }
    for name, of in moments.items():
        hand = moments[REFERENCE]
        error = math.hypot(of["standard_error"], hand["standard_error"])
        distance = "" if name == REFERENCE else f"{(of['mean'] - hand['mean']) / error:+.1f}"
        lines.append(f"| {SIDES[name].label} | {of['mean']:.4f} | {of['standard_error']:.4f} | {distance} |")
    return "\n".join([*lines, *remarks(result, moments)])
