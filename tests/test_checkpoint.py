"""Checkpoint files give back what was put in, to the bit, whatever the tree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyrovae import checkpoint

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    values = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 9))))
    return (10 * values).to(draw(st.sampled_from(DTYPES)))


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | tensors()
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_a_tree_comes_back_as_it_was(tree: Any, tmp_path: Path) -> None:
    path = tmp_path / "tree.safetensors"
    checkpoint.write(path, tree, kind="training")
    assert same(checkpoint.read(path, kind="training"), tree)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "tree.safetensors"
    checkpoint.write(path, {"w": torch.arange(6.0), "note": "kept"}, kind="weights")
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="refused"):
        checkpoint.read(path, kind="weights")


def test_parameters_that_share_memory_are_kept_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    checkpoint.write(
        tmp_path / "a", {"whole": whole, "part": whole[2:4], "turned": whole.view(2, 3).T}, kind="weights"
    )
    back = checkpoint.read(tmp_path / "a", kind="weights")
    assert torch.equal(back["part"], whole[2:4])
    assert torch.equal(back["turned"], whole.view(2, 3).T)


def test_what_is_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="can't be resumed"):
        checkpoint.write(tmp_path / "a", {"f": print}, kind="training")
    assert not list(tmp_path.iterdir())


def test_another_kind_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "a", {}, kind="weights")
    with pytest.raises(ValueError, match="checkpoint of training"):
        checkpoint.read(tmp_path / "a", kind="training")
    with pytest.raises(FileNotFoundError, match="checkpoint"):
        checkpoint.read(tmp_path / "b", kind="training")
