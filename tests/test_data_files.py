"""The user's own files: what is read from them, and that what hides in them is never run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from pyrovae.data import Pixels, load

SCANS, LABELS = load_digits(return_X_y=True)
BYTES = (SCANS[:40] * 15).astype(np.uint8).reshape(-1, 8, 8)


def together(splits, part="x"):
    """All data of the three parts, sorted, so that they can be compared with what was saved."""
    rows = torch.cat([getattr(data, part).reshape(len(data), -1) for data in splits])
    return np.array(sorted(rows.tolist()))


def in_order(array):
    return np.array(sorted(np.asarray(array, dtype=np.float32).reshape(len(array), -1).tolist()))


def save(path, x, y=None, names=("x", "y")):
    """The same data in the way of each ending."""
    if path.suffix == ".npy":
        np.save(path, x)
    elif path.suffix == ".npz":
        np.savez(path, **{name: a for name, a in zip(names, (x, y), strict=True) if a is not None})
    else:
        parts = [torch.tensor(a) for a in (x, y) if a is not None]
        torch.save(dict(zip(names, parts, strict=False)) if len(parts) > 1 else parts[0], path)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".pt"])
def test_arrays_come_back_whole(tmp_path, ending):
    save(tmp_path / f"own{ending}", SCANS.astype(np.float32))
    splits = load(str(tmp_path / f"own{ending}"), splits=(0.5, 0.25, 0.25))
    assert [len(data) for data in splits] == [899, 449, 449]
    assert np.array_equal(together(splits), in_order(SCANS))
    assert splits.train.transform is None
    assert splits.source["name"] == str(tmp_path / f"own{ending}")


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
@pytest.mark.parametrize("ending", [".npz", ".pt"])
def test_labels_stay_with_their_data(tmp_path, ending, names):
    rows = np.arange(40.0)
    save(tmp_path / f"own{ending}", rows[:, None], rows.astype(np.int64) * 3, names)
    for data in load(tmp_path / f"own{ending}"):
        assert torch.equal(data.y, 3 * data.x[:, 0].long())


def test_a_tuple_of_tensors_and_an_array_of_any_single_name(tmp_path):
    torch.save((torch.arange(20.0)[:, None], torch.arange(20)), tmp_path / "pair.pt")
    assert np.array_equal(together(load(tmp_path / "pair.pt"), "y"), np.arange(20)[:, None])
    np.savez(tmp_path / "one.npz", faces=SCANS)
    assert load(tmp_path / "one.npz").train.shape == (64,)


@pytest.mark.parametrize(
    "array", [BYTES, BYTES[:, None], np.stack([BYTES] * 3, 1), np.stack([BYTES] * 3, -1)]
)
def test_bytes_are_images(tmp_path, array):
    np.save(tmp_path / "own.npy", array)
    data = load(tmp_path / "own.npy").train
    assert data.x.dtype == torch.uint8
    assert data.shape == (3 if array.size == 3 * BYTES.size else 1, 8, 8)
    assert data.transform == Pixels()
    flat = load(tmp_path / "own.npy", flatten=True).train
    assert torch.equal(flat.transform.inverse(flat.transformed()), flat.x)


def test_bytes_of_zeros_and_ones_are_not_divided_by_255(tmp_path):
    np.save(tmp_path / "own.npy", (BYTES > 100).astype(np.uint8))
    data = load(tmp_path / "own.npy").train
    assert data.transformed().unique().tolist() == [0.0, 1.0]
    assert (data.shape, data.transform) == ((1, 8, 8), None)


def test_counts_and_booleans_become_floating(tmp_path):
    np.save(tmp_path / "counts.npy", SCANS.astype(np.int64))
    np.save(tmp_path / "flags.npy", SCANS > 8)
    assert load(tmp_path / "counts.npy").train.x.dtype == torch.get_default_dtype()
    assert load(tmp_path / "flags.npy").train.x.unique().tolist() == [0.0, 1.0]


class Bomb:
    """Unpickling this creates a file: the trace of code that was run."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".pt"])
@pytest.mark.parametrize("way", ["inside", "bare", "disguised"])
def test_pickles_are_refused_and_not_run(tmp_path, ending, way):
    trace, path = tmp_path / "ran", tmp_path / f"hostile{ending}"
    array = np.array([Bomb(trace)] * 20, dtype=object)
    with path.open("wb") as file:
        if way == "bare":
            pickle.dump(Bomb(trace), file)
        elif way == "disguised":  # the content of one ending under the name of another
            np.save(file, array, allow_pickle=True) if ending == ".pt" else torch.save(Bomb(trace), file)
        elif ending == ".npy":
            np.save(file, array, allow_pickle=True)
        elif ending == ".npz":
            np.savez(file, allow_pickle=True, x=array)
        else:
            torch.save({"x": Bomb(trace)}, file)
    with pytest.raises(ValueError, match=r"hostile.*: expected (arrays of numbers, complete|an array named)"):
        load(path)
    assert not trace.exists()


