r"""What a flow is: a module whose call, given a context, makes an invertible transform of vectors.

A flow of one's own is a subclass of :class:`Flow` that says how to go forth, ``push``, and back, ``pull``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints

from pyrovae.errors import explain

Activation = Callable[[], nn.Module]
Moved = tuple[Tensor, Tensor]
"""Where vectors go, ``(..., d)``, and the log-determinant of the way from base to value there, ``(...)``."""


class Flow(nn.Module):
    r"""A family of bijections :math:`y = f(x; c)` of :math:`\mathbb R^d`, one for each context c.

    The base's draws x go forth by :meth:`push`, values y come back by :meth:`pull`.

    Arguments:
        dim: the number of entries, d.
        context: the size of the context, 0 for a flow without.

    Shapes: the context ``(..., context)``, whose leading dimensions broadcast with those of ``(..., d)``.

    Raises:
        ValueError: for sizes that are not integers, a missing context, or one of another size.
    """

    def __init__(self, dim: int, *, context: int = 0) -> None:
        super().__init__()
        check_size(f"{type(self).__name__}, dim", dim, 1)
        check_size(f"{type(self).__name__}, context", context, 0)
        self.dim, self.context = dim, context

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        """From the base to values, with :math:`\\log|\\det \\partial y / \\partial x|`."""
        raise NotImplementedError

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        """From values to the base; the log-determinant is that of the way forth."""
        raise NotImplementedError

    def forward(self, context: Tensor | None = None) -> Transform:
        size = None if context is None or context.ndim == 0 else context.shape[-1]
        if (context is None) != (self.context == 0) or (context is not None and size != self.context):
            raise ValueError(
                explain(
                    type(self).__name__,
                    expected=f"a context of shape (..., {self.context})" if self.context else "no context",
                    got="None" if context is None else f"one of shape {tuple(context.shape)}",
                    remedy="Call flow(context), with the size that the flow was built for: context=.",
                )
            )
        return Pushforward(self, context)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, context={self.context}"


class _Move(NamedTuple):
    """What was moved where, with the log-determinant, and whether with gradients."""

    x: Tensor
    y: Tensor
    log_det: Tensor
    with_grad: bool


class Pushforward(Transform):
    """A flow at one context, as torch's and Pyro's distributions take it.

    It remembers the last vectors that it moved, so that a draw's density costs no way back; and forgets them
    where they were drawn without gradients and the density is asked for with: at a given value the way back
    depends on the parameters too.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, flow: Flow, context: Tensor | None = None) -> None:
        super().__init__()
        self.flow, self.context = flow, context
        self._last: _Move | None = None

    @property
    def inv(self) -> Transform:
        """The way back, made anew: torch would keep it, a cycle that holds a step's graph for long."""
        inverse = super().inv
        self._inv = None
        return inverse

    def with_cache(self, cache_size: int = 1) -> Pushforward:
        """The transform itself: it remembers anyway."""
        return self

    def __call__(self, x: Tensor) -> Tensor:
        last = self._remembered()
        if last is None or last.x is not x:
            last = self._last = _Move(x, *self.flow.push(x, self.context), torch.is_grad_enabled())
        return last.y

    def _inv_call(self, y: Tensor) -> Tensor:
        last = self._remembered()
        if last is None or last.y is not y:
            x, log_det = self.flow.pull(y, self.context)
            last = self._last = _Move(x, y, log_det, torch.is_grad_enabled())
        return last.x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        r""":math:`\log|\det \partial y / \partial x|`, ``(...)``."""
        last = self._remembered()
        if last is None or last.x is not x or last.y is not y:
            return self.flow.push(x, self.context)[1]
        return last.log_det

    def _remembered(self) -> _Move | None:
        """The last move, unless gradients are wanted that it has not."""
        return self._last if self._last and self._last.with_grad >= torch.is_grad_enabled() else None

    def forward_shape(self, shape: Any) -> torch.Size:
        return self._shape(shape)

    def inverse_shape(self, shape: Any) -> torch.Size:
        return self._shape(shape)

    def _shape(self, shape: Any) -> torch.Size:
        leading = () if self.context is None else self.context.shape[:-1]
        shape, own = torch.Size(shape), torch.Size((*leading, self.flow.dim))
        # The usual case by itself: to broadcast shapes costs torch as much as moving a vector.
        return shape if shape[-len(own) :] == own else torch.broadcast_shapes(shape, own)

    def __repr__(self) -> str:
        return f"{type(self.flow).__name__}()"


def check_size(where: str, size: int, least: int) -> None:
    """Refuses what is not an integer from ``least`` on."""
    if isinstance(size, bool) or not isinstance(size, int) or size < least:
        raise ValueError(
            explain(
                where, expected=f"an integer from {least} on", got=repr(size), remedy=f"Try {max(least, 1)}."
            )
        )
