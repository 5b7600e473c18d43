"""Each part beside the same thing written by hand in torch: CPU time, eager, at equal weights.

    OMP_NUM_THREADS=1 python benchmarks/part_time.py --markdown
    python benchmarks/part_time.py --only heads.PixelCNN             those with this in their name
    python benchmarks/part_time.py --check                           do both give the same numbers? no clocks

The hand-written side (:mod:`by_hand`) knows neither Pyro nor pyrovae. First both sides work once after one
seed, and their values and gradients are compared. Then blocks of each alternate, A B A B; a block's ratio is
its CPU time by the mean of its two neighbours.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyro
import torch
from measure import Clock, machine, quartiles
from part_pairs import PAIRS, Pair
from part_pairs.pair import Work

ROUNDING = 1e-2
"""How far apart in single precision; a spline's gradient jumps where a number falls into the next bin."""


def difference(pair: Pair, seed: int = 0) -> float:
    """The largest of values and gradients, each by the largest of its kind."""
    results = []
    for work in (pair.pyrovae, pair.hand):
        torch.manual_seed(seed)
        results.append(work())
    return max(
        ((ours - hand).abs().max() / hand.abs().max().clamp(min=1)).item()
        for ours, hand in zip(*results, strict=True)
    )


def checked(name: str, pair: Pair, tolerance: float) -> float:
    """How far the two sides are apart.

    Raises:
        ValueError: by more than they may be.
    """
    apart = difference(pair)
    if not apart < tolerance:
        raise ValueError(f"{name}: the two sides differ by {apart:.1e}")
    return apart


def seconds(work: Work, calls: int) -> float:
    """CPU seconds of so many calls."""
    begun = Clock.now()
    for _ in range(calls):
        work()
    return Clock.now().since(begun).cpu


def ratio(work: Work, by: Work, *, rounds: int, block: float) -> dict[str, Any]:
    """The time of one by that of another, each block by the mean of its neighbours; milliseconds a call."""
    for side in (work, by):
        side()
    once = max(min(seconds(by, 1) for _ in range(3)), 1e-5)
    calls = max(1, round(block / once))
    times = [(seconds(by, calls), seconds(work, calls)) for _ in range(rounds + 1)]
    ratios = [a / ((b + after) / 2) for (b, a), (after, _) in pairwise(times)]
    hand = quartiles([1e3 * b / calls for b, _ in times])
    return {"ratio": quartiles(ratios), "hand_ms": hand["median"]}


def measured(name: str, pair: Pair, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of a pair."""
    how = {"rounds": options.rounds, "block": options.block_seconds}
    with pyro.validation_enabled(False):
        apart = checked(name, pair, ROUNDING)
        row = {"what": pair.what, "difference": apart, **ratio(pair.pyrovae, pair.hand, **how)}
        if pair.other is not None:
            called, other = pair.other
            row["other"] = {"name": called, **ratio(other, pair.hand, **how)}
    if options.validation:
        with pyro.validation_enabled(True):
            row["validated"] = ratio(pair.pyrovae, pair.hand, **how)
    return row


def rehearse(names: list[str], seed: int) -> dict[str, float]:
    """How far the sides of small pairs are apart in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = {}
        for name in names:
            torch.manual_seed(seed)
            pair = PAIRS[name](True)
            found[name] = checked(name, pair, pair.tolerance)
        return found
    finally:
        torch.set_default_dtype(before)


def table(rows: dict[str, dict[str, Any]], *, validation: bool) -> str:
    lines = ["| Part | Work | by hand, ms | ratio |" + (" validated |" if validation else "")]
    lines += ["|---|---|---:|---:|" + ("---:|" if validation else "")]
    for name, row in rows.items():
        cells = [name, row["what"], f"{row['hand_ms']:.3g}", _cell(row["ratio"])]
        cells += [_cell(row["validated"]["ratio"])] if validation else []
        lines.append("| " + " | ".join(cells) + " |")
        if "other" in row:
            other = row["other"]
            cells = ["", f"by hand, {other['name']}", "", _cell(other["ratio"])] + [""] * validation
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['lower']:.2f} to {found['upper']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[""], metavar="TEXT", help="parts with one of these in their name")
    add("--rounds", type=int, default=15, help="blocks of each side")
    add("--block-seconds", type=float, default=0.03, help="about how long a block takes")
    add("--validation", action="store_true", help="also with Pyro's validation of values, off otherwise")
    add("--check", action="store_true", help="compare the numbers of small ones in float64; no clocks")
    add("--seed", type=int, default=0, help="of weights and data")
    add("--markdown", action="store_true", help="print a table instead of JSON")
    add("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    names = [name for name in PAIRS if any(text in name for text in options.only)]
    if options.check:
        print(json.dumps(rehearse(names, options.seed), indent=2))
        return
    torch.set_num_threads(1)
    rows = {}
    for name in names:
        torch.manual_seed(options.seed)
        rows[name] = measured(name, PAIRS[name](False), options)
    text = json.dumps({"machine": machine(), "parts": rows}, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(table(rows, validation=options.validation) if options.markdown else text)


if __name__ == "__main__":
    main()
