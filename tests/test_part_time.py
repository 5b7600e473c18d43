"""``benchmarks/part_time.py``: what it measures is the same by hand and by pyrovae; and it runs."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def part_time(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import part_time

    return part_time


def test_both_sides_give_the_same_numbers(part_time: ModuleType) -> None:
    """Values and gradients of every pair, in double precision, at equal weights and after one seed."""
    apart = part_time.rehearse(list(part_time.PAIRS), seed=1)
    assert len(apart) == len(part_time.PAIRS) > 30


def test_a_pair_that_differs_is_refused(part_time: ModuleType) -> None:
    pair = part_time.PAIRS["`heads.Laplace`"](True)
    one = pair.hand

    with pytest.raises(ValueError, match=r"Laplace.*differ"):
        part_time.checked("Laplace", pair._replace(hand=lambda: (one()[0] + 1e-3, one()[1])), 1e-6)


@pytest.mark.parametrize("name", ["`priors.VampPrior`", "`heads.PixelCNN`, draws, 14 x 14"])
def test_the_third_way_is_the_same_work(name: str, part_time: ModuleType) -> None:
    torch.manual_seed(0)
    pair = part_time.PAIRS[name](True)
    assert part_time.difference(pair._replace(pyrovae=pair.other[1])) < 1e-4


@pytest.mark.parametrize("path", sorted((BENCHMARKS / "by_hand").glob("*.py")), ids=lambda path: path.stem)
def test_what_is_written_by_hand_knows_torch_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        roots = {name.partition(".")[0] for name in names}
        assert roots <= {"__future__", "by_hand", "collections", "itertools", "math", "torch"}
        assert not any(name.startswith("torch.distributions") for name in names)


def test_a_short_measurement_has_all_figures(
    part_time: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept, threads = tmp_path / "parts.json", torch.get_num_threads()
    arguments = ["--only", "priors.VampPrior", "--rounds", "2", "--block-seconds", "0.001", "--validation"]
    monkeypatch.setattr(sys, "argv", ["part_time.py", *arguments, "--markdown", "--json", str(kept)])

    part_time.main()

    torch.set_num_threads(threads)
    (row,) = json.loads(kept.read_text())["parts"].values()
    assert row["difference"] < 1e-4
    assert min(row[key]["ratio"]["median"] for key in ("other", "validated")) > 0
    assert "| by hand, one product of matrices in float32 |" in capsys.readouterr().out
