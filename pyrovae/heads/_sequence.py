"""What the heads for sequences share: what enters at each place, the emission, and where a sequence ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.distributions.autoregressive import Autoregressive, Pick, UntilEnd, after_end
from pyrovae.errors import explain
from pyrovae.heads._emission import drawing, each, elements, precise
from pyrovae.heads._sizes import check_context, check_features, positive, require_entrywise
from pyrovae.types import Distribution, Head


class SequenceHead(nn.Module, ABC):
    """A head for sequences: a network of elements, each moved on by one place, and of the features.

    Arguments:
        length: T.
        context: the number of features.
        emission: of an element.
        size: of an element, None for sequences of numbers.
        width: the channels of what enters the network, and of what leaves it.
        word_dropout: how often, in training, an element is hidden from the network.
        end: the category that ends a sequence.
    """

    def __init__(
        self,
        length: int,
        context: int,
        *,
        emission: Head,
        size: int | None,
        width: int,
        word_dropout: float,
        end: int | None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        positive(where, length=length, context=context, **({} if size is None else {"size": size}))
        fraction(f"{where}, word_dropout", word_dropout)
        self.length, self.context, self.emission, self.size = length, context, emission, size
        self.word_dropout, self.end = word_dropout, end
        self._elements = elements(where, emission, size or 1, event_dim=1)
        if size is None:
            require_entrywise(where, self._elements.entrywise, emission)
        if end is not None:
            _check_end(where, end, size, self._elements.categories)
        self.entering: nn.Module
        if size is None and self._elements.categories is not None:
            self.entering = nn.Embedding(self._elements.categories, width)
            nn.init.normal_(self.entering.weight, std=width**-0.5)
        else:
            self.entering = nn.Linear(size or 1, width)
        # What enters before the first element, and in the place of a hidden one.
        self.nothing = nn.Parameter(width**-0.5 * torch.randn(width))
        self.given = nn.Linear(context, width)
        self.readout = nn.Linear(width, self._elements.outputs)

    @property
    def event_dim(self) -> int:
        """How many rightmost dimensions make one datum."""
        return 1 if self.size is None else 2

    def features(self, d: int) -> int:
        """The number of features for sequences of d elements."""
        return check_features(type(self).__name__, d, self.length, self.context)

    def forward(self, t: Tensor) -> Distribution:
        check_context(type(self).__name__, t, self.context)
        return Autoregressive(self, t, (self.length,) if self.size is None else (self.length, self.size))

    @property
    def support(self) -> Any:
        """The emission's, at each place, and nothing but the end after an end."""
        one = self.emission(self.nothing.new_zeros(self._elements.outputs)).support
        if self.size is not None:
            return constraints.independent(one, 1)
        return constraints.independent(each(one), 1) if self.end is None else UntilEnd(each(one), self.end)

    def log_conditionals(self, x: Tensor, features: Tensor) -> Tensor:
        """The log probability of each element of ``(m, T)`` or ``(m, T, size)``, ``(m, T)``, in one pass."""
        element = x.unsqueeze(-1) if self.size is None else x
        nothing = self.nothing.expand(len(x), 1, -1)
        before = self._enter(element[:, :-1])
        if self.training and self.word_dropout:
            kept = torch.rand_like(before[..., :1]) >= self.word_dropout
            before = torch.where(kept, before, nothing)
        inputs = torch.cat([nothing, before], 1) + self.given(features).unsqueeze(1)
        outputs = precise(self.readout(self.states(inputs, features)))
        each_place: Tensor = self.emission(outputs).log_prob(element)
        if self.end is None:
            return each_place
        certain = torch.where(x == self.end, 0.0, -torch.inf).to(each_place.dtype)
        return torch.where(after_end(x, self.end), certain, each_place)

    def draw(self, features: Tensor, pick: Pick | None) -> Tensor:
        """Sequences ``(m, T)`` or ``(m, T, size)``, element by element."""
        given, walk, draw = self.given(features), self.walk(features), drawing(self.emission, pick)
        entering: Tensor = self.nothing
        ended = torch.zeros(len(features), 1, dtype=torch.bool, device=features.device)
        drawn: list[Tensor] = []
        for _ in range(self.length):
            if drawn:
                entering = self._enter(drawn[-1])
            element = draw(self.readout(walk(entering + given))).to(features.dtype)
            if self.end is not None:
                element = element.masked_fill(ended, self.end)
                ended = ended | (element == self.end)
            drawn.append(element)
        return torch.cat(drawn, 1) if self.size is None else torch.stack(drawn, 1)

    @abstractmethod
    def states(self, inputs: Tensor, features: Tensor) -> Tensor:
        """What the network makes of all places at once, ``(m, T, width)`` to the same."""

    @abstractmethod
    def walk(self, features: Tensor) -> Callable[[Tensor], Tensor]:
        """The same place by place: a function of what enters at the next, ``(m, width)``, that remembers."""

    def _enter(self, element: Tensor) -> Tensor:
        """Elements ``(..., size)`` as they enter the network, ``(..., width)``."""
        if isinstance(self.entering, nn.Embedding):
            entered: Tensor = self.entering(element.squeeze(-1).long())
        else:
            entered = self.entering(self._elements.scaled(element))
        return entered

    def extra_repr(self) -> str:
        ends = "" if self.end is None else f", end={self.end}"
        size = "" if self.size is None else f", size={self.size}"
        return f"length={self.length}, context={self.context}, emission={self.emission!r}{size}{ends}"


def fraction(where: str, value: float) -> None:
    """Raises ValueError for what is no share below one."""
    if not (isinstance(value, int | float) and 0 <= value < 1):
        raise ValueError(
            explain(where, expected="a number from 0 on, below 1", got=repr(value), remedy="Try 0.25.")
        )


def _check_end(where: str, end: int, size: int | None, categories: int | None) -> None:
    if size is not None or categories is None:
        raise ValueError(
            explain(
                f"{where}, end",
                expected="an emission of categories",
                got="elements of another kind",
                remedy="Sequences of numbers have no end symbol: leave end away.",
            )
        )
    if isinstance(end, bool) or not isinstance(end, int) or not 0 <= end < categories:
        raise ValueError(
            explain(
                f"{where}, end",
                expected=f"one of the categories 0 ... {categories - 1}",
                got=repr(end),
                remedy="Let the emission have a category for the end.",
            )
        )
