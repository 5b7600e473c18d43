"""Data in memory and on disk: what is kept, what a batch looks like, what is refused before any training."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pyrovae.data import Binarize, Data, LazyData, Pixels, Standardize, Threshold
from pyrovae.randomness import generator, isolated, seed_of

SCANS, LABELS = load_digits(return_X_y=True)


def digits(**options):
    return Data(SCANS / 16, LABELS, **options)


def test_numpy_arrays_become_tensors_of_the_default_dtype():
    data = digits()
    assert data.x.dtype == torch.get_default_dtype()
    assert data.y.dtype == torch.int64
    assert (len(data), data.shape, data.device) == (1797, (64,), torch.device("cpu"))
    assert np.allclose(data.x.numpy(), SCANS / 16)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.ones((3, 2), np.float16), torch.float32),
        (np.ones((3, 2), ">f8"), torch.float32),
        (np.ones((3, 2), bool), torch.float32),
        (np.ones((3, 2), np.uint8), torch.uint8),
        (np.ones((3, 2), np.uint16), torch.int64),
        (np.ones((2, 3), np.int32).T, torch.int64),
        (torch.ones(3, 2, dtype=torch.float64), torch.float64),
        (torch.ones(3, 2, dtype=torch.bool), torch.float32),
    ],
)
def test_dtypes(array, dtype):
    data = Data(array)
    assert data.x.dtype == dtype
    assert torch.equal(data.x.double(), torch.ones(3, 2, dtype=torch.float64))


def test_data_do_not_change_with_the_array_they_came_from():
    array = np.zeros((3, 2), np.uint8)
    data = Data(array)
    array[:] = 9
    assert data.x.sum() == 0


def test_read_only_arrays_are_fine():
    array = np.ones((3, 2))
    array.setflags(write=False)
    assert Data(array).x.sum() == 6


def test_take_is_a_whole_transformed_batch():
    data = digits(transform=Threshold())
    index = torch.tensor([5, 0, 1796])
    x, y = data.take(index)
    assert torch.equal(x, (data.x[index] >= 0.5).float())
    assert torch.equal(y, data.y[index])


def test_subset_keeps_the_transform_and_says_that_it_is_one():
    data = Data(SCANS / 16, LABELS, Threshold(), source={"name": "digits"})
    some = data.subset([3, 1, 4])
    assert torch.equal(some.x, data.x[[3, 1, 4]])
    assert torch.equal(some.y, data.y[[3, 1, 4]])
    assert (some.transform, some.source) == (Threshold(), {"name": "digits", "subset": 3})
    assert data.source == {"name": "digits"}
    with pytest.raises(ValueError, match="subset: expected numbers of data, got none"):
        data.subset([])
    with pytest.raises(IndexError):
        data.subset([1797])


def test_shape_is_that_of_what_the_model_sees():
    flat = Data(np.zeros((4, 3, 5, 5), np.uint8), transform=lambda x: x.flatten(1).float())
    assert flat.shape == (75,)


def test_then_adds_a_transform_and_checks_it():
    data = Data(torch.randint(256, (9, 4), dtype=torch.uint8), transform=Pixels())
    both = data.then(Threshold(0.5))
    assert repr(both.transform) == "Chain([Pixels(), Threshold(at=0.5)])"
    assert both.take(torch.tensor([0]))[0].unique().tolist() != []
    assert data.transform == Pixels()
    with pytest.raises(TypeError, match="Pixels"):
        data.then(Pixels())


def test_transformed_is_reproducible_and_leaves_the_generators_alone():
    data = digits(transform=Binarize())
    state = torch.get_rng_state()
    once, again, other = data.transformed(), data.transformed(seed=0), data.transformed(seed=1)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.unique().tolist() == [0.0, 1.0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(data.transformed(), once)


def test_making_data_moves_no_generator():
    state = torch.get_rng_state()
    digits(transform=Binarize())
    assert torch.equal(torch.get_rng_state(), state)


def test_more_than_two_tensors():
    data = Data.of(torch.zeros(4, 2), torch.arange(4), torch.ones(4, 1))
    assert [t.shape for t in data.take(torch.tensor([1, 2]))] == [(2, 2), (2,), (2, 1)]
    with pytest.raises(ValueError, match="x of 4, y of 4, tensor 2 of 3"):
        Data.of(torch.zeros(4, 2), torch.arange(4), torch.ones(3, 1))


def test_to_is_the_same_data():
    data = digits(transform=Threshold())
    there = data.to("meta")
    assert there.x.device.type == "meta"
    assert there.y.device.type == "meta"
    assert data.to("cpu").x.data_ptr() == data.x.data_ptr()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Data(torch.zeros(0, 4)), ValueError, r"x: expected data of shape .*, got shape \(0, 4\)"),
        (lambda: Data(torch.zeros(4, 0)), ValueError, r"got shape \(4, 0\)"),
        (lambda: Data(torch.tensor(1.0)), ValueError, r"got shape \(\)"),
        (lambda: Data(torch.zeros(4, 2), torch.zeros(3)), ValueError, "one length, got x of 4, y of 3"),
        (lambda: Data([[1.0]]), TypeError, "x: expected a torch tensor or a NumPy array, got builtins.list"),
        (lambda: Data(torch.zeros(2, 2), ["a", "b"]), TypeError, "y: expected"),
        (lambda: Data(np.array(["a", "b"])), TypeError, "x: expected an array of numbers, got dtype <U1"),
        (lambda: Data(np.array([{}, {}])), TypeError, "got dtype object"),
        (lambda: Data(np.array([1j])), TypeError, "got dtype complex128"),
        (
            lambda: Data(SCANS, transform=Binarize()),
            ValueError,
            r"values in \[0, 1\], got values from 0 to 16",
        ),
        (lambda: Data(SCANS, transform=Standardize([0.0] * 63, 1.0)), ValueError, "got 63 numbers"),
    ],
)
def test_bad_data_are_refused_with_reason(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_counted_and_located(bad):
    x = SCANS.copy()
    x[1200, 7] = x[17, 3] = x[17, 60] = bad
    with pytest.raises(
        ValueError, match=rf"x: .* got 3 not finite of 115008, the first \({bad}\) at \[17, 3\]"
    ):
        Data(x)
    with pytest.raises(ValueError, match=r"y: expected finite values"):
        Data(SCANS, x[:, 3])


def test_the_last_chunk_is_checked_as_well():
    x = torch.zeros(20_000, 2)
    x[-1, -1] = 2.0
    with pytest.raises(ValueError, match="from 0 to 2"):
        Data(x, transform=Binarize())


class OnDisk(Dataset):
    """Stands for images that are read one at a time."""

    def __len__(self):
        return len(SCANS)

    def __getitem__(self, index):
        return torch.tensor(SCANS[index] * 15, dtype=torch.uint8), int(LABELS[index])


def test_lazy_data_give_what_data_in_memory_give():
    lazy = LazyData(OnDisk(), Pixels(), source={"name": "disk"})
    held = lazy.read(range(len(lazy)))
    assert isinstance(held, Data)
    assert (lazy.shape, held.shape) == ((64,), (64,))
    for a, b in zip(lazy.take([3, 1]), held.take(torch.tensor([3, 1])), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(lazy[3][0], held.take(torch.tensor([3]))[0][0])
    assert (lazy.subset([5, 6]).source, lazy.read([1]).source) == (
        {"name": "disk", "subset": 2},
        {"name": "disk", "subset": 1},
    )
    assert torch.equal(lazy.subset([5, 6])[1][0], lazy[6][0])
    assert len(lazy.subset([5, 6])) == 2
    assert repr(lazy.then(Threshold())) == (
        "LazyData(1797 data, transform=Chain([Pixels(), Threshold(at=0.5)]))"
    )


def test_lazy_data_are_an_ordinary_dataset():
    x, y = next(iter(DataLoader(LazyData(OnDisk(), Pixels()), batch_size=7)))
    assert x.shape == (7, 64)
    assert torch.equal(y, torch.tensor(LABELS[:7]))


def test_lazy_data_refuse_a_transform_that_can_not_take_the_first_datum():
    with pytest.raises(TypeError, match="Binarize: expected floating data"):
        LazyData(OnDisk(), Binarize())


def test_lazy_shape_moves_no_generator():
    lazy = LazyData(TensorDataset(torch.rand(3, 4)), Binarize())
    state = torch.get_rng_state()
    assert lazy.shape == (4,)
    assert torch.equal(torch.get_rng_state(), state)


def test_isolated_puts_all_generators_back_even_after_an_error():
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    inside = []

    def draw():
        inside.append(torch.rand(3))
        np.random.rand()  # noqa: NPY002
        random.random()
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), isolated(seed=5):
        draw()
    assert torch.equal(inside[0], torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


def test_keys_give_unrelated_generators():
    seeds = {seed_of("order", seed, epoch) for seed in range(50) for epoch in range(50)}
    assert len(seeds) == 2500
    assert seed_of("order", 1, 11) != seed_of("order", 11, 1)
    assert torch.equal(torch.rand(2, generator=generator("a", 1)), torch.rand(2, generator=generator("a", 1)))
