"""The causal transformer: sequences whose elements attend to those before them, and to the latent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyrovae.errors import explain
from pyrovae.heads._sequence import SequenceHead, fraction
from pyrovae.heads._sizes import positive
from pyrovae.types import Head


class Transformer(SequenceHead):
    r"""Sequences whose elements depend on all before them by attention, as well as on the latent.

    .. math::
        \mathrm{head}(t) = \prod_{i=1}^{T} \mathrm{emission}\big(x_i \mid W h_i\big), \qquad
        h_{1:T} = \mathrm{blocks}\big(e(x_{0:T-1}) + p_{1:T} + V t\big)

    with :math:`e` a vector for each category, or a linear map of other values (scaled as :class:`MADE` does),
    :math:`x_0` a symbol of its own, and :math:`p_i` a vector for each place. A block normalises before it
    attends, and before its perceptron of four times the width; each place attends to itself and those before.

    ``log_prob`` is one pass; ``sample`` keeps the keys and values, one pass of a single place an element.
    Dropout acts in ``log_prob``, in training mode. For ``end`` see :class:`GRU`.

    Arguments:
        length: T.
        context: the number of features, k.
        emission: what makes an element's distribution, a head with ``event_dim=1``.
        width: the channels at each place.
        blocks: how many blocks.
        heads: how many heads of attention; they share the width.
        dropout: of attention, and of what each block adds.
        end: the category that ends a sequence, if any does.

    Shapes: features ``(..., k)`` make an event ``(T,)``.

    Raises:
        ValueError: for another number of features, sizes that are not positive, a width that isn't a multiple
            of the number of heads, an emission of more than numbers, an end symbol that is no category.
        TypeError: for an emission that is no head.

    References:
        Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser and Polosukhin, 2017, Attention Is All You
        Need, https://arxiv.org/abs/1706.03762
        Xiong, Yang, He, Zheng, Zheng, Xing, Zhang, Lan, Wang and Liu, 2020, On Layer Normalization in the
        Transformer Architecture, https://arxiv.org/abs/2002.04745

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> head = heads.Transformer(12, context=16, emission=heads.Bernoulli(), width=32)
        >>> p = head(torch.zeros(5, 16))
        >>> p.sample().shape, p.log_prob(torch.ones(5, 12)).shape
        (torch.Size([5, 12]), torch.Size([5]))
    """

    def __init__(
        self,
        length: int,
        context: int,
        *,
        emission: Head,
        width: int = 64,
        blocks: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        end: int | None = None,
    ) -> None:
        positive("Transformer", width=width, blocks=blocks, heads=heads)
        fraction("Transformer, dropout", dropout)
        if width % heads:
            raise ValueError(
                explain(
                    "Transformer, width",
                    expected=f"a multiple of the {heads} heads",
                    got=str(width),
                    remedy=f"Try {heads * (width // heads + 1)}.",
                )
            )
        super().__init__(
            length, context, emission=emission, size=None, width=width, word_dropout=0.0, end=end
        )
        self.width, self.blocks, self.heads, self.dropout = width, blocks, heads, dropout
        self.places = nn.Parameter(width**-0.5 * torch.randn(length, width))
        self.stack: Any = nn.ModuleList([_Block(width, heads, dropout) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)

    def states(self, inputs: Tensor, features: Tensor) -> Tensor:
        """What comes out at each place, ``(m, T, width)``."""
        states = inputs + self.places
        for block in self.stack:
            states = block(states)
        return self.norm(states)

    def walk(self, features: Tensor) -> Callable[[Tensor], Tensor]:
        """One more place at each call; keys and values of those before are kept."""
        cached = [_Cached(block, len(features), self.length) for block in self.stack]
        places = iter(self.places)

        def step(entering: Tensor) -> Tensor:
            state = (entering + next(places)).unsqueeze(1)
            for block in cached:
                state = block.next(state)
            return self.norm(state).squeeze(1)

        return step


class _Block(nn.Module):
    """Attention to what came before, then a perceptron; each adds to its input, which it normalises first."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attending, self.attended = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """``(m, T, width)`` to the same."""
        dropout = self.dropout if self.training else 0.0
        query, key, value = self.split(x)
        found = F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout)
        x = x + F.dropout(self.join(found), dropout)
        return x + F.dropout(self.perceptron(self.second(x)), dropout)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each ``(m, heads, T, width / heads)``."""
        parts = self.attending(self.first(x)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return query, key, value

    def join(self, found: Tensor) -> Tensor:
        """What the heads have found, ``(m, T, width)``."""
        joined: Tensor = self.attended(found.transpose(1, 2).flatten(2))
        return joined


class _Cached:
    """A block place by place.

    Arguments:
        block: its weights.
        count: m.
        length: T.
    """

    def __init__(self, block: _Block, count: int, length: int) -> None:
        weight = block.attended.weight
        self.block, self.place = block, 0
        shape = (count, block.heads, length, len(weight) // block.heads)
        self.keys, self.values = weight.new_empty(shape), weight.new_empty(shape)

    def next(self, x: Tensor) -> Tensor:
        """The next place, ``(m, 1, width)`` to the same; no dropout."""
        here, self.place = self.place, self.place + 1
        query, self.keys[:, :, here : here + 1], self.values[:, :, here : here + 1] = self.block.split(x)
        seen = slice(self.place)
        found = F.scaled_dot_product_attention(query, self.keys[:, :, seen], self.values[:, :, seen])
        x = x + self.block.join(found)
        return x + self.block.perceptron(self.block.second(x))
