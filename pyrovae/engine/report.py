"""What ``svi.explain()`` tells: which calls run as graphs, what that cost, what is eager, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyrovae.engine.captured import Captured
from pyrovae.engine.entry import Entry
from pyrovae.engine.policy import Kind, Price


class Line(NamedTuple):
    """The calls of one kind of arguments.

    Attributes:
        what: "step" or "evaluate_loss".
        shapes: of the arguments.
        run: "eager", "capture" or "compiled".
        calls: so far.
        operations: of the graph, forward and backward; 0 without one.
        inputs: tensors that the graph takes beside the arguments: parameters, buffers, other data.
        trace_seconds, compile_seconds: what making the graph took.
        break_even: after how many calls compiling is estimated to have paid; NaN without a graph.
        difference: from eager Pyro at the last comparison, relative; NaN before one.
        rebuilt: what had changed each time that the graph was made anew.
    """

    what: str
    shapes: str
    run: Kind
    calls: int
    operations: int
    inputs: int
    trace_seconds: float
    compile_seconds: float
    break_even: float
    difference: float
    rebuilt: tuple[str, ...]

    @classmethod
    def of(cls, what: str, entry: Entry) -> Line:
        """The line of an entry."""
        graph = entry.graph
        return cls(
            what,
            entry.shapes,
            entry.kind,
            entry.calls,
            0 if graph is None else graph.size,
            0 if graph is None else len(graph.free),
            entry.seconds["trace"],
            entry.seconds["compile"],
            float("nan") if graph is None else Price.of(graph).break_even,
            entry.difference,
            tuple(entry.rebuilt),
        )

    def __str__(self) -> str:
        lines = [f"{self.what}({self.shapes}): {_RUN[self.run]}, {self.calls} calls"]
        if self.operations:
            lines += [
                f"  {self.operations} operations on {self.inputs} tensors beside the arguments;"
                f" traced in {self.trace_seconds:.1f} s, compiled in {self.compile_seconds:.1f} s",
                f"  compiling pays after about {self.break_even:,.0f} calls;"
                f" differs from eager Pyro by {self.difference:.1g} of its size",
            ]
        lines += [f"  captured again: {what} had changed" for what in self.rebuilt]
        return "\n".join(lines)


_RUN = {"eager": "eager", "capture": "captured, not compiled", "compiled": "captured and compiled"}


class Report(NamedTuple):
    """What an :class:`pyrovae.SVI` has captured so far.

    Attributes:
        mode: of ``compile=``.
        lines: one for each kind of arguments that came.
        reasons: why calls are eager for good, where they are.
    """

    mode: str
    lines: tuple[Line, ...]
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, parts: dict[str, Captured]) -> Report:
        """The report on what runs under these names."""
        lines = [Line.of(name, entry) for name, part in parts.items() for entry in part.entries.values()]
        reasons = [
            f"{name} is eager: {part.refusal}" for name, part in parts.items() if part.refusal is not None
        ]
        return cls(str(next(iter(parts.values())).mode), tuple(lines), tuple(reasons))

    def facts(self) -> dict[str, Any]:
        """The report as JSON takes it; NaN, which JSON lacks, as None."""
        lines = [
            {key: None if value != value else value for key, value in line._asdict().items()}
            | {"rebuilt": list(line.rebuilt)}
            for line in self.lines
        ]
        return {"compile": self.mode, "calls": lines, "reasons": list(self.reasons)}

    def __str__(self) -> str:
        nothing = ["nothing has been captured"] if self.mode != "False" else ["everything is eager"]
        body = [*map(str, self.lines), *self.reasons] or nothing
        return "\n".join([f"compile={self.mode}", *body])
