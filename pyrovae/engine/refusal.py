"""Why a pair of programs can't be captured: the site, the line and the operation that stand in the way."""

from __future__ import annotations

import linecache
import re
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import pyro
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

_LIBRARIES = tuple(str(Path(str(path)).parent) for path in (torch.__file__, pyro.__file__, __file__))


def is_library(thing: Any) -> bool:
    """Whether a function or a class is of Python, torch, Pyro, or this library: no user's own."""
    home = str(getattr(thing, "__module__", "")).partition(".")[0]
    return home in ("builtins", "torch", "pyro", "pyrovae")


class Refusal(RuntimeError):
    """The programs can't be captured, or what was captured isn't what they do.

    Attributes:
        reason: what stands in the way, with the site or operation.
        remedy: what to change.
    """

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(f"{reason}. {remedy}".strip())
        self.reason, self.remedy = reason, remedy


def blame(error: Exception) -> Refusal:
    """Words what the tracer met: which operation, at which site, on which line of the program."""
    first: Refusal | None = None
    cause: BaseException | None = error
    while cause is not None:  # Pyro raises errors anew, with the shapes of the sites
        first = cause if isinstance(cause, Refusal) else first
        cause = cause.__cause__ or cause.__context__
    if first is not None:
        return first
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    where = "".join((_site(frames), _line(frames)))
    if isinstance(error, DynamicOutputShapeException):
        return Refusal(
            f"the shape of what {error.func} returns depends on values{where}",
            remedy="Keep shapes fixed: use torch.where, or a mask, instead of a selection.",
        )
    reads = isinstance(error, DataDependentOutputException | GuardOnDataDependentSymNode)
    if reads or re.search(r"(getting|get) value out of a tracing tensor|\.item\(\)", str(error)):
        return Refusal(
            f"a tensor's value is read in Python{where}",
            remedy="An if, a float() or a loop over values can't be captured: use torch.where, or a sampler "
            "and a likelihood without such a loop.",
        )
    if isinstance(error, UnsupportedOperatorException):
        return Refusal(
            f"{error.func} can't be run on tensors without values{where}",
            remedy="Use an operation that torch can trace.",
        )
    text = str(error).strip().splitlines()
    return Refusal(
        f"{type(error).__name__}: {text[0] if text else 'no message'}{where}",
        remedy="Run it with compile=False, or write that step with tensor operations.",
    )


def _site(frames: list[FrameType]) -> str:
    """The Pyro site at work when the error came, if any."""
    for frame in reversed(frames):
        for name in ("msg", "initial_msg", "site", "node", "guide_site", "model_site"):
            site: Any = frame.f_locals.get(name)
            if isinstance(site, dict) and site.get("type") == "sample" and "name" in site:
                kind = getattr(site.get("fn"), "base_dist", site.get("fn"))
                return f" at site {site['name']!r} ({type(kind).__name__})"
    return ""


def _line(frames: list[FrameType]) -> str:
    """The last line of the user's own code on the way to the error."""
    for frame in reversed(frames):
        path = frame.f_code.co_filename
        if not path.startswith(_LIBRARIES) and not path.startswith("<"):
            text = linecache.getline(path, frame.f_lineno).strip()
            return f" (line {frame.f_lineno} of {Path(path).name}: {text})"
    return ""
