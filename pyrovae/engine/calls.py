"""Which networks a run calls, and which of their settings and buffers it replaces."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

SCALARS = (bool, int, float, str, type(None))


class Calls:
    """The networks that a run has called, and those within them, as they were before it.

    Attributes:
        keep: whether what the run moved stays moved; otherwise it is a rehearsal, and put back.
    """

    def __init__(self) -> None:
        self.keep = False
        self._before: dict[int, tuple[nn.Module, dict[str, Any], dict[str, Any]]] = {}

    @property
    def modules(self) -> list[nn.Module]:
        """The networks."""
        return [module for module, *_ in self._before.values()]

    def note(self, module: nn.Module) -> None:
        """Remembers a network that is about to be called."""
        if id(module) in self._before:
            return
        for part in module.modules():
            if id(part) not in self._before:
                numbers = {key: value for key, value in vars(part).items() if isinstance(value, SCALARS)}
                self._before[id(part)] = part, numbers, dict(part._buffers)

    def moved(self) -> list[str]:
        """The numbers, flags, names and buffers of theirs that are others now."""
        found = []
        for module, numbers, buffers in self._before.values():
            for place, before in ((vars(module), numbers), (module._buffers, buffers)):
                found += [
                    f"{key!r} of {type(module).__name__}"
                    for key, value in before.items()
                    if place.get(key) is not value and not _equal(place.get(key), value)
                ]
        return found

    def put_back(self) -> None:
        """Gives them their old settings and buffers."""
        for module, numbers, buffers in self._before.values():
            vars(module).update(numbers)
            module._buffers.update(buffers)


@contextmanager
def calls() -> Iterator[Calls]:
    """Watches the networks that this thread calls inside; puts them back unless it is told to keep them."""
    made, here = Calls(), threading.get_ident()

    def note(module: nn.Module, inputs: Any) -> None:  # noqa: ARG001 (the signature of a hook)
        if threading.get_ident() == here:
            made.note(module)

    handle = register_module_forward_pre_hook(note)
    try:
        yield made
    finally:
        handle.remove()
        if not made.keep:
            made.put_back()


def _equal(now: Any, then: Any) -> bool:
    return isinstance(now, SCALARS) and type(now) is type(then) and now == then
