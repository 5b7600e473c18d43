"""A fitted pair: the two programs, their parameters, the history and what is known of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrovae.spec import build
from pyrovae.training.history import History
from pyrovae.training.parameters import Parameters, networks
from pyrovae.training.signature import Signature
from pyrovae.types import Batch, Program


class Fit:
    """A model and a guide with their parameters, trained here or elsewhere.

    Everything that looks at a posterior (``predict``, ``evaluate``, ``export``) takes a ``Fit`` and never
    asks who trained it: ``Fit(model, guide)`` serves for a pair trained with ``pyro.infer.SVI``.

    Attributes:
        model, guide: the two programs, as they were given.
        parameters: the pair's own Pyro parameter store.
        history: one row an epoch, nats per datum.
        config: JSON-able facts about the run: seed, optimiser, data, versions.

    Arguments:
        parameters: by default the process's current Pyro store, shared, so that a pair trained with plain
            Pyro keeps what its ``pyro.param`` statements have learned.
    """

    def __init__(
        self,
        model: Program,
        guide: Program,
        *,
        parameters: Parameters | None = None,
        history: History | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.guide = model, guide
        self.parameters = Parameters.of_process() if parameters is None else parameters
        self.history = History() if history is None else history
        self.config = {} if config is None else config

    @property
    def params(self) -> dict[str, Tensor]:
        """The parameters by their Pyro names, constraints applied, detached copies."""
        return self.parameters.values()

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        for module in networks(self.model, self.guide).values():
            for tensor in [*module.parameters(), *module.buffers()]:
                return tensor.device
        for tensor in self.parameters.unconstrained().values():
            return tensor.device
        return torch.device("cpu")

    @property
    def transform(self) -> Any:
        """What the data went through on their way into training, ``.inverse`` included, or None.

        It is rebuilt from the run's configuration, so it is there after :func:`pyrovae.load` as well.
        """
        return build(self.config.get("data", {}).get("transform"))

    def arguments(self, batch: Batch) -> Batch:
        """The tensors of a batch that the programs take: labels that the model has no use for fall away."""
        return self._signature.cut(batch)

    @cached_property
    def _signature(self) -> Signature:
        model, guide = Signature.of(self.model), Signature.of(self.guide)
        if not model.is_open:
            return model
        # As many as the model or the guide has a use for.
        counts = [side.taken for side in (model, guide) if side.taken is not None]
        return model._replace(taken=max(counts, default=None))

    @contextmanager
    def evaluating(self) -> Iterator[tuple[Program, Program]]:
        """The two programs ready to be run: their own parameters, evaluation mode, no gradients.

        Example:
            >>> import torch, pyrovae as pv
            >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
            >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
            >>> with pv.Fit(model, guide).evaluating() as (p, q):
            ...     p(size=3).shape
            torch.Size([3, 64])
        """
        modules = [m for net in networks(self.model, self.guide).values() for m in net.modules()]
        training = [module.training for module in modules]
        try:
            for module in modules:
                module.training = False
            with self.parameters.active(), torch.no_grad():
                yield self.model, self.guide
        finally:
            for module, mode in zip(modules, training, strict=True):
                module.training = mode

    def save(self, folder: str | Path) -> Path:
        """Writes weights (safetensors), history (CSV) and configuration (JSON); see :func:`pyrovae.load`."""
        from pyrovae.training.folder import save

        return save(self, Path(folder))

    def __repr__(self) -> str:
        names = [getattr(p, "__name__", type(p).__name__) for p in (self.model, self.guide)]
        return f"Fit({names[0]}, {names[1]}, {self.history!r})"
