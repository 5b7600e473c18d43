"""A mixture of any distributions in equal shares, some of which may be left out, datum by datum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.types import Distribution


class EqualMixture(TorchDistribution):
    r"""A mixture in equal shares of those components that are present.

    .. math:: q(z) = \frac{1}{\sum_k m_k} \sum_k m_k\, q_k(z), \qquad m_k \in \{0, 1\}

    The shares depend on no parameter. So a draw has a path, which is that of the component it comes from,
    and the gradient along it is unbiased:
    :math:`\nabla \mathbb E_q f = \mathbb E_k\, \mathbb E_\epsilon \nabla f(g_k(\epsilon))`. What is left out
    has no part in draws, densities or gradients.

    Arguments:
        components: of one event shape and one batch shape ``(...)``.
        present: which count, booleans ``(..., k)``, at least one for each datum.

    Raises:
        ValueError: for components that differ in shape, or too few or too many booleans.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> from pyrovae.distributions import EqualMixture
        >>> left, right = (dist.Normal(torch.full((2, 1), m), 0.1).to_event(1) for m in (-1.0, 1.0))
        >>> q = EqualMixture([left, right], torch.tensor([[True, True], [False, True]]))
        >>> q.mean
        tensor([[0.],
                [1.]])
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(
        self, components: Sequence[Distribution], present: Tensor, *, validate_args: bool | None = None
    ) -> None:
        components = tuple(components)
        shapes = {(tuple(fn.batch_shape), tuple(fn.event_shape)) for fn in components}
        if len(shapes) != 1:
            raise ValueError(
                explain(
                    "EqualMixture, components",
                    expected="distributions of one batch shape and one event shape",
                    got=str(sorted(shapes)),
                    remedy="Give all experts a latent of the same size.",
                )
            )
        batch, event = components[0].batch_shape, components[0].event_shape
        if tuple(present.shape) != (*batch, len(components)) or present.dtype != torch.bool:
            raise ValueError(
                explain(
                    "EqualMixture, present",
                    expected=f"booleans of shape {(*batch, len(components))}",
                    got=f"{str(present.dtype).removeprefix('torch.')} of {tuple(present.shape)}",
                    remedy="Say of each component whether it counts.",
                )
            )
        self.components, self.present = components, present
        super().__init__(batch, event, validate_args=validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every component has pathwise samples."""
        return all(fn.has_rsample for fn in self.components)

    @property
    def support(self) -> Any:
        """That of the components."""
        return self.components[0].support

    def expand(self, batch_shape: Any, _instance: Any = None) -> EqualMixture:
        new: EqualMixture = self._get_checked_instance(  # type: ignore[no-untyped-call]
            EqualMixture, _instance
        )
        batch_shape = torch.Size(batch_shape)
        new.components = tuple(fn.expand(batch_shape) for fn in self.components)
        new.present = self.present.expand((*batch_shape, len(self.components)))
        super(EqualMixture, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """The mean of the means, ``(..., *event)``."""
        means = torch.stack([fn.mean for fn in self.components])
        there = self._leading(self.present)
        return torch.where(there, means, 0.0).sum(0) / there.sum(0)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density, nats, ``(...)``."""
        if self._validate_args:
            self._validate_sample(value)
        each = torch.stack([fn.log_prob(value) for fn in self.components], dim=-1)
        each = torch.where(self.present, each, -torch.inf)
        return each.logsumexp(-1) - self.present.sum(-1).to(each.dtype).log()

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws ``sample_shape + (..., *event)``, each from one component, by its path."""
        return self._one_of([fn.rsample(sample_shape) for fn in self.components], sample_shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws without gradients."""
        with torch.no_grad():
            return self._one_of([fn.sample(sample_shape) for fn in self.components], sample_shape)

    def _one_of(self, draws: list[Tensor], sample_shape: Any) -> Tensor:
        """Of one draw from each component, one."""
        shape = torch.Size(sample_shape) + self.batch_shape
        count = self.present.sum(-1)
        # Which of those that are present, counted from 0.
        place = (torch.rand(shape, device=count.device) * count).long().clamp(max=count - 1)
        chosen = self.present & (self.present.cumsum(-1) - 1 == place.unsqueeze(-1))
        return torch.where(self._leading(chosen), torch.stack(draws), 0.0).sum(0)

    def _leading(self, which: Tensor) -> Tensor:
        """Booleans of the components in front, ``(k, ..., 1...)``, to broadcast with their values."""
        return which.movedim(-1, 0).reshape(which.shape[-1], *which.shape[:-1], *[1] * len(self.event_shape))

    def __repr__(self) -> str:
        return f"EqualMixture({len(self.components)} components, event_shape={tuple(self.event_shape)})"
