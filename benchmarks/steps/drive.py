"""The parent's end: a worker for each side, of which one alone runs at a time; interleaved blocks."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from steps.problem import Problem
from steps.sides import REFERENCE, Side

BENCHMARKS = Path(__file__).parent.parent
WARM_UP = 20
REST = 0.02  # seconds for the threads of the last worker to fall asleep


class Setting(NamedTuple):
    """What all sides of one measurement have in common."""

    device: str
    threads: int
    seed: int
    flush_denormal: bool
    omp_wait: str
    cold: bool
    interpreters: dict[str, str]

    def environment(self, folder: Path, side: Side) -> dict[str, str]:
        """Of a worker: threads, and an empty cache for Inductor unless the user's is to be taken."""
        count = str(self.threads)
        changed = {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")])),
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            # XLA sizes its thread pool by this; one thread also computes within an operation alone.
            "NPROC": count,
        }
        if self.threads == 1:
            changed["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        if self.omp_wait == "passive":
            changed |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
        if self.cold:
            changed["TORCHINDUCTOR_CACHE_DIR"] = str(folder / f"inductor-{side.name}")
        return {**os.environ, **changed}


class Failed(RuntimeError):
    """A side could not do what was asked of it."""


class Worker:
    """A side's process."""

    def __init__(self, side: Side, problem: Problem, folder: Path, setting: Setting) -> None:
        self.side, self.idle_cpu = side, 0.0
        self.log = folder / f"{side.name}.log"
        command = [setting.interpreters[side.interpreter], "-m", "steps.worker", side.name]
        command += ["--workload", problem.work.name, "--problem", str(folder / "problem.npz")]
        command += ["--device", setting.device, "--threads", str(setting.threads)]
        command += ["--seed", str(setting.seed)]
        command += ["--flush-denormal"] if setting.flush_denormal else []
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=setting.environment(folder, side),
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10 if error is None else 0.1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"the process ended: {self.last_words()}"}
        if "error" in answer:
            print(f"{self.side.name}: {self.log.read_text()}", file=sys.stderr)
            raise Failed(answer["error"])
        self.idle_cpu += answer.get("idle_cpu", 0.0)
        return answer

    def ask(self, *words: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        print(*words, file=self.process.stdin, flush=True)
        return self.hear()

    def last_words(self) -> str:
        return (self.log.read_text().strip().splitlines() or ["without a word"])[-1]


class Block(NamedTuple):
    """Seconds of a step, as one block of a side has it on average, by both clocks."""

    wall: float
    cpu: float


class Pair(NamedTuple):
    """A block of a side and what the reference took around it."""

    side: Block
    reference: Block


class Starts(NamedTuple):
    """The beginning of a side: seconds to its first step, of its warm-up, and the losses of both."""

    first: float
    warm: float
    losses: list[float]


class Measured(NamedTuple):
    """All that was heard of one side."""

    starts: Starts
    pairs: list[Pair]
    idle_cpu: float


def measure(
    sides: list[Side], problem: Problem, setting: Setting, *, rounds: int, seconds: float
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Warms all sides up, then lets blocks of ``seconds`` alternate with the reference's, in shuffled order.

    Returns what was measured of each side, and of each that failed its error.
    """
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        workers, failed = start(sides, problem, folder, setting, stack)
        starts: dict[str, Starts] = {}
        counts: dict[str, int] = {}
        for name, worker in list(workers.items()):
            say(f"{problem.work.name}: first steps of {worker.side.label}")
            try:
                first, warm = worker.ask("first"), worker.ask("warm", WARM_UP)
                pilot = worker.ask("run", 5)
            except Failed as error:
                failed[name] = str(error)
                del workers[name]
                continue
            starts[name] = Starts(first["wall"], warm["wall"], first["losses"] + warm["losses"])
            counts[name] = max(round(seconds * 5 / pilot["wall"]), 1)
        if REFERENCE not in workers:
            raise Failed(f"the reference, which all others are divided by: {failed[REFERENCE]}")
        pairs: dict[str, list[Pair]] = {name: [] for name in workers}
        shuffled, before = random.Random(setting.seed), block(workers[REFERENCE], counts)
        pairs[REFERENCE].append(Pair(before, before))
        for turn in range(rounds):
            say(f"{problem.work.name}: round {turn + 1} of {rounds}")
            others = [name for name in workers if name != REFERENCE]
            shuffled.shuffle(others)
            for name in others:
                try:
                    own = block(workers[name], counts)
                except Failed as error:
                    failed[name] = str(error)
                    del workers[name], pairs[name]
                    continue
                after = block(workers[REFERENCE], counts)
                middle = Block(*((a + b) / 2 for a, b in zip(before, after, strict=True)))
                pairs[name].append(Pair(own, middle))
                pairs[REFERENCE].append(Pair(after, after))
                before = after
        measured = {name: Measured(starts[name], pairs[name], workers[name].idle_cpu) for name in workers}
    return measured, failed


def start(
    sides: list[Side], problem: Problem, folder: Path, setting: Setting, stack: ExitStack
) -> tuple[dict[str, Worker], dict[str, str]]:
    """All workers, imports done."""
    problem.save(folder / "problem.npz")
    workers = {side.name: stack.enter_context(Worker(side, problem, folder, setting)) for side in sides}
    failed: dict[str, str] = {}
    for name, worker in list(workers.items()):
        try:
            worker.hear()
        except Failed as error:
            failed[name] = str(error)
            del workers[name]
    return workers, failed


def block(worker: Worker, counts: dict[str, int]) -> Block:
    """One block, after a rest in which nobody runs."""
    time.sleep(REST)
    count = counts[worker.side.name]
    answer = worker.ask("run", count)
    return Block(answer["wall"] / count, answer["cpu"] / count)


def draw(
    sides: list[Side], problem: Problem, setting: Setting, count: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Each side's losses on one batch at the common weights, ``count`` draws of noise."""
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        workers, failed = start(sides, problem, Path(place), setting, stack)
        for name, worker in workers.items():
            try:
                losses[name] = worker.ask("draws", count)["losses"]
            except Failed as error:
                failed[name] = str(error)
    return losses, failed


def say(message: str) -> None:
    print(message, file=sys.stderr)
