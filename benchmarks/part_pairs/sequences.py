"""Autoregressive likelihoods: what is scored in one pass, and draws element by element."""

from __future__ import annotations

from typing import Any

import torch
from by_hand import made, pixel_cnn, sequences

from part_pairs.pair import Maker, Pair, alike, drawn, graded, leaf
from pyrovae import heads


def _pixel_cnn(small: bool, side: int) -> tuple[Any, pixel_cnn.PixelCNN, torch.Tensor, str]:
    context, width, layers, side, n = (3, 4, 2, 4, 3) if small else (16, 32, 5, side, 16)
    head = heads.PixelCNN(1, context, width=width, layers=layers)
    hand = pixel_cnn.PixelCNN(context, width, layers, 5)
    alike(hand.parameters(), head.parameters())
    return head, hand, leaf(n, context, side, side), f"({n}, 1, {side}, {side}), {layers} layers of {width}"


def pixel_cnn_draws(small: bool) -> Pair:
    head, hand, t, what = _pixel_cnn(small, side=28)
    return Pair(what, drawn(lambda: head(t).sample()), drawn(lambda: hand.sample(t)))


def pixel_cnn_small_draws(small: bool) -> Pair:
    head, hand, t, what = _pixel_cnn(small, side=14)
    naive = ("a full pass for each pixel", drawn(lambda: hand.sample_naively(t)))
    return Pair(what, drawn(lambda: head(t).sample()), drawn(lambda: hand.sample(t)), naive)


def pixel_cnn_density(small: bool) -> Pair:
    head, hand, t, what = _pixel_cnn(small, side=28)
    x = torch.rand(len(t), 1, *t.shape[2:]).round()
    return Pair(
        what,
        graded(lambda: head(t).log_prob(x), [t, *head.parameters()]),
        graded(lambda: hand.log_density(t, x), [t, *hand.parameters()]),
    )


def _gru(small: bool) -> tuple[Any, Any, torch.Tensor, str]:
    n, length, context, categories, hidden = (3, 4, 3, 5, 6) if small else (64, 50, 32, 100, 128)
    head = heads.GRU(length, context, emission=heads.Categorical(categories), hidden=hidden)
    hand = sequences.GRU(length, context, categories, hidden)
    alike(hand.parameters(), head.parameters())
    return head, hand, leaf(n, context), f"({n}, {length}), {categories} categories, {hidden} hidden"


def _transformer(small: bool) -> tuple[Any, Any, torch.Tensor, str]:
    n, length, context, categories, width = (3, 4, 3, 5, 8) if small else (64, 50, 32, 100, 64)
    head = heads.Transformer(length, context, emission=heads.Categorical(categories), width=width)
    hand = sequences.Transformer(length, context, categories, width, 2, 4)
    alike(hand.parameters(), head.parameters())
    return head, hand, leaf(n, context), f"({n}, {length}), {categories} categories, width {width}"


def _made(small: bool, d: int = 64) -> tuple[Any, made.Likelihood, torch.Tensor, str]:
    n, d, context, hidden = (3, 4, 3, 6) if small else (128, d, 32, 800)
    head, hand = heads.MADE(d, context, hidden=(hidden,)), made.Likelihood(d, context, hidden)
    alike(hand.parameters(), head.parameters())
    return head, hand, leaf(n, context), f"({n}, {d}), {hidden} hidden"


def made_density(small: bool) -> Pair:
    head, hand, t, what = _made(small, d=784)
    x = torch.rand(len(t), head.dim).round()
    return Pair(
        what,
        graded(lambda: head(t).log_prob(x), [t, *head.parameters()]),
        graded(lambda: hand.log_density(t, x), [t, *hand.parameters()]),
    )


def _draws(make: Any) -> Maker:
    def pair(small: bool) -> Pair:
        head, hand, t, what = make(small)
        return Pair(
            what,
            drawn(lambda: head(t).sample()),
            drawn(lambda: hand.sample(t).to(t.dtype)),
        )

    return pair


def _density(make: Any) -> Maker:
    def pair(small: bool) -> Pair:
        head, hand, t, what = make(small)
        codes = torch.randint(head.emission.categories, (len(t), head.length))
        x = codes.to(t.dtype)
        return Pair(
            what,
            graded(lambda: head(t).log_prob(x), [t, *head.parameters()]),
            graded(lambda: hand.log_density(t, codes), [t, *hand.parameters()]),
        )

    return pair


PAIRS: dict[str, Maker] = {
    "`heads.MADE`": made_density,
    "`heads.MADE`, draws": _draws(_made),
    "`heads.PixelCNN`": pixel_cnn_density,
    "`heads.PixelCNN`, draws": pixel_cnn_draws,
    "`heads.PixelCNN`, draws, 14 x 14": pixel_cnn_small_draws,
    "`heads.GRU`": _density(_gru),
    "`heads.GRU`, draws": _draws(_gru),
    "`heads.Transformer`": _density(_transformer),
    "`heads.Transformer`, draws": _draws(_transformer),
}
