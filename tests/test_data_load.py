"""Data by name: the splits, what each data set looks like, and what is said where it is not there."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from pyrovae.data import (
    NAMES,
    Binarize,
    Chain,
    Flatten,
    LazyData,
    Pixels,
    Splits,
    Standardize,
    Threshold,
    as_batches,
    load,
)
from pyrovae.data.catalogue import CATALOGUE

ROOT = Path(os.environ.get("PYROVAE_DATA") or "nowhere")
needs_mnist = pytest.mark.skipif(
    not (ROOT / "MNIST").exists(), reason="PYROVAE_DATA names no folder with MNIST"
)
needs_frey = pytest.mark.skipif(
    not (ROOT / "freyfaces").exists(), reason="PYROVAE_DATA names no folder with the Frey faces"
)


def rows(splits):
    return [tuple(row) for data in splits for row in data.x.flatten(1).tolist()]


def test_digits_are_real_scans_in_three_parts():
    digits = load("digits")
    assert isinstance(digits, Splits)
    assert [len(data) for data in digits] == [1437, 180, 180]
    assert digits.train.shape == (1, 8, 8)
    assert (digits.train.x.min(), digits.train.x.max()) == (0, 1)
    scans, labels = load_digits(return_X_y=True)
    expected = {(*row, label) for row, label in zip((scans / 16).tolist(), labels.tolist(), strict=True)}
    found = {(*r, y) for r, y in zip(rows(digits), torch.cat([d.y for d in digits]).tolist(), strict=True)}
    assert found == expected


def test_splits_cover_the_data_and_are_disjoint(tmp_path):
    np.save(tmp_path / "own.npy", np.arange(101.0)[:, None])
    numbers = [data.x[:, 0].tolist() for data in load(tmp_path / "own.npy", splits=(0.6, 0.3, 0.1))]
    assert [len(part) for part in numbers] == [61, 30, 10]
    assert sorted(number for part in numbers for number in part) == list(range(101))


def test_splits_depend_on_the_seed_alone():
    torch.manual_seed(1)
    once = load("digits", seed=4)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again, other = load("digits", seed=4), load("digits", seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a.x, b.x) for a, b in zip(once, again, strict=True))
    assert not torch.equal(once.test.x, other.test.x)


def test_the_split_of_seed_zero_is_what_it_was():
    assert load("digits").test.y[:10].tolist() == [3, 7, 9, 5, 1, 2, 3, 6, 6, 8]


def test_source_makes_the_same_splits_again():
    digits = load("digits", flatten=True, splits=[0.7, 0.2, 0.1], seed=3)
    again = load(**json.loads(json.dumps(digits.source)))
    assert again.source == digits.source
    assert all(torch.equal(a.transformed(), b.transformed()) for a, b in zip(digits, again, strict=True))
    assert digits.test.source == {**digits.source, "part": "test"}


def test_transform_comes_after_pixels_and_flatten(tmp_path):
    np.save(tmp_path / "own.npy", np.full((20, 4, 4), 200, np.uint8))
    data = load(tmp_path / "own.npy", flatten=True, transform=Chain([Threshold(), Binarize()])).train
    assert data.transform == Chain([Pixels(), Flatten(shape=[1, 4, 4]), Threshold(), Binarize()])
    assert data.take(torch.tensor([0]))[0].tolist() == [[1.0] * 16]


def test_standardised_by_the_training_part():
    digits = load("digits", flatten=True)
    standard = digits.then(Standardize.of(digits.train.transformed()))
    assert standard.train.transformed().mean().abs() < 1e-6
    back = standard.test.transform.inverse(standard.test.transformed())
    assert torch.allclose(back, digits.test.x, atol=1e-6)


@pytest.mark.parametrize("name", ["digits", "Digits", "DIGITS"])
def test_names_are_lenient(name):
    assert load(name).source["name"] == "digits"


def test_digits_work_without_home_or_network(monkeypatch):
    monkeypatch.delenv("PYROVAE_DATA", raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    assert len(load("digits").train) == 1437


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: load("digts"), ValueError, r"got 'digts'\. Did you mean 'digits'\?"),
        (lambda: load("fashion_mnst"), ValueError, "Did you mean 'fashionmnist'"),
        (lambda: load("zzz"), ValueError, "Known: celeba, cifar10, digits"),
        (lambda: load("digits", splits=(0.5, 0.5)), ValueError, "splits: expected three positive shares"),
        (lambda: load("digits", splits=(0.9, 0.1, 0.0)), ValueError, "splits"),
        (lambda: load("digits", splits=(0.9, 0.1, 0.1)), ValueError, "sum to 1"),
        (lambda: load("digits", splits=(0.9999, 0.00005, 0.00005)), ValueError, r"got \[1797, 0, 0\]"),
        (lambda: load("digits", seed=0.5), TypeError, "seed: expected a whole number"),
        (lambda: load("digits", seed=True), TypeError, "seed"),
        (lambda: load("digits", transform=Pixels()), TypeError, "Pixels: expected data of dtype uint8"),
    ],
)
def test_bad_requests(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"digits"}))
def test_what_is_not_there_is_said_to_be_not_there(tmp_path, monkeypatch, name):
    monkeypatch.setenv("PYROVAE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"expected .*{tmp_path}.*PYROVAE_DATA"):
        load(name, download=False)


def test_root_wins_over_the_variable_and_the_variable_over_the_cache(tmp_path, monkeypatch):
    def looked_in(**options):
        with pytest.raises(FileNotFoundError) as error:
            load("freyfaces", **options)
        return str(error.value)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYROVAE_DATA", raising=False)
    assert str(tmp_path / "cache" / "pyrovae" / "freyfaces") in looked_in()
    monkeypatch.setenv("PYROVAE_DATA", str(tmp_path / "variable"))
    assert str(tmp_path / "variable" / "freyfaces") in looked_in()
    assert str(tmp_path / "root" / "freyfaces") in looked_in(root=tmp_path / "root")
    assert "roweis" in looked_in()


def test_a_failed_download_says_so(tmp_path, monkeypatch):
    def offline(*_args, **_kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(OSError, match=r"MNIST: .*Name or service not known.*check the network"):
        load("mnist", root=tmp_path)


# Tiny files in the layouts that torchvision reads, random but for what a test asks of them.


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def images(size, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size, *shape), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "folder", "train", "test"),
    [
        ("mnist", "MNIST", "train", "t10k"),
        ("fashionmnist", "FashionMNIST", "train", "t10k"),
        ("kmnist", "KMNIST", "train", "t10k"),
        ("emnist", "EMNIST", "emnist-balanced-train", "emnist-balanced-test"),
    ],
)
def test_the_mnist_family(tmp_path, name, folder, train, test):
    held = {train: images(30, 28, 28), test: images(10, 28, 28, seed=1)}
    for part, array in held.items():
        write_idx(tmp_path / folder / "raw" / f"{part}-images-idx3-ubyte", array)
        write_idx(tmp_path / folder / "raw" / f"{part}-labels-idx1-ubyte", np.arange(len(array)))
    splits = load(name, root=tmp_path)
    assert [len(data) for data in splits] == [27, 3, 10]
    upright = (0, 2, 1) if name == "emnist" else (0, 1, 2)
    for data in (splits.train, splits.validation):
        assert np.array_equal(data.x[:, 0].numpy(), held[train].transpose(upright)[data.y])
    assert np.array_equal(splits.test.x[:, 0].numpy(), held[test].transpose(upright))
    assert (splits.test.shape, splits.test.transform) == ((1, 28, 28), Pixels())


def test_a_broken_file_of_a_known_set(tmp_path):
    for part in ("train", "t10k"):
        write_idx(tmp_path / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte", np.arange(9))
        write_idx(tmp_path / "MNIST" / "raw" / f"{part}-images-idx3-ubyte", images(9, 28, 28))
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises((ValueError, OSError), match=rf"MNIST: expected .*{tmp_path}"):
        load("mnist", root=tmp_path)


def test_cifar10(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10, cifar

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda _self: True)
    monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, (name, _) in enumerate([*CIFAR10.train_list, *CIFAR10.test_list]):
        batch = {"data": images(4, 3072, seed=number), "labels": [number] * 4}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("0123456789")}))
    splits = load("cifar10", root=tmp_path)
    assert [len(data) for data in splits] == [18, 2, 4]
    assert splits.train.shape == (3, 32, 32)
    assert np.array_equal(splits.test.x.numpy().reshape(4, -1), images(4, 3072, seed=5))
    assert splits.test.y.tolist() == [5] * 4


def test_svhn(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    monkeypatch.setattr(SVHN, "_check_integrity", lambda _self: True)
    for part, size in (("train", 20), ("test", 5)):
        x = images(size, 32, 32, 3)
        savemat(tmp_path / f"{part}_32x32.mat", {"X": x.transpose(1, 2, 3, 0), "y": np.arange(size)[:, None]})
    splits = load("svhn", root=tmp_path, download=False)
    assert [len(data) for data in splits] == [18, 2, 5]
    assert np.array_equal(splits.test.x.numpy(), images(5, 32, 32, 3).transpose(0, 3, 1, 2))
    assert splits.test.y.dtype == torch.int64


def test_omniglot(tmp_path, monkeypatch):
    from torchvision.datasets import Omniglot

    monkeypatch.setattr(Omniglot, "_check_integrity", lambda _self: True)
    page = np.full((105, 105), 255, np.uint8)
    page[:, :52] = 0  # ink is black in the files
    for part, alphabets in (("images_background", 2), ("images_evaluation", 1)):
        for alphabet in range(alphabets):
            for character in range(2):
                folder = tmp_path / "omniglot-py" / part / f"A{alphabet}" / f"character{character}"
                folder.mkdir(parents=True)
                for number in range(5):
                    Image.fromarray(page).convert("1").save(folder / f"{number}.png")
    splits = load("omniglot", root=tmp_path)
    assert [len(data) for data in splits] == [18, 2, 10]
    assert splits.train.shape == (1, 28, 28)
    assert (splits.train.x[..., :13] == 255).all()
    assert (splits.train.x[..., 15:] == 0).all()
    assert set(splits.train.y.tolist()) == {0, 1, 2, 3}


@pytest.fixture
def celeba_root(tmp_path, monkeypatch):
    """Nine faces: five to train on, two to validate, two to test."""
    from torchvision.datasets import CelebA

    monkeypatch.setattr(CelebA, "_check_integrity", lambda _self: True)
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    files = [f"{number:06d}.jpg" for number in range(9)]
    for number, file in enumerate(files):
        picture = np.zeros((218, 178, 3), np.uint8)
        picture[35:183, 15:163] = 10 + 20 * number  # the crop, and black around it
        Image.fromarray(picture).save(folder / "img_align_celeba" / file, quality=100)
    tables = {
        "list_eval_partition": ([0] * 5 + [1] * 2 + [2] * 2, None),
        "identity_CelebA": (range(9), None),
        "list_bbox_celeba": (range(9), "box"),
        "list_landmarks_align_celeba": (range(9), "nose"),
        "list_attr_celeba": ([1, -1] * 4 + [1], "Smiling"),
    }
    for name, (values, header) in tables.items():
        lines = [f"{file} {value}" for file, value in zip(files, values, strict=True)]
        (folder / f"{name}.txt").write_text("\n".join(["9", header, *lines] if header else lines) + "\n")
    return tmp_path


def test_celeba_is_read_from_disk_in_its_official_parts(celeba_root):
    splits = load("celeba", root=celeba_root)
    assert [len(data) for data in splits] == [5, 2, 2]
    assert all(isinstance(data, LazyData) for data in splits)
    assert splits.train.shape == (3, 64, 64)
    x, y = splits.train.take([0, 4])
    assert x[:, :, 5:-5, 5:-5].mean((1, 2, 3)).mul(255).round().tolist() == [10, 90]
    assert x[1].min() > 0.3  # nothing of the black around the crop
    assert y.tolist() == [[1], [1]]
    assert splits.source == {**load("celeba", root=celeba_root).source, "root": str(celeba_root)}
    assert load("celeba", root=celeba_root, flatten=True, transform=Binarize()).test.shape == (3 * 64 * 64,)
    assert splits.then(Threshold()).test.take([0])[0].unique().numel() <= 2


def test_celeba_in_batches_and_in_memory(celeba_root):
    splits = load("celeba", root=celeba_root)
    batches = as_batches(splits.train, batch_size=2, device="cpu")
    assert (batches.size, batches.steps, batches.in_memory, batches.source) == (
        5,
        3,
        False,
        splits.train.source,
    )
    seen = torch.cat([x[:, 0, 30, 30] for x, _ in batches.epoch(0)])
    assert sorted(seen.mul(255).round().tolist()) == [10, 30, 50, 70, 90]
    assert splits.test.read([0, 1]).transformed().shape == (2, 3, 64, 64)


def test_frey_faces_from_either_file(tmp_path):
    from scipy.io import savemat

    faces = images(50, 28, 20)
    folder = tmp_path / "freyfaces"
    folder.mkdir()
    savemat(folder / "frey_rawface.mat", {"ff": faces.reshape(50, 560).T})
    original = load("freyfaces", root=tmp_path)
    assert [len(data) for data in original] == [40, 5, 5]
    assert original.train.shape == (1, 28, 20)
    assert sorted(rows(original)) == sorted(tuple(row) for row in faces.reshape(50, -1).tolist())
    np.savez(folder / "freyfaces.npz", images=faces)
    both = load("Frey-Faces", root=tmp_path)
    assert all(torch.equal(a.x, b.x) for a, b in zip(original, both, strict=True))
    (folder / "freyfaces.npz").unlink()
    (folder / "frey_rawface.mat").write_bytes(b"not MATLAB's at all")
    with pytest.raises(ValueError, match=r"frey_rawface.mat: expected the MATLAB file of the Frey faces"):
        load("freyfaces", root=tmp_path)


def test_every_name_is_tried_above():
    assert set(NAMES) == {*CATALOGUE, "celeba"}
    assert len(NAMES) == 10


@needs_mnist
def test_real_mnist():
    splits = load("mnist", download=False, flatten=True, transform=Binarize())
    assert [len(data) for data in splits] == [54_000, 6_000, 10_000]
    gray = splits.test.x.float().div(255)
    assert gray.mean().item() == pytest.approx(0.1325, abs=1e-3)
    assert splits.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert splits.test.transformed().mean().item() == pytest.approx(gray.mean().item(), abs=1e-3)


@needs_frey
def test_real_frey_faces():
    splits = load("freyfaces")
    assert [len(data) for data in splits] == [1573, 196, 196]
    assert splits.train.shape == (1, 28, 20)
    assert 0.5 < splits.train.transformed().mean() < 0.7


def test_gaps_are_welcome_where_it_is_said(tmp_path):
    x = np.arange(40, dtype=np.float32).reshape(10, 4)
    x[3, 1] = np.nan
    np.savez(tmp_path / "gaps.npz", x=x, y=np.arange(10))
    with pytest.raises(ValueError, match=r"gaps\.npz, x: expected finite values.*1 not finite"):
        load(tmp_path / "gaps.npz")
    found = load(tmp_path / "gaps.npz", missing=True)
    assert sum(int(part.x.isnan().sum()) for part in found) == 1
    assert found.source["missing"]
    assert all(part.missing for part in found)
    x[0, 0] = np.inf
    np.savez(tmp_path / "gaps.npz", x=x)
    with pytest.raises(ValueError, match="NaN for what is missing"):
        load(tmp_path / "gaps.npz", missing=True)
    np.savez(tmp_path / "gaps.npz", x=x[1:], y=np.array([np.nan] * 9))
    with pytest.raises(ValueError, match=r"gaps\.npz, y: expected finite values"):
        load(tmp_path / "gaps.npz", missing=True)
