"""Autoregressive heads: their order, their batches, their numbers, their ends, and what they refuse."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from autoregressive_heads import H, T, by_element, categories, entries, every, made, normal
from torch import nn

import pyrovae as pv
from pyrovae.distributions.autoregressive import UntilEnd


@every()
def test_each_element_depends_on_all_before_it_and_on_none_after(name: str) -> None:
    """By autograd: no blind spot, and no view of itself."""
    head, features = made(name, normal)
    t = torch.randn(1, *features, dtype=torch.float64)
    x = head(t).sample().requires_grad_()
    head.log_conditionals(x, t)
    given = by_element(head, head.emission.t)[0]
    for i, outputs in enumerate(given):
        by = torch.autograd.grad(outputs.square().sum(), x, retain_graph=True, allow_unused=True)[0]
        touched = entries(head, torch.zeros_like(x) if by is None else by)[0].ne(0)
        assert touched[:i].all(), f"element {i} does not see {(~touched[:i]).nonzero().tolist()}"
        assert not touched[i:].any(), f"element {i} sees {touched[i:].nonzero().tolist()}"


@every()
def test_each_element_depends_on_the_features(name: str) -> None:
    head, features = made(name, normal)
    t = torch.randn(1, *features, dtype=torch.float64, requires_grad=True)
    head.log_conditionals(head(t).sample(), t)
    for outputs in by_element(head, head.emission.t)[0]:
        assert torch.autograd.grad(outputs.square().sum(), t, retain_graph=True)[0].ne(0).any()


@every()
def test_particles_and_shared_data_take_one_pass(name: str) -> None:
    """Features with more leading dimensions than the data, fewer than the data, and expanded copies."""
    head, features = made(name, categories)
    t = torch.randn(4, 3, *features, dtype=torch.float64)
    x = head(t).sample()
    passes = []
    score = head.log_conditionals
    head.log_conditionals = lambda x, t: passes.append(len(x)) or score(x, t)
    wide = head(t).log_prob(x[0])
    many = head(t[0]).log_prob(x)
    copied = head(t[0]).expand((4, 3)).log_prob(x[0])
    assert passes == [12, 12, 3], "what copies share is computed once"
    for i in range(4):
        assert torch.allclose(wide[i], head(t[i]).log_prob(x[0]))
        assert torch.allclose(many[i], head(t[0]).log_prob(x[i]))
        assert torch.allclose(copied[i], head(t[0]).log_prob(x[0]))
    assert head(t).expand((2, 4, 3)).sample((5,)).shape == (5, 2, *x.shape)


@every()
def test_whole_numbers_come_as_any_type(name: str) -> None:
    head, features = made(name, categories)
    p = head(torch.randn(4, *features, dtype=torch.float64))
    x = p.sample()
    assert x.dtype == torch.float64
    for dtype in (torch.int64, torch.uint8, torch.float32):
        assert torch.equal(p.log_prob(x.to(dtype)), p.log_prob(x))
    with pytest.raises(ValueError, match="support"):
        p.log_prob(x + 0.5)
    with pytest.raises(ValueError, match="support"):
        p.log_prob(x + 3)


@every()
def test_extreme_features_stay_finite(name: str) -> None:
    head, features = made(name, categories)
    head.float()
    t = (50 * torch.randn(6, *features)).requires_grad_()
    p = head(t)
    total = p.log_prob(p.sample()).sum()
    grads = torch.autograd.grad(total, [t, *head.parameters()])
    assert torch.isfinite(total)
    assert all(torch.isfinite(grad).all() for grad in grads)


@every()
def test_half_precision_rounds_the_products_alone(name: str) -> None:
    head, features = made(name, categories)
    head.float()
    t = torch.randn(6, *features)
    with torch.autocast("cpu", torch.bfloat16):
        p = head(t)
        x = p.sample()
        low = p.log_prob(x)
    assert (x.dtype, low.dtype) == (torch.float32, torch.float32)
    assert torch.allclose(low, p.log_prob(x), rtol=0.05)


@pytest.mark.parametrize("make", ["GRU", "Transformer"])
def test_after_an_end_there_is_nothing_but_ends(make: str) -> None:
    head = getattr(H, make)(T, 3, emission=H.Categorical(3), end=1)
    p = head(torch.randn(50, 3))
    x = p.sample()
    ends = (x == 1).long()
    after = ends.cumsum(-1) > ends
    assert after.any()
    assert (x[after] == 1).all()
    assert p.support.check(x).all()
    invalid = torch.tensor([0.0, 1.0, 1.0, 2.0, 1.0])
    assert not p.support.check(invalid)
    with pytest.raises(ValueError, match="support"):
        p.log_prob(invalid)
    unchecked = pv.distributions.Autoregressive(head, torch.randn(3), (T,), validate_args=False)
    assert unchecked.log_prob(invalid) == -torch.inf
    # What is certain counts for nothing: the score is that of the elements up to the end.
    whole = getattr(H, make)(T, 3, emission=H.Categorical(3))
    whole.load_state_dict(head.state_dict())
    stopped, t = torch.tensor([[0.0, 2.0, 1.0, 1.0, 1.0]]), torch.randn(1, 3)
    expected = whole.log_conditionals(stopped, t)[:, :3].sum(-1)
    assert torch.allclose(head(t).log_prob(stopped), expected)
    assert repr(UntilEnd(p.support.element, 1)) == repr(p.support)


def test_fit_says_when_something_follows_an_end() -> None:
    x = torch.tensor([[0.0, 1.0, 1.0], [2.0, 1.0, 0.0]]).repeat(8, 1)
    model = pv.models.VAE(
        pv.priors.StandardNormal(2), nn.Identity(), H.GRU(3, 2, emission=H.Categorical(3), hidden=4, end=1)
    )
    guide = pv.guides.Amortized(z=(pv.nets.MLP(3, 4), H.normal))
    with pytest.raises(ValueError, match="nothing but 1 after the first 1"):
        pv.fit(model, guide, x, epochs=1, batch_size=4, progress=False)


@pytest.mark.parametrize(
    "head",
    [
        lambda: H.GRU(T, 3, emission=H.Categorical(3), word_dropout=0.5),
        lambda: H.Transformer(T, 3, emission=H.Categorical(3), dropout=0.5),
    ],
)
def test_dropout_acts_in_training_on_the_score_alone(head: Any) -> None:
    network, t = head(), torch.randn(6, 3)
    trained = network(t)
    x = trained.sample()
    assert not torch.equal(trained.log_prob(x), trained.log_prob(x))
    pyro.set_rng_seed(1)
    drawn = network(t).sample()
    network.eval()
    assert torch.equal(network(t).log_prob(x), network(t).log_prob(x))
    pyro.set_rng_seed(1)
    assert torch.equal(network(t).sample(), drawn), "draws are the same in both modes"


def test_all_words_dropped_leave_the_latent_alone() -> None:
    """With nearly every word hidden an element's distribution doesn't depend on those before it."""
    head = H.GRU(T, 3, emission=H.Categorical(3), word_dropout=1 - 1e-9)
    t = torch.randn(1, 3).expand(2, 3)
    x = torch.tensor([[0.0, 1.0, 2.0, 0.0, 1.0], [2.0, 0.0, 1.0, 1.0, 1.0]])
    each = head.log_conditionals(x, t)
    assert torch.allclose(each[0, -1], each[1, -1])
    assert not torch.allclose(head.eval().log_conditionals(x, t)[0, -1], head.log_conditionals(x, t)[1, -1])


def test_two_images_of_other_sizes_share_one_head() -> None:
    head = H.PixelCNN(1, 3, width=4, layers=2)
    assert head(torch.randn(2, 3, 4, 7)).sample().shape == (2, 1, 4, 7)
    assert head(torch.randn(3, 1, 1)).sample().shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: H.PixelCNN(0, 3), ValueError, "PixelCNN, channels: expected a positive"),
        (lambda: H.PixelCNN(1, 3, kernel=4), ValueError, "kernel: expected an odd size"),
        (lambda: H.PixelCNN(1, 3, emission=H.bernoulli), ValueError, "event_dim=3"),
        (lambda: H.PixelCNN(1, 3, emission="bernoulli"), TypeError, "a head"),
        (lambda: H.PixelCNN(1, 3)(torch.zeros(2, 3)), ValueError, r"\(\.\.\., 3, H, W\).*ConvDecoder"),
        (lambda: H.PixelCNN(1, 3).features(2), ValueError, "first dimension 1"),
        (lambda: H.MADE(5, 3)(torch.zeros(2, 4)), ValueError, r"\(\.\.\., 3\), got \(2, 4\)"),
        (lambda: H.MADE(5, 3).features(4), ValueError, "first dimension 5"),
        (lambda: H.MADE(5, 3, hidden=(0,)), ValueError, "hidden"),
        (lambda: H.GRU(5, 3, emission=H.Bernoulli(), end=1), ValueError, "emission of categories"),
        (lambda: H.GRU(5, 3, emission=H.Categorical(3), end=3), ValueError, r"categories 0 \.\.\. 2"),
        (lambda: H.GRU(5, 3, emission=H.Categorical(3), word_dropout=1.0), ValueError, "word_dropout"),
        (lambda: H.GRU(5, 3, emission=H.Categorical(3), hidden=-1), ValueError, "hidden"),
        (lambda: H.Transformer(5, 3, emission=H.bernoulli, width=9), ValueError, "multiple of the 4"),
        (lambda: H.Transformer(5, 3, emission=H.bernoulli, dropout=1.0), ValueError, "dropout"),
    ],
)
def test_bad_parameters_are_refused(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()
