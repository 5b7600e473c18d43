"""Draws of autoregressive heads: with caches the naive ones, for no more arithmetic than one pass."""

from __future__ import annotations

import functools
from typing import Any

import pyro
import pytest
import torch
from autoregressive_heads import H, T, by_element, categories, entries, every, made, normal
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def naive(head: Any, t: Tensor) -> Tensor:
    """Element after element, each by a pass over everything."""
    x = head(t).sample().zero_()
    single = (slice(None), slice(None), None, None) if head.event_dim == 3 else (slice(None),)
    ended = torch.zeros(len(t), 1, dtype=torch.bool)
    for i in range(entries(head, x).shape[1]):
        head.log_conditionals(x, t)
        element = head.emission(by_element(head, head.emission.t)[:, i][single]).sample().to(x.dtype)
        if getattr(head, "end", None) is not None:
            element = element.masked_fill(ended, head.end)
            ended = ended | (element == head.end)
        if head.event_dim == 3:
            x[:, :, i // x.shape[-1], i % x.shape[-1]] = element[..., 0, 0]
        else:
            x[:, i] = element if head.event_dim == 2 else element[:, 0]
    return x


@every()
@pytest.mark.parametrize("emission", [normal, categories])
def test_cached_draws_are_the_naive_ones(name: str, emission: Any) -> None:
    head, features = made(name, emission)
    t = torch.randn(7, *features, dtype=torch.float64)
    with torch.no_grad():
        d = head(t)
        pyro.set_rng_seed(0)
        state = torch.get_rng_state()
        ours = d.sample()
        x = _after(state, naive, head, t)
    if emission is categories:
        assert torch.equal(ours, x)
        assert ours.unique().numel() == 3
    else:
        assert torch.allclose(ours, x, rtol=1e-10, atol=1e-10)


def _after(state: Tensor, draw: Any, head: Any, t: Tensor) -> Tensor:
    """The naive draws from a state of the generator; the draw that only makes room for them comes before."""
    original = type(head(t)).sample
    blank = original(head(t))
    torch.set_rng_state(state)
    distribution = type(head(t))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distribution, "sample", lambda self, *shape: blank)
        return draw(head, t)


@pytest.mark.parametrize("make", ["GRU", "Transformer"])
def test_cached_draws_with_an_end_are_the_naive_ones(make: str) -> None:
    head = getattr(H, make)(T, 3, emission=categories(), end=1).double().eval()
    t = torch.randn(40, 3, dtype=torch.float64)
    pyro.set_rng_seed(0)
    state = torch.get_rng_state()
    ours = head(t).sample()
    assert torch.equal(ours, _after(state, naive, head, t))


@pytest.mark.parametrize("head", [H.GRU, H.MADE, H.Transformer, H.PixelCNN])
@pytest.mark.parametrize("emission", [H.Bernoulli, functools.partial(H.Categorical, 3)])
def test_elements_that_are_drawn_without_their_distribution_are_the_same(head: Any, emission: Any) -> None:
    image = head is H.PixelCNN
    network = head(2 if image else T, 3, emission=emission(event_dim=3 if image else 1)).double()
    p = network(torch.randn(7, 3, *([4, 3] if image else []), dtype=torch.float64))
    pyro.set_rng_seed(0)
    quick = p.sample()
    pyro.set_rng_seed(0)
    assert torch.equal(quick, p.draw(lambda element: element.sample()))


@every()
def test_a_draw_costs_no_more_arithmetic_than_one_pass(name: str) -> None:
    head, features = made(name, normal)
    t = torch.randn(3, *features, dtype=torch.float64)
    x = head(t).sample()
    picked = []

    def pick(p: Any) -> Tensor:
        picked.append(p)
        return p.sample()

    with torch.no_grad(), FlopCounterMode(display=False) as one_pass:
        head(t).log_prob(x)
    with torch.no_grad(), FlopCounterMode(display=False) as drawing:
        head(t).draw(pick)
    assert 0 < drawing.get_total_flops() <= one_pass.get_total_flops()
    assert len(picked) == entries(head, x).shape[1], "one step an element"


def test_another_way_to_pick_is_followed() -> None:
    """The most likely element at each step."""
    head = H.GRU(T, 3, emission=H.Categorical(3))
    p = head(torch.randn(6, 3))
    x = p.draw(lambda element: element.base_dist.logits.argmax(-1))
    assert torch.equal(x, p.draw(lambda element: element.base_dist.logits.argmax(-1)))
    each = head.log_conditionals(x, p.features)
    assert (each.exp() >= 1 / 3).all()


@every()
def test_many_draws_are_made_in_parts_of_bounded_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrovae.distributions import autoregressive

    head, features = made(name, categories)
    d = head(torch.randn(7, *features, dtype=torch.float64))
    most_likely = d.draw(lambda element: element.mode, (3,))
    seen: list[int] = []
    draw = type(head).draw
    monkeypatch.setattr(type(head), "draw", lambda self, t, pick: seen.append(len(t)) or draw(self, t, pick))
    monkeypatch.setattr(autoregressive, "_ELEMENTS_AT_ONCE", 4 * d.event_shape.numel())
    assert torch.equal(d.draw(lambda element: element.mode, (3,)), most_likely)
    assert seen == [4, 4, 4, 4, 4, 1]
    assert d.sample((3,)).shape == (3, 7, *d.event_shape)
