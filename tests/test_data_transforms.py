"""Transforms: what they compute, how they go back, what they refuse, how they are written down."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from pyrovae.data import Binarize, Chain, Dequantize, Flatten, Pixels, Standardize, Threshold, Transform
from pyrovae.spec import build, describe

BYTES = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
GRAY = torch.tensor(load_digits().images, dtype=torch.float32).div(16).reshape(-1, 64)


def test_every_byte_comes_back():
    x = Pixels()(BYTES)
    assert x.dtype == torch.get_default_dtype()
    assert (x.min(), x.max()) == (0, 1)
    assert torch.equal(Pixels().inverse(x), BYTES)
    assert torch.equal(Pixels().inverse(torch.tensor([-0.3, 1.7])), torch.tensor([0, 255], dtype=torch.uint8))


def test_flatten_and_back():
    flat = Flatten(shape=[1, 8, 8])
    assert flat(BYTES).shape == (4, 64)
    assert torch.equal(flat.inverse(flat(BYTES)), BYTES)
    assert Flatten()(torch.zeros(5)).shape == (5, 1)


def test_binarize_draws_afresh_with_the_right_means():
    torch.manual_seed(0)
    draws = torch.stack([Binarize()(GRAY[:50]) for _ in range(400)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(draws[0], draws[1])
    mean, x = draws.mean(0), GRAY[:50]
    error = (x * (1 - x) / 400).sqrt()
    assert ((mean - x).abs() <= 5 * error).all()
    assert torch.equal(mean[x == 0], x[x == 0])
    assert torch.equal(mean[x == 1], x[x == 1])


def test_binarize_follows_the_global_generator():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = Binarize()(GRAY)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)
    assert torch.equal(Binarize()(GRAY), first)


def test_threshold_is_static():
    assert torch.equal(Threshold(0.25)(GRAY), (GRAY >= 0.25).float())


@pytest.mark.parametrize("levels", [2, 17, 256, 1000])
def test_dequantized_values_stay_in_their_own_cell(levels):
    torch.manual_seed(0)
    x = torch.arange(levels).repeat(3000, 1).div(levels - 1)
    y = Dequantize(levels)(x)
    assert y.min() >= 0
    assert y.max() < 1
    assert torch.equal(Dequantize(levels).inverse(y), x)
    offset = y * levels - torch.arange(levels)
    assert offset.mean().item() == pytest.approx(0.5, abs=5 / (12 * offset.numel()) ** 0.5)
    assert offset.var().item() == pytest.approx(1 / 12, rel=0.02)


def test_dequantized_density_bounds_the_probability_of_the_grid():
    torch.manual_seed(0)  # p(y) = 2 y on [0, 1): the cell of k has probability (2 k + 1) / L^2
    levels, k = 16, 5
    y = Dequantize(levels)(torch.full((200_000, 1), k / (levels - 1)))
    bound = (2 * y).log().mean().item() - torch.tensor(levels).log().item()
    exact = torch.tensor((2 * k + 1) / levels**2).log().item()
    assert bound <= exact
    assert bound == pytest.approx(exact, abs=0.01)


def test_standardize_has_zero_mean_unit_variance_and_an_inverse():
    standardize = Standardize.of(GRAY)
    y = standardize(GRAY)
    varying = GRAY.std(0) > 0
    assert varying.sum() == 61  # three pixels of the scans never change
    assert y.mean(0).abs().max() < 1e-4
    assert torch.allclose(y[:, varying].std(0, correction=0), torch.ones(61), atol=1e-4)
    assert torch.equal(y[:, ~varying], torch.zeros(len(y), 3))
    assert torch.allclose(standardize.inverse(y), GRAY, atol=1e-6)
    reference = load_digits().images.reshape(-1, 64) / 16
    assert np.allclose(standardize.mean, reference.mean(0))


def test_standardize_takes_one_number_one_for_each_channel_or_each_entry():
    x = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.equal(Standardize(1.0, 2.0)(x), (x - 1) / 2)
    by_channel = Standardize([0.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    assert torch.equal(by_channel(x)[0, 2], (x[0, 2] - 8) / 4)
    assert torch.allclose(by_channel.inverse(by_channel(x)), x)
    assert len(Standardize.of(x).mean) == 12  # type: ignore[arg-type]
    assert torch.allclose(Standardize.of(x)(x).mean(0), torch.zeros(3, 2, 2))


def test_a_constant_in_float32_that_is_not_a_binary_fraction_keeps_scale_one():
    assert Standardize.of(torch.full((1797, 2), 0.1)).scale == [1.0, 1.0]


def test_a_chain_goes_there_and_back():
    chain = Chain([Pixels(), Flatten(shape=[1, 8, 8]), Standardize(0.5, 0.25)])
    assert chain(BYTES).shape == (4, 64)
    assert chain.invertible
    assert torch.equal(chain.inverse(chain(BYTES)), BYTES)


def test_a_check_of_a_chain_moves_no_generator():
    state = torch.get_rng_state()
    Chain([Pixels(), Binarize(), Binarize()]).check(BYTES)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_chain_checks_each_part_on_what_reaches_it_even_one_object_twice():
    half = Threshold(0.5)
    Chain([Pixels(), half, half]).check(BYTES)
    with pytest.raises(TypeError, match=r"Threshold: expected floating data, got torch.uint8\. Put Pixels"):
        Chain([Flatten(), half]).check(BYTES)
    with pytest.raises(ValueError, match=r"Binarize: expected values in \[0, 1\], got values from 0 to 510"):
        Chain([Pixels(), lambda x: 510 * x, Binarize()]).check(BYTES)


@pytest.mark.parametrize(
    ("transform", "x", "error", "words"),
    [
        (
            Binarize(),
            torch.tensor([[0.0, 255.0]]),
            ValueError,
            r"values in \[0, 1\], got values from 0 to 255",
        ),
        (Binarize(), torch.tensor([[-0.1, 1.0]]), ValueError, "from -0.1 to 1"),
        (Binarize(), torch.tensor([[0, 1]]), TypeError, "floating data, got torch.int64"),
        (Threshold(), BYTES, TypeError, r"Put Pixels\(\) before it"),
        (Pixels(), torch.zeros(2, 3), TypeError, "dtype uint8, got torch.float32"),
        (Flatten(shape=[3, 8, 8]), BYTES, ValueError, r"shape \(n, 3, 8, 8\), got \(4, 1, 8, 8\)"),
        (Dequantize(256), GRAY, ValueError, "multiples of 1/255"),
        (Dequantize(), torch.tensor([[2.0]]), ValueError, r"values in \[0, 1\]"),
        (Standardize([0.0, 0.0], 1.0), GRAY, ValueError, "shape .64,., got 2 numbers"),
        (Standardize(), BYTES, TypeError, "floating data"),
    ],
)
def test_checks_refuse_what_a_transform_is_not_for(transform, x, error, words):
    with pytest.raises(error, match=words):
        transform.check(x)


def test_digits_have_seventeen_levels():
    Dequantize(levels=17).check(GRAY)


@pytest.mark.parametrize("transform", [Binarize(), Threshold(), Dequantize()])
def test_bytes_are_refused_at_use_too(transform):
    with pytest.raises(TypeError, match="expected floating data"):
        transform(BYTES)


@pytest.mark.parametrize("transform", [Binarize(), Threshold(), Flatten(), Chain([Pixels(), Binarize()])])
def test_what_can_not_be_undone_says_so(transform):
    assert not transform.invertible
    with pytest.raises(TypeError, match="inverse: expected a transform that can be undone"):
        transform.inverse(GRAY)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Standardize(0.0, 0.0), ValueError, "Standardize.scale: expected positive finite"),
        (lambda: Standardize([0.0], [-1.0]), ValueError, "Standardize.scale"),
        (lambda: Standardize(float("nan")), ValueError, "Standardize.mean: expected finite"),
        (lambda: Standardize([]), ValueError, "Standardize.mean"),
        (lambda: Dequantize(1), ValueError, "Dequantize.levels: expected a whole number"),
        (lambda: Dequantize(True), ValueError, "Dequantize.levels"),
        (lambda: Chain(["Binarize"]), TypeError, r"Chain.transforms\[0\]: .*'Binarize'"),
    ],
)
def test_constructors_refuse_nonsense(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    "transform",
    [
        Pixels(),
        Flatten(),
        Flatten(shape=[1, 8, 8]),
        Binarize(),
        Threshold(0.25),
        Dequantize(17),
        Standardize.of(GRAY),
        Chain([Pixels(), Flatten(shape=[1, 8, 8]), Standardize(0.1, 3.0), Chain([Threshold()])]),
    ],
)
def test_a_transform_is_written_as_json_and_rebuilt_equal(transform):
    again = build(json.loads(json.dumps(describe(transform))))
    assert again == transform
    assert repr(again) == repr(transform)
    assert pickle.loads(pickle.dumps(transform)) == transform


def test_reprs_are_short_and_readable():
    chain = Chain([Pixels(), Flatten(shape=[1, 8, 8]), Standardize.of(GRAY)])
    assert len(repr(chain)) < 250
    assert repr(Chain([Pixels(), Threshold()])) == "Chain([Pixels(), Threshold(at=0.5)])"


def test_a_transform_of_the_users_own():
    class Square(Transform):
        def __call__(self, x):
            return x**2

    assert not Square().invertible
    Square().check(GRAY)
    assert torch.equal(Chain([Square(), torch.sqrt])(GRAY), (GRAY**2).sqrt())
    with pytest.raises(NotImplementedError):
        Transform()(GRAY)
