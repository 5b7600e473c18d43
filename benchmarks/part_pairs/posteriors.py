"""Posteriors: a draw and its log density, with gradients by network outputs and by all parameters."""

from __future__ import annotations

from typing import Any

import torch
from by_hand import full_normal, iaf, low_rank_normal, markov, normal, planar
from torch import Tensor, nn
from torch.distributions import kl_divergence

from part_pairs.pair import Maker, Pair, alike, graded, leaf, roughened
from pyrovae import flows, heads, nets, priors


def _draw(head: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    q = head(t)
    z = q.rsample()
    return z, q.log_prob(z)


def _bare(small: bool) -> tuple[Tensor, str]:
    n, d = (5, 3) if small else (128, 50)
    return leaf(n, 2 * d), f"({n}, {d})"


def bare(small: bool) -> Pair:
    t, what = _bare(small)
    return Pair(
        f"{what}, without an encoder",
        graded(lambda: _draw(heads.normal, t), [t]),
        graded(lambda: normal.draw(*t.chunk(2, -1)), [t]),
    )


def diagonal(small: bool) -> Pair:
    n, pixels, hidden, d = (5, 7, 6, 3) if small else (128, 784, 400, 50)
    net = nets.MLP(pixels, hidden, 2 * d)
    hand = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * d))
    alike(hand.parameters(), net.parameters())
    x = torch.rand(n, pixels)
    return Pair(
        f"({n}, {d}), encoder {pixels}-{hidden} included",
        graded(lambda: _draw(heads.normal, net(x)), net.parameters()),
        graded(lambda: normal.draw(*hand(x).chunk(2, -1)), hand.parameters()),
    )


def _full(small: bool) -> tuple[heads.FullNormal, full_normal.FullNormal, Tensor]:
    n, d = (5, 3) if small else (128, 32)
    head = heads.FullNormal()
    # Where pyrovae puts the numbers below the diagonal, read off it.
    numbers = torch.arange(1.0, 1 + d * (d - 1) // 2)
    placed = head(torch.cat([torch.zeros(2 * d), numbers])).scale_tril.tril(-1)
    rows, columns = placed.nonzero().T[:, placed[placed > 0].argsort()]
    return head, full_normal.FullNormal(d, rows, columns), leaf(n, head.features(d), scale=0.3)


def full(small: bool) -> Pair:
    head, hand, t = _full(small)
    n, d = t.shape[0], hand.d
    return Pair(f"({n}, {d})", graded(lambda: _draw(head, t), [t]), graded(lambda: hand.draw(t), [t]))


def full_divergence(small: bool) -> Pair:
    head, hand, t = _full(small)
    n, d = t.shape[0], hand.d
    prior = priors.StandardNormal(d)

    def work() -> tuple[Tensor, Tensor]:
        q = head(t)
        return q.rsample(), kl_divergence(q, prior().expand([n]))

    return Pair(
        f"({n}, {d}), a draw and its divergence from the standard normal",
        graded(work, [t]),
        graded(lambda: hand.draw_and_divergence(t), [t]),
    )


def inverse_autoregressive(small: bool) -> Pair:
    n, d, context, hidden = (5, 4, 3, 8) if small else (128, 32, 64, 320)
    head = roughened(heads.Flowed(heads.normal, flows.IAF(d, context=context, layers=2, hidden=(hidden,))))
    hand = iaf.IAF(d, context, 2, (hidden,))
    alike(hand.parameters(), head.parameters())
    t = leaf(n, 2 * d + context, scale=0.5)
    return Pair(
        f"({n}, {d}), context {context}, 2 layers, {hidden} hidden",
        graded(lambda: _draw(head, t), [t, *head.parameters()]),
        graded(lambda: hand.draw(t), [t, *hand.parameters()]),
    )


def directions(small: bool) -> Pair:
    n, d, rank = (5, 4, 2) if small else (128, 32, 4)
    head = heads.LowRankNormal(rank)
    t = leaf(n, head.features(d), scale=0.5)
    return Pair(
        f"({n}, {d}), rank {rank}",
        graded(lambda: _draw(head, t), [t]),
        graded(lambda: low_rank_normal.draw(t, d, rank), [t]),
    )


def planes(small: bool) -> Pair:
    n, d, context, layers = (5, 4, 3, 2) if small else (128, 32, 64, 8)
    head = roughened(heads.Flowed(heads.normal, flows.Planar(d, context=context, layers=layers)))
    hand = planar.Planar(d, context, layers)
    alike(hand.parameters(), head.parameters())
    t = leaf(n, 2 * d + context, scale=0.5)
    return Pair(
        f"({n}, {d}), context {context}, {layers} layers",
        graded(lambda: _draw(head, t), [t, *head.parameters()]),
        graded(lambda: hand.draw(t), [t, *hand.parameters()]),
    )


def chain(small: bool) -> Pair:
    n, length, d, hidden = (3, 4, 2, 5) if small else (64, 50, 16, 64)
    head, hand = heads.Markov(d, hidden), markov.Posterior(d, hidden)
    alike(hand.parameters(), head.parameters())
    t = leaf(n, length, hidden)
    return Pair(
        f"({n}, {length}, {d}), {hidden} features a step",
        graded(lambda: _draw(head, t), [t, *head.parameters()]),
        graded(lambda: hand.draw(t), [t, *hand.parameters()]),
    )


PAIRS: dict[str, Maker] = {
    "`heads.Normal`": diagonal,
    "`heads.Normal`, alone": bare,
    "`heads.FullNormal`": full,
    "`heads.FullNormal`, with KL": full_divergence,
    "`heads.LowRankNormal`": directions,
    "`heads.Flowed(..., flows.Planar)`": planes,
    "`heads.Flowed(..., flows.IAF)`": inverse_autoregressive,
    "`heads.Markov`": chain,
}
