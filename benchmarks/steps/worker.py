"""A side in a process of its own, driven line by line: a command in, a JSON object out, asleep between them.

first       build the side and take its first step
warm N      N steps, and all their losses
run N       N steps on the clock, after two that are not
draws N     N losses on the first batch, without an update
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from steps.problem import Problem
from steps.sides import SIDES
from steps.workloads import WORKLOADS

LEAD_IN = 2  # steps that wake threads and caches up after a rest


class Worker:
    """Answers the commands by one side."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.side, self.device = SIDES[options.side], options.device
        self.problem = Problem.load(WORKLOADS[options.workload], options.problem)
        self.synchronize = prepare(options) if self.side.interpreter != "numpyro" else lambda: None
        self.module = importlib.import_module(self.side.module)  # no clock counts the imports
        self.rested_at = time.process_time()

    def answer(self, line: str) -> dict[str, Any]:
        """Does what one line asks for; ``idle_cpu`` is what the process burned since the last answer."""
        idle = time.process_time() - self.rested_at
        command, *counts = line.split()
        result = getattr(self, command)(*map(int, counts))
        self.rested_at = time.process_time()
        return {**result, "idle_cpu": idle}

    def first(self) -> dict[str, Any]:
        begun = time.perf_counter()
        self.built = self.module.build(self.problem, self.side.how, self.device)
        self.batches = itertools.cycle(self.built.batches)
        loss = self.built.step(next(self.batches))
        self.synchronize()
        return {"wall": time.perf_counter() - begun, "losses": [loss]}

    def warm(self, count: int) -> dict[str, Any]:
        begun = time.perf_counter()
        losses = [self.built.step(next(self.batches)) for _ in range(count)]
        self.synchronize()
        return {"wall": time.perf_counter() - begun, "losses": losses}

    def run(self, count: int) -> dict[str, Any]:
        step, batches = self.built.step, self.batches
        for _ in range(LEAD_IN):
            step(next(batches))
        self.synchronize()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            step(next(batches))
        self.synchronize()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    def draws(self, count: int) -> dict[str, Any]:
        built = self.module.build(self.problem, self.side.how, self.device)
        return {"losses": [built.loss(built.batches[0]) for _ in range(count)]}


def prepare(options: argparse.Namespace) -> Any:
    """Sets torch's switches before its first operation; returns what waits for the device."""
    import torch
    import torch._dynamo  # an optimiser would import it in the first step

    torch.set_num_threads(options.threads)
    if options.flush_denormal:
        torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    return torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=sorted(SIDES))
    parser.add_argument("--workload", choices=sorted(WORKLOADS), required=True)
    parser.add_argument("--problem", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flush-denormal", action="store_true")
    options = parser.parse_args()
    # Answers go where stdout was; what a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = None
    for line in itertools.chain(["ready"], sys.stdin):
        try:
            if worker is None:
                worker, reply = Worker(options), {"ready": True}
            else:
                reply = worker.answer(line)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers)


if __name__ == "__main__":
    main()
