"""What an objective keeps from step to step: a handful of named tensors, saved and resumed with a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pyrovae.errors import explain


class State:
    """Tensors by name, made at their first use and changed in place from then on."""

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def get(self, name: str, device: torch.device, value: float = 0.0) -> Tensor:
        """The scalar of that name, on a device; begun at a value."""
        if name not in self._tensors:
            self._tensors[name] = torch.tensor(value, dtype=torch.float64)
        if self._tensors[name].device != device:
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self._tensors[name] = self._tensors[name].to(device, dtype)
        return self._tensors[name]

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all, by name."""
        return {name: tensor.detach().clone() for name, tensor in sorted(self._tensors.items())}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what was saved.

        Raises:
            ValueError: for something else than scalars.
        """
        for name, tensor in state.items():
            if not isinstance(tensor, Tensor) or tensor.numel() != 1:
                raise ValueError(
                    explain(
                        f"state of the objective, {name!r}",
                        expected="a scalar tensor",
                        got=repr(tensor),
                        remedy="Load the state that objective.state_dict() gave.",
                    )
                )
            kept = self._tensors.get(name)
            if kept is None:
                self._tensors[name] = tensor.detach().clone()
            else:
                kept.copy_(tensor)
