"""Categorical heads: any probabilities, on categories without order or on the gray levels of pixels."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions import GridCategorical, LogitCategorical
from pyrovae.distributions._supports import check_levels
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, joined, per_entry
from pyrovae.types import Distribution


class Categorical:
    r"""Independent categorical variables of which the network gives the logits.

    .. math::
        \mathrm{head}(t) = \prod_i \operatorname{softmax}(t_i)_{x_i}, \qquad x_i \in \{0, \dots, K - 1\}

    The data are codes, as floats or as integers; their order means nothing. For gray levels in [0, 1] it is
    :class:`PixelCategorical`.

    Arguments:
        categories: K, how many there are.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., d K)``, the K logits of an entry side by side, become an event of shape ``(d,)``,
        and with ``event_dim=3`` channels ``(..., C K, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: for fewer than two categories; a split dimension that is no multiple of K; data that are
            no codes.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Categorical(3)(torch.zeros(5, 2 * 3))
        >>> round(p.log_prob(torch.tensor([0.0, 2.0]))[0].item(), 3)  # 2 ln(1/3)
        -2.197
    """

    def __init__(self, categories: int, event_dim: int = 1) -> None:
        if isinstance(categories, bool) or not isinstance(categories, int) or categories < 2:
            raise ValueError(
                explain(
                    "heads.Categorical, categories",
                    expected="a whole number of at least 2",
                    got=repr(categories),
                    remedy="Give the largest code plus one.",
                )
            )
        self.categories = categories
        self.event_dim = check_event_dim("Categorical", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: K d."""
        return self.categories * d

    def __call__(self, t: Tensor) -> Distribution:
        of = f"{self.categories} logits"
        logits = per_entry("Categorical", t, self.categories, event_dim=self.event_dim, of=of)
        return joined(LogitCategorical(logits), self.event_dim)

    def __repr__(self) -> str:
        return f"Categorical(categories={self.categories}, event_dim={self.event_dim})"


class PixelCategorical:
    r"""Gray levels, each with a probability of its own, of which the network gives the logits.

    .. math::
        \mathrm{head}(t) = \prod_i \operatorname{softmax}(t_i)_{k_i}, \qquad x_i = \tfrac{k_i}{L - 1}

    Any distribution of a pixel can be told, at the price of L outputs for each: nothing makes neighbouring
    levels alike. All heads of gray levels take the data on this grid, as :class:`pyrovae.data.Pixels` gives
    them, and sample on it. A log probability in nats is bits per dimension by
    :func:`pyrovae.evaluate.bits_per_dim`, without an offset.

    Arguments:
        levels: L; bytes have 256.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., d L)``, the L logits of an entry side by side, become an event of shape ``(d,)``,
        and with ``event_dim=3`` channels ``(..., C L, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: for fewer than two levels; a split dimension that is no multiple of L; data off the grid.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, 2016, Pixel Recurrent Neural Networks,
        https://arxiv.org/abs/1601.06759

    Example:
        >>> import torch
        >>> from pyrovae import evaluate, heads
        >>> p = heads.PixelCategorical(levels=256)(torch.zeros(5, 2 * 256))
        >>> round(evaluate.bits_per_dim(p.log_prob(torch.tensor([0.0, 7 / 255]))[0].item(), 2), 4)
        8.0
    """

    def __init__(self, levels: int = 256, event_dim: int = 1) -> None:
        check_levels("heads.PixelCategorical", levels)
        self.levels = levels
        self.event_dim = check_event_dim("PixelCategorical", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: L d."""
        return self.levels * d

    def __call__(self, t: Tensor) -> Distribution:
        of = f"{self.levels} logits"
        logits = per_entry("PixelCategorical", t, self.levels, event_dim=self.event_dim, of=of)
        return joined(GridCategorical(logits), self.event_dim)

    def __repr__(self) -> str:
        return f"PixelCategorical(levels={self.levels}, event_dim={self.event_dim})"