def test_the_bomb_would_have_gone_off(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("ending", [".npy", ".npz", ".pt"])
@pytest.mark.parametrize("keep", [0, 7, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, ending, keep):
    path = tmp_path / f"cut{ending}"
    save(path, SCANS)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(ValueError, match="complete and without pickled objects"):
        load(path)


def test_a_corrupted_archive_is_refused(tmp_path):
    path = tmp_path / "own.npz"
    np.savez_compressed(path, x=SCANS)
    content = bytearray(path.read_bytes())
    for position in range(2000, 2100):
        content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="complete and without pickled objects"):
        load(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x", "hello")
    with pytest.raises((ValueError, TypeError), match=r"own\.npz"):
        load(tmp_path / "own.npz")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ({"a": SCANS, "b": SCANS}, ValueError, "an array named x or images, or a single one, got a, b"),
        ({"x": SCANS, "y": LABELS[:9]}, ValueError, "one length, got .*x of 1797, .*y of 9"),
        ({"x": SCANS[:0]}, ValueError, r"got shape \(0, 64\)"),
        ({"x": SCANS[:2]}, ValueError, r"at least one datum in each part, got \[2, 0, 0\] of 2 data"),
        (
            {"x": np.where(SCANS == 16, np.nan, SCANS)},
            ValueError,
            r"own.npz, x: .*first \(nan\) at \[1, 12\]",
        ),
        ({"x": SCANS, "y": np.array(["a"] * 1797)}, TypeError, "own.npz, y: .*numpy.unique"),
    ],
)
def test_bad_content_is_refused_by_file_and_name(tmp_path, content, error, words):
    np.savez(tmp_path / "own.npz", **content)
    with pytest.raises(error, match=words):
        load(tmp_path / "own.npz")


def test_what_is_not_there_or_not_known(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got nothing at .*none\.npy"):
        load(tmp_path / "none.npy")
    (tmp_path / "own.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"ends in \.npy, \.npz, \.pt, or a folder of images, got '\.csv'"):
        load(tmp_path / "own.csv")


def write_images(folder, arrays, mode=None):
    folder.mkdir(parents=True, exist_ok=True)
    for number, array in enumerate(arrays):
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(folder / f"{number:03d}.png")


def test_a_folder_of_gray_images(tmp_path):
    write_images(tmp_path, BYTES)
    (tmp_path / "notes.txt").write_text("not an image")
    splits = load(tmp_path)
    assert splits.train.shape == (1, 8, 8)
    assert splits.train.y is None
    assert np.array_equal(together(splits), in_order(BYTES))


def test_subfolders_name_labels(tmp_path):
    for label in range(3):
        write_images(tmp_path / f"class {label}" / "deeper", BYTES[label::3][:10] // 4 * 4 + label)
    for data in load(tmp_path):
        assert torch.equal(data.x[:, 0, 0, 0].long() % 4, data.y)


def test_one_coloured_image_makes_all_coloured(tmp_path):
    write_images(tmp_path, BYTES[:9])
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[..., 2] = 200
    Image.fromarray(colour).save(tmp_path / "blue.png")
    x = torch.cat([data.x for data in load(tmp_path)])
    assert x.shape == (10, 3, 8, 8)
    blue = [image for image in x if image[0].sum() == 0 and image[2].sum() == 200 * 64]
    assert len(blue) == 1


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("LA", 1), ("P", 3), ("RGBA", 3)])
def test_modes_of_images(tmp_path, mode, channels):
    write_images(tmp_path, BYTES[:10], mode)
    assert load(tmp_path).train.shape == (channels, 8, 8)


def sixteen_bits(folder):
    Image.fromarray(np.full((8, 8), 4096, np.uint16)).save(folder / "deep.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: write_images(folder / "in", BYTES[:1]), "images both beside subfolders and in them"),
        (lambda folder: write_images(folder, [BYTES[0][:7]]), "001.png: .*an image of 7 x 8 .* got 8 x 8"),
        (
            lambda folder: (folder / "x.png").write_bytes(b"no image"),
            "x.png: expected an image that can be read",
        ),
        (sixteen_bits, "deep.png: expected an image of 8 bits a channel, got mode I;16"),
    ],
)
def test_folders_that_can_not_be_data(tmp_path, spoil, words):
    write_images(tmp_path, BYTES[:5])
    spoil(tmp_path)
    with pytest.raises(ValueError, match=words):
        load(tmp_path)


def test_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match=r"got no image\. Endings that are read: \.png"):
        load(tmp_path)
