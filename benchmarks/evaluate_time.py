"""Evaluation by the programs and by graphs, side by side: single draws, and whole calls with their costs.

    python benchmarks/evaluate_time.py --markdown
    python benchmarks/evaluate_time.py --check          a rehearsal in seconds

The networks have fresh random weights and the data are random bits: the time of a draw doesn't depend on what
they say. All sides run in one process and alternate, in an order that is shuffled each round, on the clock of
CPU seconds, those of the compiler's processes included; each figure is a ratio of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # its pool would run on another clock

import pyro
import torch
from measure import machine, quartiles
from torch import Tensor
from torch._inductor.utils import fresh_cache

import pyrovae as pv
from pyrovae.engine.arithmetic import denormals_flushed
from pyrovae.engine.policy import Mode, Price
from pyrovae.evaluate._measure import LOG_WEIGHT, Measure
from pyrovae.evaluate._plan import Plan
from pyrovae.evaluate._repeated import Repeated
from pyrovae.evaluate._sampling import _MEMORY
from pyrovae.evaluate.bound import _TERMS
from pyrovae.randomness import isolated

MODES: dict[str, Mode] = {"eager": False, "auto": "auto", "capture": "capture", "compiled": True}
SIZES = {"mnist": (784, (200, 200), 50), "digits": (64, (128,), 8)}
MEASURES: dict[str, Measure[Any]] = {"log_evidence": LOG_WEIGHT, "elbo": _TERMS}


class Call(NamedTuple):
    """A whole call of ``pyrovae.evaluate``."""

    sizes: str
    function: str
    num_data: int
    num_samples: int


CALLS = (
    Call("mnist", "log_evidence", 400, 5000),
    Call("mnist", "log_evidence", 100, 1000),
    Call("mnist", "elbo", 1000, 10),
    Call("digits", "log_evidence", 1000, 5000),
)
REHEARSAL = (Call("digits", "log_evidence", 20, 5000),)


def cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def seconds(work: Callable[[], Any]) -> float:
    begun = cpu_seconds()
    work()
    return cpu_seconds() - begun


def problem(name: str, num_data: int) -> tuple[pv.Fit, Tensor]:
    pyro.set_rng_seed(0)
    pixels, hidden, latent = SIZES[name]
    decoder = pv.nets.MLP(latent, *hidden, pixels, activation=torch.nn.Tanh)
    encoder = pv.nets.MLP(pixels, *hidden, 2 * latent, activation=torch.nn.Tanh)
    model = pv.models.VAE(pv.priors.StandardNormal(latent), decoder, pv.heads.bernoulli)
    run = pv.Fit(model, pv.guides.Amortized(z=(encoder, pv.heads.normal)))
    return run, torch.rand(num_data, pixels).round()


def shuffled(names: list[str], rounds: int) -> list[str]:
    order = random.Random(0)
    return [name for _ in range(rounds) for name in order.sample(names, len(names))]


def draws(name: str, function: str, rounds: int, modes: list[str]) -> dict[str, Any]:
    """Single draws as a long call makes them, and what a graph of them costs."""
    run, x = problem(name, 100)
    with ExitStack() as stack:
        for context in (
            isolated("cpu", 0),
            denormals_flushed(),
            pyro.validation_enabled(False),
            fresh_cache(),
        ):
            stack.enter_context(context)
        model, guide = stack.enter_context(run.evaluating())
        plan = Plan.of(model, guide, (x[:3],), MEASURES[function], _MEMORY["cpu"])
        chunk = (x[: plan.width(5000)],)
        particles = plan.most(len(chunk[0]))
        sides = {side: Repeated(plan, MODES[side], None) for side in modes}
        first = {side: seconds(lambda: sides[side].again(chunk, particles)) for side in sides}  # noqa: B023
        times: dict[str, list[float]] = {side: [] for side in sides}
        for side in shuffled(modes, rounds):
            times[side].append(seconds(lambda: sides[side].again(chunk, particles)))  # noqa: B023
    medians = {side: statistics.median(values) for side, values in times.items()}
    result: dict[str, Any] = {
        "workload": f"{name}, {function}",
        "rows": f"{particles} x {len(chunk[0])}",
        "milliseconds": {side: quartiles([1e3 * s for s in values]) for side, values in times.items()},
        "ratio": {side: median / medians["eager"] for side, median in medians.items()},
        "first": first,
        "pays": {
            side: (first[side] - medians[side]) / (medians["eager"] - medians[side])
            if medians[side] < medians["eager"]
            else None
            for side in modes
            if side != "eager"
        },
    }
    if "compiled" in sides:
        (entry,) = sides["compiled"].captured.entries.values()
        if entry.graph is None:
            raise RuntimeError("the draw has not been compiled")
        price = Price.of(entry.graph)
        saved = medians["capture"] - medians["compiled"]
        cost = first["compiled"] - first["capture"]
        result["price"] = {
            "saved": {"estimated": price.saved, "measured": saved},
            "once": {"estimated": price.once, "measured": cost},
            "break_even": {"estimated": price.break_even, "measured": cost / saved if saved > 0 else None},
        }
    return result


def whole(call: Call, rounds: int, modes: list[str]) -> dict[str, Any]:
    """Whole calls, capture and compilation with an empty cache included."""
    run, x = problem(call.sizes, call.num_data)
    function = getattr(pv.evaluate, call.function)
    times: dict[str, list[float]] = {side: [] for side in modes}
    function(run, x[:10], num_samples=10)  # warm-up
    for side in shuffled(modes, rounds):
        with fresh_cache():
            times[side].append(
                seconds(lambda: function(run, x, num_samples=call.num_samples, compile=MODES[side]))  # noqa: B023
            )
    medians = {side: statistics.median(values) for side, values in times.items()}
    return {
        "call": f"{call.sizes}: {call.function} of {call.num_data:,} data, {call.num_samples:,} samples",
        "seconds": {side: quartiles(values) for side, values in times.items()},
        "ratio": {side: median / medians["eager"] for side, median in medians.items()},
    }


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None) -> str:
    return "never" if value is None else f"{value:,.0f}"


def of_draws(results: list[dict[str, Any]]) -> str:
    sides = [side for side in results[0]["ratio"] if side != "eager"]
    head = ["one draw", "particles x data", "eager, ms", *(f"{side} / eager" for side in sides)]
    head += [f"{side}: first draw, s" for side in sides] + [f"{side}: pays after" for side in sides]
    rows = []
    for found in results:
        row = [found["workload"], found["rows"], f"{found['milliseconds']['eager']['median']:.1f}"]
        row += [f"{found['ratio'][side]:.2f}" for side in sides]
        row += [f"{found['first'][side]:.1f}" for side in sides]
        rows.append([*row, *(number(found["pays"][side]) for side in sides)])
    return table(head, rows)


def of_prices(results: list[dict[str, Any]]) -> str:
    head = ["compiling", "saves, ms", "estimated", "costs, s", "estimated", "pays after", "estimated"]
    rows = []
    for found in results:
        price = found["price"]
        row = [f"{1e3 * price['saved'][kind]:.1f}" for kind in ("measured", "estimated")]
        row += [f"{price['once'][kind]:.1f}" for kind in ("measured", "estimated")]
        row += [number(price["break_even"][kind]) for kind in ("measured", "estimated")]
        rows.append([found["workload"], *row])
    return table(head, rows)


def of_calls(results: list[dict[str, Any]]) -> str:
    sides = [side for side in results[0]["ratio"] if side != "eager"]
    head = ["whole call", "eager, s", *(f"{side} / eager" for side in sides)]
    rows = [
        [
            found["call"],
            f"{found['seconds']['eager']['median']:.1f}",
            *(f"{found['ratio'][side]:.2f}" for side in sides),
        ]
        for found in results
    ]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true", help="tables instead of JSON")
    parser.add_argument("--json", type=Path, help="where to keep all figures")
    parser.add_argument("--rounds", type=int, default=3, help="whole calls of each side")
    parser.add_argument("--draws", type=int, default=30, help="single draws of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="a rehearsal in seconds, nothing compiled")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    kinds = [("digits", "log_evidence")] if options.check else [(s, f) for s in SIZES for f in MEASURES]
    single = ["eager", "capture"] if options.check else ["eager", "capture", "compiled"]
    complete = ["eager", "auto", "capture"] if options.check else list(MODES)
    times = 2 if options.check else options.draws
    one = [draws(*kind, times, single) for kind in kinds]
    rounds = 1 if options.check else options.rounds
    calls = [whole(call, rounds, complete) for call in (REHEARSAL if options.check else CALLS)]
    figures = {"machine": machine(), "draws": one, "calls": calls}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    if options.markdown:
        prices = [] if options.check else [of_prices(one)]
        print("\n\n".join([of_draws(one), *prices, of_calls(calls)]))
    else:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
