"""Batches: an order that repeats, every datum once an epoch, generators untouched, bad batches named."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split

from pyrovae.data import Batches, Binarize, Data, LazyData, Pixels, Threshold, as_batches, load
from pyrovae.data.streams import unpack

SCANS, LABELS = load_digits(return_X_y=True)
X, Y = torch.tensor(SCANS / 16, dtype=torch.float32), torch.tensor(LABELS)
CPU = {"device": "cpu"}


class Items(Dataset):
    """A map-style data set that is more than its tensors."""

    def __init__(self, size=101):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return X[index], LABELS[index]


class Stream(IterableDataset):
    """Starts anew each time it is iterated over."""

    def __init__(self, size=101):
        self.size = size

    def __iter__(self):
        return ((X[i], Y[i]) for i in range(self.size))


class Rewinding(IterableDataset):
    """Hands out itself, and starts anew when asked to."""

    def __iter__(self):
        self.rest = iter(range(101))
        return self

    def __next__(self):
        i = next(self.rest)
        return X[i], Y[i]


class Once(IterableDataset):
    """Can be iterated over a single time."""

    def __init__(self):
        self.rest = ((X[i], Y[i]) for i in range(101))

    def __iter__(self):
        return self.rest


KINDS = {
    "Data": lambda: Data(X[:101], Y[:101]),
    "tuple of tensors": lambda: (X[:101], Y[:101]),
    "list of arrays": lambda: [SCANS[:101] / 16, LABELS[:101]],
    "TensorDataset": lambda: TensorDataset(X[:101], Y[:101]),
    "Subset": lambda: Subset(TensorDataset(X, Y), range(101)),
    "Dataset": Items,
    "Subset of a Dataset": lambda: Subset(Items(1797), range(101)),
    "LazyData": lambda: LazyData(Items()),
    "IterableDataset": Stream,
    "Rewinding": Rewinding,
    "Once": Once,
    "DataLoader": lambda: DataLoader(Items(), batch_size=32, shuffle=True),
    "DataLoader of a stream": lambda: DataLoader(Stream(), batch_size=32),
    "DataLoader of one pass": lambda: DataLoader(Once(), batch_size=32),
}
IN_MEMORY = {"Data", "tuple of tensors", "list of arrays", "TensorDataset", "Subset"}
ORDERED_BY_KEY = IN_MEMORY | {"Dataset", "Subset of a Dataset", "LazyData"}


def identity(batch):
    return sorted(tuple(row) for row in batch)


@pytest.mark.parametrize("kind", KINDS)
def test_every_datum_comes_once_with_its_label_after_a_first_look(kind):
    batches = as_batches(KINDS[kind](), batch_size=32, **CPU)
    assert isinstance(batches, Batches)
    assert len(batches.first()[0]) == 32
    assert len(batches.first()) == 2
    epoch = list(batches.epoch(0))
    assert [len(x) for x, _ in epoch] == [32, 32, 32, 5]
    x, y = (torch.cat(parts) for parts in zip(*epoch, strict=True))
    assert identity(torch.cat([x, y[:, None]], 1).tolist()) == identity(
        torch.cat([X[:101], Y[:101, None]], 1).tolist()
    )
    assert batches.in_memory == (kind in IN_MEMORY) == (batches.data is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind):
    batches = as_batches(KINDS[kind](), batch_size=32, **CPU)
    sized = not any(word in kind for word in ("Iterable", "stream", "pass", "Rewinding", "Once"))
    assert (batches.size, batches.steps) == ((101, 4) if sized else (None, None))
    assert batches.batch_size == 32
    assert "batch_size=32, device=cpu" in repr(batches)


@pytest.mark.parametrize("kind", sorted(ORDERED_BY_KEY))
def test_the_order_depends_on_seed_and_epoch_alone(kind):
    def order(k, seed=0, **options):
        batches = as_batches(KINDS[kind](), batch_size=40, seed=seed, **CPU, **options)
        return torch.cat([x for x, _ in batches.epoch(k)])

    torch.manual_seed(5)
    state = torch.get_rng_state()
    third = order(3)
    assert torch.equal(order(3), third)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(order(2), third)
    assert not torch.equal(order(3, seed=1), third)
    assert torch.equal(order(3, shuffle=False), X[:101])
    batches = as_batches(KINDS[kind](), batch_size=40, **CPU)
    for k in (7, 0, 3):  # whatever was asked for before
        last = torch.cat([x for x, _ in batches.epoch(k)])
    assert torch.equal(last, third)


def test_an_epoch_can_be_entered_in_the_middle():
    batches = as_batches(X, batch_size=100, **CPU)
    whole = [x for (x,) in batches.epoch(4)]
    half = batches.epoch(4)
    for _ in range(9):
        next(half)
    assert all(torch.equal(a, b) for (a,), b in zip(half, whole[9:], strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_look_moves_no_generator(kind):
    batches = as_batches(KINDS[kind](), batch_size=32, **CPU)
    state, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    batches.first()
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy).all()  # noqa: NPY002


def test_a_first_look_moves_no_generator_of_the_loader_or_its_sampler():
    own = torch.Generator().manual_seed(1)
    loader = DataLoader(Items(), batch_size=10, shuffle=True, generator=own)
    expected = [x for x, _ in DataLoader(Items(), 10, True, generator=torch.Generator().manual_seed(1))]
    batches = as_batches(loader, batch_size=1, **CPU)
    batches.first()
    assert all(torch.equal(a, b) for (a, _), b in zip(batches.epoch(0), expected, strict=True))


def test_binarised_batches_repeat_with_the_global_generator_and_only_with_it():
    batches = as_batches(Data(X, transform=Binarize()), batch_size=256, **CPU)
    state = torch.get_rng_state()
    batches.first()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    once = [x for (x,) in batches.epoch(1)]
    fresh = [x for (x,) in batches.epoch(1)]
    torch.manual_seed(0)
    again = [x for (x,) in batches.epoch(1)]
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(once, fresh, strict=True))


def test_data_on_the_device_are_not_copied():
    data = Data(X)
    batches = as_batches(data, batch_size=7, **CPU)
    assert batches.data.x.data_ptr() == X.data_ptr()


def test_batches_know_source_and_transform():
    digits = load("digits", flatten=True, transform=Binarize())
    batches = as_batches(digits.train, batch_size=7, **CPU)
    assert (batches.source, batches.transform) == (digits.train.source, digits.train.transform)
    assert as_batches(X, batch_size=7, **CPU).source is None


def test_lazy_data_are_transformed_by_whole_batches():
    sizes = []

    def watched(x):
        sizes.append(len(x))
        return x

    batches = as_batches(LazyData(Items(), watched), batch_size=50, **CPU)
    list(batches.epoch(0))
    assert sizes == [50, 50, 1]
    thresholded = as_batches(LazyData(Items(), Threshold()), batch_size=101, **CPU)
    assert next(thresholded.epoch(0))[0].unique().tolist() == [0.0, 1.0]


def test_workers_read_the_same_batches():
    alone = as_batches(Items(), batch_size=40, **CPU).epoch(2)
    state = torch.get_rng_state()
    shared = list(as_batches(Items(), batch_size=40, workers=1, **CPU).epoch(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(alone, shared, strict=True))


def test_a_loader_is_taken_as_it_is():
    batches = as_batches(DataLoader(Items(), batch_size=25, drop_last=True), batch_size=999, **CPU)
    assert (batches.batch_size, batches.size, batches.steps) == (25, 101, 4)
    assert [len(x) for x, _ in batches.epoch(0)] == [25] * 4
    unbatched = DataLoader([(X[:5], Y[:5]), (X[5:9], Y[5:9])], batch_size=None)
    assert [len(x) for x, _ in as_batches(unbatched, batch_size=1, **CPU).epoch(0)] == [5, 4]


def test_a_shuffling_loader_follows_the_global_generator():
    batches = as_batches(DataLoader(Items(), batch_size=25, shuffle=True), batch_size=1, **CPU)
    torch.manual_seed(3)
    once = [x for x, _ in batches.epoch(0)]
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for (a, _), b in zip(batches.epoch(0), once, strict=True))


@pytest.mark.parametrize("kind", ["IterableDataset", "Rewinding", "DataLoader of a stream"])
def test_streams_start_anew_each_epoch(kind):
    batches = as_batches(KINDS[kind](), batch_size=32, **CPU)
    for k in range(2):
        batches.first()
        assert sum(len(x) for x, _ in batches.epoch(k)) == 101


def test_what_can_be_iterated_over_once_says_so_in_the_second_epoch():
    batches = as_batches(Once(), batch_size=32, **CPU)
    assert sum(len(x) for x, _ in batches.epoch(0)) == 101
    with pytest.raises(
        ValueError, match=r"data, epoch 1: expected at least one batch, got none.*iterated only once"
    ):
        next(batches.epoch(1))
    with pytest.raises(ValueError, match="data: expected at least one batch"):
        batches.first()


def test_random_split_of_tensors_is_in_memory():
    part, _ = random_split(TensorDataset(X, Y), [1000, 797])
    batches = as_batches(part, batch_size=100, **CPU)
    assert batches.in_memory
    assert torch.equal(batches.data.x, X[part.indices])


def test_a_tensor_dataset_of_the_users_own_kind_keeps_its_ways():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * tensor for tensor in super().__getitem__(index))

    batches = as_batches(Doubled(X), batch_size=1797, shuffle=False, **CPU)
    assert torch.equal(next(batches.epoch(0))[0], 2 * X)


@pytest.mark.parametrize("size", [1, 2, 1796, 1797, 5000])
def test_any_batch_size(size):
    batches = as_batches(X[:, 0], batch_size=size, **CPU)
    lengths = [len(x) for (x,) in batches.epoch(0)]
    assert (sum(lengths), len(lengths)) == (1797, batches.steps)
    assert set(lengths[:-1]) <= {size}


def nan_at(position):
    x = X[:40].clone()
    x[position] = float("nan")
    return DataLoader([(row, 0) for row in x], batch_size=8)


class Dicts(Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        return {"image": X[index], "label": 0}


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (
            nan_at(21),
            ValueError,
            r"batch 2 of epoch 5, item 0: .* got 64 not finite of 512, .* \(nan\) at \[5, 0\]",
        ),
        (Dicts(), TypeError, "batch 0 of epoch 5: .*got a dict of 'image', 'label'.*collate_fn"),
        (DataLoader(["a", "b"]), TypeError, "batch 0 of epoch 5, item 0: expected a torch tensor"),
        (
            DataLoader([(X[:3], Y[:2])], batch_size=None),
            ValueError,
            r"one length.*got shapes \(3, 64\), \(2,\)",
        ),
        (DataLoader([X[:0]], batch_size=None), ValueError, r"batch 0 of epoch 5: .*got shapes \(0, 64\)"),
        (DataLoader([()], batch_size=None), ValueError, "got shapes of nothing"),
        (DataLoader([X[0, 0]], batch_size=None), ValueError, r"batch leftmost, not empty, got shapes \(\)"),
    ],
)
def test_a_bad_batch_is_named(data, error, words):
    batches = as_batches(data, batch_size=3, **CPU)
    with pytest.raises(error, match=words):
        list(batches.epoch(5))


def test_the_number_of_a_bad_batch_is_right_after_a_first_look_at_one_pass():
    def rows():
        yield from X[:20]
        yield torch.full((64,), float("inf"))

    class Bad(Once):
        def __init__(self):
            self.rest = rows()

    batches = as_batches(Bad(), batch_size=10, **CPU)
    batches.first()
    with pytest.raises(ValueError, match=r"batch 2 of epoch 0, item 0: .*\(inf\)"):
        list(batches.epoch(0))


def test_unpack_takes_arrays_too():
    x, y = unpack([SCANS[:3], LABELS[:3]], "batch")
    assert (x.dtype, y.dtype) == (torch.get_default_dtype(), torch.int64)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"batch_size": -5}, ValueError, "batch_size: expected at least 1, got -5"),
        ({"batch_size": True}, TypeError, "batch_size: expected a whole number, got True"),
        ({"batch_size": 8.0}, TypeError, "batch_size: expected a whole number, got 8.0"),
        ({"batch_size": "8"}, TypeError, "batch_size"),
        ({"batch_size": 8, "seed": 1.5}, TypeError, "seed: expected a whole number"),
        ({"batch_size": 8, "workers": -1}, ValueError, "workers: expected at least 0"),
    ],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        as_batches(X, **options, **CPU)


def test_a_numpy_integer_is_a_batch_size():
    assert as_batches(X, batch_size=np.int64(8), **CPU).batch_size == 8


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (load("digits"), "got pyrovae.data.loading.Splits. Pass one of its parts: splits.train"),
        ("digits", r"got builtins.str. Load it first: pyrovae.data.load\(name_or_path\).train"),
        ((x for x in X), "got builtins.generator.*IterableDataset"),
        ({"x": X}, "got builtins.dict"),
        (None, "got builtins.NoneType"),
        ([], "got builtins.list"),
        ([[1.0]], "x: expected a torch tensor or a NumPy array, got builtins.list"),
    ],
)
def test_what_is_no_data(data, words):
    with pytest.raises(TypeError, match=words):
        as_batches(data, batch_size=8, **CPU)


def test_bad_data_are_refused_at_once():
    x = X.clone()
    x[4, 2] = float("nan")
    with pytest.raises(ValueError, match=r"x: expected finite values.*\[4, 2\]"):
        as_batches((x, Y), batch_size=8, **CPU)
    with pytest.raises(ValueError, match="one length, got x of 1797, y of 3"):
        as_batches((X, Y[:3]), batch_size=8, **CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", ["Data", "Dataset", "DataLoader"])
def test_on_a_gpu(kind):
    batches = as_batches(KINDS[kind](), batch_size=32, device="cuda")
    state = torch.cuda.get_rng_state()
    assert batches.first()[0].is_cuda
    assert torch.cat([x for x, _ in batches.epoch(0)]).cpu().sum().isclose(X[:101].sum())
    assert torch.equal(torch.cuda.get_rng_state(), state)
    binary = as_batches(
        Data((X * 255).byte(), transform=Pixels()).then(Binarize()), batch_size=99, device="cuda"
    )
    assert next(binary.epoch(0))[0].is_cuda
    assert not torch.equal(torch.cuda.get_rng_state(), state)
