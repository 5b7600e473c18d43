"""A distribution over the elements of an event one after another, each given those before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from pyro.distributions.util import broadcast_shape
from torch import Tensor

from pyrovae.types import Distribution

_ONE = torch.Size()

_ELEMENTS_AT_ONCE = 250_000
"""How many elements are drawn at a time: a network keeps some hundred numbers for each while it draws."""

Pick: TypeAlias = Callable[[Distribution], Tensor]
"""From the distribution of an element to its value."""


class Conditionals(Protocol):
    """What gives each element's distribution: a network that sees the elements before it, and features."""

    @property
    def support(self) -> Any:
        """The support of an event."""

    def log_conditionals(self, x: Tensor, features: Tensor) -> Tensor:
        """The log probabilities of the elements of ``(m, *event)``, in one pass; ``(m,)`` or ``(m, ...)``."""

    def draw(self, features: Tensor, pick: Pick | None) -> Tensor:
        """Events ``(m, *event)``, each element picked (None: drawn) once those before it are."""


class Autoregressive(TorchDistribution):
    r"""An event whose elements are drawn in order, each given those before it and the features of the latent.

    .. math:: p(x \mid t) = \prod_i p\big(x_i \mid x_1, \dots, x_{i-1}, t\big)

    ``log_prob`` takes one pass of the network, whatever the number of elements, for all are known; ``sample``
    goes from element to element. Both flatten the batch: a sample shape, particles in a plate, and data that
    are shared by several draws of the features all make one batch of one pass. Draws have no gradients.

    Arguments:
        conditionals: the network, as the heads :class:`pyrovae.heads.PixelCNN`, :class:`pyrovae.heads.MADE`,
            :class:`pyrovae.heads.GRU` and :class:`pyrovae.heads.Transformer` are.
        features: what it is given beside the elements, ``(*batch_shape, ...)``.
        event_shape: of one datum.
        feature_dim: how many rightmost dimensions of the features belong to one datum.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> p = heads.MADE(6, context=4)(torch.zeros(5, 4))
        >>> p
        Autoregressive(MADE, batch_shape=(5,), event_shape=(6,))
        >>> p.log_prob(p.sample((3,))).shape
        torch.Size([3, 5])
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(
        self,
        conditionals: Conditionals,
        features: Tensor,
        event_shape: Sequence[int],
        *,
        feature_dim: int = 1,
        validate_args: bool | None = None,
    ) -> None:
        self.conditionals, self.features, self.feature_dim = conditionals, features, feature_dim
        batch_shape = features.shape[: features.ndim - feature_dim]
        super().__init__(batch_shape, torch.Size(event_shape), validate_args=validate_args)

    @property
    def support(self) -> Any:
        """That of the elements, for a whole event."""
        return self.conditionals.support

    def expand(self, batch_shape: Any, _instance: Any = None) -> Autoregressive:
        new: Autoregressive = self._get_checked_instance(  # type: ignore[no-untyped-call]
            Autoregressive, _instance
        )
        # The features stay as they are: what is equal for all copies is computed once.
        new.conditionals, new.features, new.feature_dim = self.conditionals, self.features, self.feature_dim
        batch_shape = torch.Size(broadcast_shape(self.batch_shape, batch_shape))
        super(Autoregressive, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for events ``(..., *event_shape)``; one pass of the network."""
        if self._validate_args:
            self._validate_sample(value)
        given = self.features.shape[: self.features.ndim - self.feature_dim]
        batch = value.shape[: value.ndim - len(self.event_shape)]
        shape = torch.Size(broadcast_shape(given, batch))
        count = math.prod(shape)
        x = value.to(self._dtype).expand(shape + self.event_shape).reshape(count, *self.event_shape)
        each = self.conditionals.log_conditionals(x, self._flat(shape))
        total = (each if each.ndim == 1 else each.flatten(1).sum(-1)).reshape(shape)
        return total.expand(broadcast_shape(self.batch_shape, shape))

    def sample(self, sample_shape: Any = _ONE) -> Tensor:
        """Draws ``(*sample_shape, *batch_shape, *event_shape)``, element after element."""
        return self.draw(None, sample_shape)

    def draw(self, pick: Pick | None, sample_shape: Any = _ONE) -> Tensor:
        """As ``sample``, but for how an element is picked: by its mode, say, or by a tempered draw.

        Arguments:
            pick: from the distribution of the next element, batch shape ``(m,)``, to its value.
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        at_once = max(1, _ELEMENTS_AT_ONCE // max(1, self.event_shape.numel()))
        with torch.no_grad():
            parts = self._flat(shape).split(at_once)
            events = torch.cat([self.conditionals.draw(features, pick) for features in parts])
        return events.to(self._dtype).reshape(shape + self.event_shape)

    @property
    def _dtype(self) -> torch.dtype:
        # Under autocast features may be of half precision, in which the number of a category is rounded.
        return torch.promote_types(self.features.dtype, torch.float32)

    def _flat(self, shape: torch.Size) -> Tensor:
        """The features for a batch shape, ``(m, ...)``."""
        datum = self.features.shape[self.features.ndim - self.feature_dim :]
        return self.features.expand(shape + datum).reshape(math.prod(shape), *datum)

    def __repr__(self) -> str:
        return (
            f"Autoregressive({type(self.conditionals).__name__}, batch_shape={tuple(self.batch_shape)}, "
            f"event_shape={tuple(self.event_shape)})"
        )


class UntilEnd(constraints.Constraint):
    """Sequences of categories in which nothing but the end symbol follows an end symbol.

    Arguments:
        element: the support of one element.
        end: the end symbol.
    """

    is_discrete = True
    event_dim = 1

    def __init__(self, element: Any, end: int) -> None:
        self.element, self.end = element, end
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        valid: Tensor = self.element.check(value) & (~after_end(value, self.end) | (value == self.end))
        return valid.all(-1)

    def __repr__(self) -> str:
        return f"sequences of {self.element} with nothing but {self.end} after the first {self.end}"


def after_end(x: Tensor, end: int) -> Tensor:
    """Which elements of ``(..., T)`` lie behind the first end symbol, itself not included."""
    ends = (x == end).long()
    return ends.cumsum(-1) > ends
