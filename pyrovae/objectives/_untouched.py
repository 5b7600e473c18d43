"""Networks as they were: what a first look at a pair moves in them is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook


@contextmanager
def untouched() -> Iterator[None]:
    """Puts the buffers of all networks that are called inside back to what they were."""
    before: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def note(module: nn.Module, inputs: Any) -> None:  # noqa: ARG001 (the signature of a hook)
        for part in module.modules():
            if part not in before:
                before[part] = [(buffer, buffer.clone()) for buffer in part.buffers(recurse=False)]

    handle = register_module_forward_pre_hook(note)
    try:
        yield
    finally:
        handle.remove()
        with torch.no_grad():
            for buffers in before.values():
                for buffer, value in buffers:
                    buffer.copy_(value)
