"""When a graph is worth its cost: how many calls pay for capturing it, and how many for compiling it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch.fx import Node

from pyrovae.engine.capture import Graph
from pyrovae.errors import explain

Mode = Literal["auto", "capture"] | bool
Kind = Literal["eager", "capture", "compiled"]


def check_mode(mode: Mode) -> None:
    """Refuses what is no mode.

    Raises:
        ValueError: naming those there are.
    """
    if mode not in ("auto", True, False, "capture"):
        raise ValueError(
            explain(
                "compile",
                expected='"auto", True, False or "capture"',
                got=repr(mode),
                remedy='"auto" decides by itself.',
            )
        )


CAPTURE_AFTER = 100
"""Calls by which a capture, half a second to three, has paid: each is spared 2 to 6 ms of Pyro's handlers."""

_COMPILE_SECONDS = (7.0, 0.03)
_CALL_SECONDS = 5e-6
_BYTES_PER_SECOND = 1.2e10
_MATMULS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "convolution_backward")


class Price(NamedTuple):
    """What compiling a graph costs, once, and saves, at each call; estimates in seconds.

    They are made from the graph alone, not by a clock: the same program is run in the same way every time, to
    the last bit. ``benchmarks/step_time.py`` measures both.
    """

    once: float
    saved: float

    @classmethod
    def of(cls, graph: Graph) -> Price:
        """The price of a graph: its operations' fixed costs and the memory traffic that fusion avoids."""
        calls = [node for node in graph.module.graph.nodes if node.op == "call_function"]
        traffic = sum(2 * _size(node) for node in calls if _name(node) not in _MATMULS)
        once, each = _COMPILE_SECONDS
        return cls(once + each * len(calls), _CALL_SECONDS * len(calls) + traffic / _BYTES_PER_SECOND)

    @property
    def break_even(self) -> float:
        """The number of calls after which the compiled graph has paid for itself."""
        return self.once / self.saved


class Policy:
    """Decides how a call is run: eagerly, by the graph, or by the compiled graph.

    Arguments:
        mode: "auto", True (compiled), "capture", or False (eager).
        calls: how many calls are planned, where that is known; "auto" then decides at the first one. Where it
            isn't, a graph is captured, and then compiled, once as many calls have been made as would have
            paid for it: never more than twice the cost of having known.
    """

    def __init__(self, mode: Mode, calls: int | None) -> None:
        self.mode, self.calls = mode, calls

    @property
    def captures_at_once(self) -> bool:
        """Whether the first call is captured already."""
        planned = self.calls if self.calls is not None else 0
        return self.mode is not False and (self.mode != "auto" or planned >= CAPTURE_AFTER)

    def kind(self, seen: int, graph: Graph | None, *, first: bool) -> Kind:
        """How to run a call.

        Arguments:
            seen: calls of these shapes so far.
            graph: theirs, once there is one.
            first: whether these are the first shapes: the others, such as the last, short batch of an epoch,
                are compiled only after enough calls of their own, and never where calls are planned.
        """
        if self.mode is False:
            return "eager"
        if self.mode == "capture":
            return "capture"
        if self.mode is True and first:
            return "compiled"
        ahead = seen if self.calls is None else self.calls
        if graph is None:
            return "capture" if ahead >= CAPTURE_AFTER or self.mode is True else "eager"
        if self.calls is not None and not first:
            # However often they come: a resumed run, which begins to count anew, must decide alike.
            return "capture"
        return "compiled" if ahead >= Price.of(graph).break_even else "capture"


def _name(node: Node) -> str:
    return getattr(node.target, "_opname", "")


def _size(node: Node) -> int:
    value = node.meta.get("val")
    return value.numel() * value.element_size() if isinstance(value, torch.Tensor) else 0
