"""Likelihoods: the log probability of data, with the gradient by what the network gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from by_hand import counts, entries, logistic_mixture
from torch import Tensor, nn

from part_pairs.pair import Maker, Pair, graded, leaf
from pyrovae import heads

ByHand = Callable[[Tensor, Tensor], Tensor]


def _pair(what: str, head: Any, by_hand: ByHand, t: Tensor, x: Tensor) -> Pair:
    return Pair(what, graded(lambda: head(t).log_prob(x), [t]), graded(lambda: by_hand(t, x), [t]))


def _images(head: Any, by_hand: ByHand, channels: int, small: bool) -> Pair:
    n, side = (2, 3) if small else (32, 32)
    t = leaf(n, head.features(channels), side, side)
    x = torch.randint(256, (n, channels, side, side)) / 255
    pair = _pair(f"({n}, {channels}, {side}, {side})", head, by_hand, t, x)
    return pair._replace(tolerance=1e-3)  # by hand small masses are densities, as they are published


def colour(small: bool) -> Pair:
    return _images(
        heads.LogisticMixture(10, event_dim=3), partial(logistic_mixture.colour, components=10), 3, small
    )


def gray(small: bool) -> Pair:
    return _images(
        heads.LogisticMixture(10, event_dim=3), partial(logistic_mixture.gray, components=10), 1, small
    )


def single(small: bool) -> Pair:
    return _images(heads.DiscretisedLogistic(event_dim=3), logistic_mixture.single, 3, small)


def pixels(small: bool) -> Pair:
    return _images(heads.PixelCategorical(event_dim=3), entries.pixel_categorical, 1, small)


def _vectors(head: Any, by_hand: ByHand, d: int, draw: Callable[..., Tensor], small: bool) -> Pair:
    n, d = (5, 6) if small else (128, d)
    t = leaf(n, head.features(d))
    # A module brings buffers in the precision of the imports.
    made = head.to(t.dtype) if isinstance(head, nn.Module) else head
    pair = _pair(f"({n}, {d})", made, by_hand, t, draw(n, d))
    return pair._replace(tolerance=1e-6)  # as published, some add 1e-8 here and there


def _bits(n: int, d: int) -> Tensor:
    return torch.rand(n, d).round()


def _counts(n: int, d: int) -> Tensor:
    return torch.poisson(torch.distributions.Gamma(0.5, 0.2).sample((n, d)))


def _codes(n: int, d: int) -> Tensor:
    return torch.randint(10, (n, d)).to(torch.get_default_dtype())


def _row(head: Any, by_hand: ByHand, d: int, draw: Callable[..., Tensor]) -> Maker:
    return partial(_vectors, head, by_hand, d, draw)


PAIRS: dict[str, Maker] = {
    "`heads.LogisticMixture`, colour": colour,
    "`heads.LogisticMixture`, gray": gray,
    "`heads.DiscretisedLogistic`": single,
    "`heads.PixelCategorical`": pixels,
    "`heads.Bernoulli`": _row(heads.Bernoulli(), entries.bernoulli, 784, _bits),
    "`heads.ContinuousBernoulli`": _row(
        heads.ContinuousBernoulli(), entries.continuous_bernoulli, 784, torch.rand
    ),
    "`heads.Normal`, likelihood": _row(heads.Normal(), entries.normal, 3072, torch.randn),
    "`heads.Laplace`": _row(heads.Laplace(), entries.laplace, 3072, torch.randn),
    "`heads.StudentT`": _row(heads.StudentT(3.0), partial(entries.student_t, df=3.0), 3072, torch.randn),
    "`heads.Beta`": _row(heads.Beta(), entries.beta, 3072, torch.rand),
    "`heads.Categorical`": _row(
        heads.Categorical(10), partial(entries.categorical, categories=10), 784, _codes
    ),
    "`heads.Poisson`": _row(heads.Poisson(), counts.poisson, 2000, _counts),
    "`heads.NegativeBinomial`": _row(heads.NegativeBinomial(), counts.negative_binomial, 2000, _counts),
    "`heads.ZeroInflatedNegativeBinomial`": _row(
        heads.ZeroInflatedNegativeBinomial(), counts.zero_inflated, 2000, _counts
    ),
    "`heads.Multinomial`": _row(heads.Multinomial(), counts.multinomial, 2000, _counts),
}
