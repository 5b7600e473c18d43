"""CUDA graphs: work at fixed addresses, recorded once and launched as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyrovae.engine.footprint import Footprint

Work = Callable[[], list[Tensor]]
Record = Callable[[Work, list[Tensor]], tuple[list[Tensor], Callable[[], Any]]]
"""Records work that writes to these tensors; returns its results, at fixed addresses, and what does it."""

_REHEARSALS = 3


class Replay:
    """A function of tensors whose work is recorded, and from then on replayed.

    Arguments are copied into buffers of its own, and the results are the same tensors at every call: they
    hold until the next one. Everything else that the function touches must stay at its address.

    Arguments:
        function: of a list of tensors.
        tensors: arguments of the shapes, types and devices to come.
        written: what compiled code inside the function writes to, which can't be seen from outside.
        record: :func:`cuda_graph`, or what stands in for it.
    """

    def __init__(
        self,
        function: Callable[[list[Tensor]], list[Tensor]],
        tensors: list[Tensor],
        written: list[Tensor],
        record: Record,
    ) -> None:
        self.buffers = [x.clone() for x in tensors]
        self.results, self._again = record(lambda: function(self.buffers), written)

    def __call__(self, tensors: list[Tensor]) -> list[Tensor]:
        """The results for these arguments."""
        for buffer, x in zip(self.buffers, tensors, strict=True):
            buffer.copy_(x, non_blocking=True)
        self._again()
        return self.results


def recorder(device: torch.device) -> Record | None:
    """What records work on a device; None where nothing can."""
    return cuda_graph if device.type == "cuda" else None


def cuda_graph(work: Work, written: list[Tensor]) -> tuple[list[Tensor], Callable[[], Any]]:
    """Records work as a CUDA graph, after rehearsals that are undone.

    What is tuned or allocated at first use must not be recorded, so the work is rehearsed, on a side stream.
    What the rehearsals write (weights, moments, statistics of a batch norm) is undone; random numbers are
    the caller's to put back. Recording itself computes nothing.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        rehearse(work, written)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = work()
    return results, graph.replay


def rehearse(work: Work, written: list[Tensor], times: int = _REHEARSALS) -> None:
    """Does work a few times and undoes what it has written."""
    before = [x.clone() for x in written]
    with torch.autograd.set_multithreading_enabled(False), Footprint() as footprint:
        for _ in range(times):
            work()
    footprint.undo()
    with torch.no_grad():
        for x, value in zip(written, before, strict=True):
            x.copy_(value)
