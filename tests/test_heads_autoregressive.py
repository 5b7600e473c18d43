"""Autoregressive heads: their order, their caches, their ends, and what they buy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import pyrovae as pv
from pyrovae.distributions.autoregressive import UntilEnd

H = pv.heads
T = 5


class Recorded:
    """An emission that keeps what it was given."""

    def __init__(self, head: Any) -> None:
        self.head, self.event_dim = head, head.event_dim

    def features(self, d: int) -> int:
        return int(self.head.features(d))

    def __call__(self, t: Tensor) -> Any:
        self.t = t
        return self.head(t)


def normal(event_dim: int = 1) -> Recorded:
    return Recorded(H.Normal(event_dim=event_dim))


def categories(event_dim: int = 1) -> Recorded:
    return Recorded(H.Categorical(3, event_dim=event_dim))


# By what makes an emission of an event dim: a head, and the shape of its features.
MAKERS: dict[str, Callable[[Any], tuple[Any, tuple[int, ...]]]] = {
    "PixelCNN": lambda e: (H.PixelCNN(2, 3, emission=e(3), width=6, layers=4, kernel=3), (3, 5, 4)),
    "PixelCNN, wide": lambda e: (H.PixelCNN(1, 3, emission=e(3), width=6, layers=2, kernel=7), (3, 4, 6)),
    "MADE": lambda e: (H.MADE(T, 3, emission=e(), hidden=(14,), activation=nn.Tanh), (3,)),
    "MADE, deep": lambda e: (H.MADE(T, 3, emission=e(), hidden=(11, 17), activation=nn.Tanh), (3,)),
    "MADE, narrow": lambda e: (H.MADE(T, 3, emission=e(), hidden=(3, 2)), (3,)),
    "MADE, linear": lambda e: (H.MADE(T, 3, emission=e(), hidden=()), (3,)),
    "GRU": lambda e: (H.GRU(T, 3, emission=e(), hidden=6, word_dropout=0.5), (3,)),
    "GRU, vectors": lambda e: (H.GRU(T, 3, emission=e(), size=2, hidden=6), (3,)),
    "Transformer": lambda e: (H.Transformer(T, 3, emission=e(), width=8, heads=2, dropout=0.5), (3,)),
}
every = functools.partial(pytest.mark.parametrize, "name", MAKERS)


def made(name: str, emission: Any) -> tuple[Any, tuple[int, ...]]:
    head, features = MAKERS[name](emission)
    return head.double().eval(), features


def by_element(head: Any, t: Tensor) -> Tensor:
    """What an emission is given, ``(m, elements, outputs)`` in the order of the elements."""
    return t.flatten(2).transpose(1, 2) if head.event_dim == 3 else t


def entries(head: Any, x: Tensor) -> Tensor:
    """Events as ``(m, elements, entries)``."""
    if head.event_dim == 3:
        return x.flatten(2).transpose(1, 2)
    return x.unsqueeze(-1) if head.event_dim == 1 else x


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


def test_another_way_to_pick_is_followed() -> None:
    """The most likely element at each step."""
    head = H.GRU(T, 3, emission=H.Categorical(3))
    p = head(torch.randn(6, 3))
    x = p.draw(lambda element: element.base_dist.logits.argmax(-1))
    assert torch.equal(x, p.draw(lambda element: element.base_dist.logits.argmax(-1)))
    each = head.log_conditionals(x, p.features)
    assert (each.exp() >= 1 / 3).all()


def test_two_images_of_other_sizes_share_one_head() -> None:
    head = H.PixelCNN(1, 3, width=4, layers=2)
    assert head(torch.randn(2, 3, 4, 7)).sample().shape == (2, 1, 4, 7)
    assert head(torch.randn(3, 1, 1)).sample().shape == (1, 1, 1)


def vae(likelihood: Any, outputs: Any) -> tuple[Any, Any]:
    decoder = (
        pv.nets.ConvDecoder(4, (outputs, 8, 8), channels=(16, 8))
        if isinstance(likelihood, H.PixelCNN) or getattr(likelihood, "event_dim", 1) == 3
        else pv.nets.MLP(4, 32, outputs)
    )
    image = getattr(likelihood, "event_dim", 1) == 3
    encoder = pv.nets.ConvEncoder((1, 8, 8), 8, channels=(8, 16)) if image else pv.nets.MLP(64, 32, 8)
    return (
        pv.models.VAE(pv.priors.StandardNormal(4), decoder, likelihood),
        pv.guides.Amortized(z=(encoder, H.normal)),
    )


def bound(likelihood: Any, outputs: int, x: Tensor) -> tuple[Any, float]:
    """A fit of 75 steps, and its ELBO on digits that it hasn't seen, nats."""
    pyro.set_rng_seed(0)
    adam = functools.partial(torch.optim.Adam, lr=3e-3)
    model, guide = vae(likelihood, outputs)
    run = pv.fit(
        model, guide, x[:1000], epochs=3, batch_size=40, optim=adam, seed=0, progress=False, compile=False
    )
    assert run.history[-1].train_loss < 0.95 * run.history[0].train_loss
    return run, pv.evaluate.elbo(run, x[1000:1300], num_samples=2).mean().value


def test_pixel_vae_beats_independent_pixels(digits: Tensor) -> None:
    x = digits.reshape(-1, 1, 8, 8)
    _, independent = bound(H.Bernoulli(event_dim=3), 1, x)
    run, ordered = bound(H.PixelCNN(1, 8, width=12, layers=3), 8, x)
    assert ordered > independent + 2
    drawn = pv.predict.sample(run, 3)
    assert drawn.shape == (3, 1, 8, 8)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: H.MADE(64, 16, hidden=(96,)),
        lambda: H.GRU(64, 16, emission=H.Bernoulli(), hidden=32, word_dropout=0.1),
        lambda: H.Transformer(64, 16, emission=H.Categorical(2), width=16, blocks=1, heads=2),
    ],
    ids=["MADE", "GRU", "Transformer"],
)
def test_vectors_and_sequences_are_learned(make: Any, digits: Tensor) -> None:
    run, score = bound(make(), 16, digits)
    assert score > -64 * 0.6931
    assert pv.predict.sample(run, 2).shape == (2, 64)


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
