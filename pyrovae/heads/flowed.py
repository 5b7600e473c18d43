"""A head made richer by a flow that the same network tells its context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pyro.distributions as dist
from torch import Tensor, nn
from torch.distributions import Transform

from pyrovae.arguments import is_part, require_part, shown
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class ContextualFlow(Protocol):
    """What of a flow is needed here.

    Attributes:
        dim: the number of entries of a vector.
        context: the size of the context, 0 for none.
    """

    dim: int
    context: int

    def __call__(self, context: Tensor | None = None) -> Transform: ...


class Flowed(nn.Module):
    r"""A head's distribution moved by a flow, both read off the network's output.

    .. math::
        y = f(x; c), \quad x \sim \mathrm{head}(t), \qquad
        \log q(y) = \log \mathrm{head}(t)(x) - \log \Big|\det \frac{\partial f(x; c)}{\partial x}\Big|

    with the features split into t and, the last ones, c. Its own draws are scored without the flow's way
    back, any other value with it, and exactly.

    Arguments:
        head: makes the base, vectors of the flow's ``dim``.
        flow: one of :mod:`pyrovae.flows`.

    Shapes: features ``(..., head.features(d) + flow.context)`` become an event ``(d,)``, d the
        flow's ``dim``.

    Raises:
        TypeError: for what is no head, or no flow.
        ValueError: for features of another size, and a head whose events are no vectors of the flow's size.

    References:
        Rezende and Mohamed, 2015, Variational Inference with Normalizing Flows,
        https://arxiv.org/abs/1505.05770

    Example:
        >>> import torch
        >>> from pyrovae import flows, heads
        >>> head = heads.Flowed(heads.normal, flows.IAF(3, context=4))
        >>> head.features(3)
        10
        >>> q = head(torch.zeros(5, 10))
        >>> q.batch_shape, q.event_shape
        (torch.Size([5]), torch.Size([3]))
        >>> q.log_prob(q.rsample()).shape
        torch.Size([5])
    """

    def __init__(self, head: Head, flow: ContextualFlow) -> None:
        super().__init__()
        require_part("heads.Flowed, head", head, "a head", "heads.Flowed(heads.Normal(), flow)")
        if not (is_part(flow) and hasattr(flow, "dim") and hasattr(flow, "context")):
            raise TypeError(
                explain(
                    "heads.Flowed, flow",
                    expected="a flow, with dim and context",
                    got=shown(flow),
                    remedy="Take one of pyrovae.flows, as flows.IAF(8, context=16).",
                )
            )
        if getattr(head, "event_dim", 1) != 1:
            raise ValueError(
                explain(
                    "heads.Flowed, head",
                    expected="a head of vectors, event_dim=1",
                    got=repr(head),
                    remedy="Flows move vectors.",
                )
            )
        self.head, self.flow = head, flow

    @property
    def event_dim(self) -> int:
        """1: events are vectors."""
        return 1

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries: the head's and the context's."""
        if d != self.flow.dim:
            raise ValueError(
                explain(
                    "heads.Flowed",
                    expected=f"events of the flow's dim, {self.flow.dim}",
                    got=repr(d),
                    remedy="Build the flow for that many entries.",
                )
            )
        base: Any = self.head
        return int(base.features(d)) + self.flow.context

    def forward(self, t: Tensor) -> Distribution:
        size = t.shape[-1] if t.ndim else 0
        count = getattr(self.head, "features", None)
        wanted = None if count is None else self.features(self.flow.dim)
        if size <= self.flow.context or wanted not in (None, size):
            raise ValueError(
                explain(
                    "heads.Flowed",
                    expected=f"features of shape (..., {wanted or 'base features + context'})",
                    got=f"shape {tuple(t.shape)}",
                    remedy="Give the network head.features(dim) outputs.",
                )
            )
        context = t[..., size - self.flow.context :] if self.flow.context else None
        return moved(self.head(t[..., : size - self.flow.context]), self.flow, context)


def moved(
    base: Any, flow: Callable[..., Transform], context: Tensor | None = None, *, where: str = "heads.Flowed"
) -> Distribution:
    """A distribution of vectors, moved by a flow."""
    dim = getattr(flow, "dim", None)
    if tuple(base.event_shape) != (dim,):
        raise ValueError(
            explain(
                where,
                expected=f"a base of vectors of the flow's dim, {dim}",
                got=f"events of shape {tuple(base.event_shape)}",
                remedy="Build the flow and its base for the same number of entries.",
            )
        )
    return dist.TransformedDistribution(base, [flow() if context is None else flow(context)])
