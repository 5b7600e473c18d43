"""Which networks a run calls; what it changes in their Python attributes is put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

SCALARS = (bool, int, float, str, type(None))


@dataclass
class Calls:
    """The networks that a run has called.

    Attributes:
        modules: those and all within them.
        moved: the numbers, flags and names among their attributes that the run has changed.
    """

    modules: list[nn.Module] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)


@contextmanager
def calls() -> Iterator[Calls]:
    """Collects the networks that this thread calls inside; counters that it moves in them are set back."""
    found: dict[int, nn.Module] = {}
    counters: dict[int, dict[str, Any]] = {}
    here = threading.get_ident()

    def note(module: nn.Module, inputs: Any) -> None:  # noqa: ARG001 (the signature of a hook)
        if id(module) in found or threading.get_ident() != here:
            return
        for part in module.modules():
            if id(part) not in found:
                found[id(part)] = part
                counters[id(part)] = {k: v for k, v in vars(part).items() if isinstance(v, SCALARS)}

    made = Calls()
    handle = register_module_forward_pre_hook(note)
    try:
        yield made
    finally:
        handle.remove()
        for key, module in found.items():
            place = vars(module)
            for name, value in counters[key].items():
                if place.get(name) is not value and place.get(name) != value:
                    made.moved.append(f"{name!r} of {type(module).__name__}")
            place.update(counters[key])
        made.modules += found.values()
