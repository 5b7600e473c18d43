"""An objective bound to its pair, as a module: for training loops of one's own, and for Lightning."""

from __future__ import annotations

from typing import Any

from pyro.infer.elbo import ELBOModule
from torch import Tensor, nn


class ObjectiveModule(ELBOModule):
    """The loss of a pair as a module: it holds model, guide and the networks of baselines, to be trained.

    Its ``state_dict`` holds what the objective keeps from step to step as well, under ``_extra_state``.

    Arguments:
        model, guide: the two programs, as modules.
        objective: that gives the loss.
        networks: that the objective trains beside the pair.
    """

    def __init__(self, model: nn.Module, guide: nn.Module, objective: Any, networks: list[nn.Module]) -> None:
        super().__init__(model, guide, objective)
        self.elbo: Any
        self.networks = nn.ModuleList(networks)

    def get_extra_state(self) -> dict[str, Tensor]:
        """What the objective keeps from step to step."""
        state: dict[str, Tensor] = self.elbo.state_dict()
        return state

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Takes that up."""
        self.elbo.load_state_dict(state)
