"""The recurrent likelihood: sequences by a GRU that starts from the latent and is given it at each place."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from pyrovae.heads._sequence import SequenceHead
from pyrovae.heads._sizes import positive
from pyrovae.types import Head


class GRU(SequenceHead):
    r"""Sequences whose elements depend on those before them by a recurrent state, as well as on the latent.

    .. math::
        \mathrm{head}(t) = \prod_{i=1}^{T} \mathrm{emission}\big(x_i \mid W h_i\big), \qquad
        h_i = \mathrm{GRU}\big(h_{i-1},\, e(x_{i-1}) + V t\big), \quad h_0 = \tanh(U t)

    with :math:`e` a vector for each category, or a linear map of other values (scaled as :class:`MADE` does),
    and a vector of its own before the first element. ``log_prob`` is one pass over the data's own elements
    (teacher forcing); ``sample`` keeps the state, one step of the GRU an element.

    *Word dropout.* In training mode each element is hidden from the network, not from the likelihood, with
    probability ``word_dropout``, so that the latent is needed; in evaluation mode, and for draws, none is.

    *Length.* All sequences have T elements. With an ``end`` symbol some are shorter, and padded by it: the
    first end and all before it are scored; after it the next element is the end with probability one, so
    that ``log_prob`` adds 0 for each. Sequences without an end are those that hadn't ended after T elements.
    In all, the probabilities add up to one.

    On a CPU a captured step holds every place's own operations, some 50 T of them: for long sequences
    ``compile=False`` is no slower and starts at once.

    Arguments:
        length: T.
        context: the number of features, k.
        emission: what makes an element's distribution, a head with ``event_dim=1``.
        size: d, of an element; None for sequences of numbers or categories.
        hidden: the size of the state.
        word_dropout: the share of elements hidden in training.
        end: the category that ends a sequence, if any does.

    Shapes: features ``(..., k)`` make an event ``(T,)``, or ``(T, d)`` for elements of a size.

    Raises:
        ValueError: for another number of features, sizes that are not positive, an emission that doesn't fit
            the elements, an end symbol that is no category.
        TypeError: for an emission that is no head.

    References:
        Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, 2016, Generating Sentences from a Continuous
        Space, https://arxiv.org/abs/1511.06349

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> head = heads.GRU(12, context=16, emission=heads.Bernoulli(), hidden=32)
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
        size: int | None = None,
        hidden: int = 128,
        word_dropout: float = 0.0,
        end: int | None = None,
    ) -> None:
        positive("GRU", hidden=hidden)
        super().__init__(
            length,
            context,
            emission=emission,
            size=size,
            width=hidden,
            word_dropout=word_dropout,
            end=end,
        )
        self.hidden = hidden
        self.start = nn.Linear(context, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def states(self, inputs: Tensor, features: Tensor) -> Tensor:
        """The states after each place, ``(m, T, hidden)``."""
        states: Tensor = self.gru(inputs, self._start(features))[0]
        return states

    def walk(self, features: Tensor) -> Callable[[Tensor], Tensor]:
        """The state, moved on by one place at each call."""
        state = self._start(features)

        def step(entering: Tensor) -> Tensor:
            nonlocal state
            output: Tensor
            output, state = self.gru(entering.unsqueeze(1), state)
            return output.squeeze(1)

        return step

    def _start(self, features: Tensor) -> Tensor:
        return self.start(features).tanh().unsqueeze(0)
