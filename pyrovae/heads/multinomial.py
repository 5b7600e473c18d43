"""The multinomial head: a bag of words, scored given how many there are."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions.multinomial import Multinomial as Counts
from pyrovae.errors import explain
from pyrovae.types import Distribution


class Multinomial:
    r"""How often each of d words is in a document, given its length; the network gives the words' logits.

    .. math::
        \mathrm{head}(t) = \frac{N!}{\prod_i x_i!} \prod_i \operatorname{softmax}(t)_i^{x_i},
        \qquad N = \sum_i x_i

    The length N of each document is read off its counts, so documents of any length are scored together. It
    is the exact probability given N, the coefficient included: evidences compare with those of other count
    likelihoods given N, and perplexities with papers that leave the coefficient out do not.

    Arguments:
        total_count: the length of the documents that are drawn; without it there are none, and no mean
            either. Where it is given, data must be of that length.

    Shapes: features ``(..., d)`` become an event of shape ``(d,)``. Data are whole numbers from 0 on, as
        floats or integers; an empty document is one.

    Raises:
        ValueError: for a total count that is not a positive whole number, an output without dimensions, and
            (from draws and means) when there is no total count.

    References:
        Miao, Yu and Blunsom, 2016, Neural Variational Inference for Text Processing,
        https://arxiv.org/abs/1511.06038

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Multinomial()(torch.zeros(5, 2))
        >>> p.log_prob(torch.tensor([2.0, 1.0]))[0].exp()  # three ways to draw it, 1/8 each
        tensor(0.3750)
    """

    event_dim = 1

    def __init__(self, total_count: int | None = None) -> None:
        known = isinstance(total_count, int) and not isinstance(total_count, bool) and total_count > 0
        if total_count is not None and not known:
            raise ValueError(
                explain(
                    "heads.Multinomial, total_count",
                    expected="a positive whole number of draws, or None",
                    got=repr(total_count),
                    remedy="It is needed for draws only; data bring their own.",
                )
            )
        self.total_count = total_count

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: d."""
        return d

    def __call__(self, t: Tensor) -> Distribution:
        if t.ndim == 0 or not t.shape[-1]:
            raise ValueError(
                explain(
                    "heads.Multinomial",
                    expected="a network output of shape (..., d), a logit for each word",
                    got=f"shape {tuple(t.shape)}",
                    remedy="Give the network d outputs for d words.",
                )
            )
        return Counts(t, self.total_count)

    def __repr__(self) -> str:
        return f"Multinomial(total_count={self.total_count})"
