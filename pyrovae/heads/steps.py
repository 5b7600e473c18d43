"""A head for sequences: one of the same kind at each step, independent of the others."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pyrovae.arguments import is_part, shown
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class Steps(nn.Module):
    r"""The head of one step, applied at every step of a sequence.

    .. math:: \mathrm{Steps}(t) = \prod_{i=1}^T \mathrm{head}(t_i)

    As a likelihood it is "one likelihood per time step"; as a posterior, the one that factorises over time.

    Arguments:
        head: of one step, such as :data:`pyrovae.heads.bernoulli`.

    Shapes: features ``(..., T, k)`` become an event of shape ``(T, d)``, where the head takes ``(..., k)`` to
        events ``(d,)``; a head of images takes ``(..., T, k, H, W)``. ``features(d)`` is the head's: how many
        network outputs each step needs.

    Raises:
        ValueError: for an output without a dimension of time, or that the head of a step refuses.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Steps(heads.bernoulli)(torch.zeros(5, 10, 8))
        >>> p.batch_shape, p.event_shape
        (torch.Size([5]), torch.Size([10, 8]))
        >>> round(p.log_prob(torch.ones(10, 8))[0].item(), 3)  # 80 ln(1/2)
        -55.452
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        if not is_part(head):
            raise TypeError(
                explain(
                    "Steps",
                    expected="a head",
                    got=shown(head),
                    remedy="Write Steps(pyrovae.heads.normal), say.",
                )
            )
        self.head = head
        self.event_dim: int = getattr(head, "event_dim", 1) + 1

    def features(self, d: int) -> int:
        """How many network outputs a step needs for an event of size d: the head's own."""
        head: Any = self.head
        return int(head.features(d))

    def forward(self, t: Tensor) -> Distribution:
        if t.ndim < self.event_dim or not t.shape[-self.event_dim]:
            raise ValueError(
                explain(
                    "heads.Steps",
                    expected=f"a network output of {self.event_dim} dimensions or more, time being dimension "
                    f"-{self.event_dim}",
                    got=f"shape {tuple(t.shape)}",
                    remedy="Let the network keep the dimension of time: (..., T, features).",
                )
            )
        return self.head(t).to_event(1)

    def extra_repr(self) -> str:
        return "" if isinstance(self.head, nn.Module) else f"head={self.head!r}"
