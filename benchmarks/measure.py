"""Measuring: clocks, peak memory, medians and paired ratios."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Clock(NamedTuple):
    """A reading of wall time and of CPU time (user and system, all threads), seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), time.process_time())

    def since(self, earlier: Clock) -> Clock:
        return Clock(self.wall - earlier.wall, self.cpu - earlier.cpu)


STATUS = Path("/proc/self/status")


def forget_peak() -> float:
    """Makes :func:`peak_memory` start from what is held now, where the system can; returns that, MB."""
    if not STATUS.exists():
        return peak_memory()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_memory() -> float:
    """The most memory that this process has held so far, MB.

    On Linux it is read from /proc: what getrusage says there starts from the peak of the parent process.
    """
    if STATUS.exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _status(name: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6


def mean_and_error(values: Tensor) -> dict[str, float]:
    """A mean over data and its standard error, nats per datum."""
    return {"mean": values.mean().item(), "standard_error": (values.std() / len(values) ** 0.5).item()}


def quartiles(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    )
    return {"median": middle, "lower": low, "upper": high}


def ratios(times: list[tuple[Clock, Clock]], kind: str) -> dict[str, dict[str, float]]:
    """Seconds of (pyrovae, hand-written) pairs and their ratios, pair by pair."""
    pairs = [(getattr(theirs, kind), getattr(ours, kind)) for theirs, ours in times]
    return {
        "hand_written": quartiles([ours for _, ours in pairs]),
        "pyrovae": quartiles([theirs for theirs, _ in pairs]),
        "ratio": quartiles([theirs / ours for theirs, ours in pairs]),
    }


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    import pyro

    return {
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyro": pyro.__version__,
    }
