"""``benchmarks/step_time.py``: its sides compute one and the same step, and its figures are what they say."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SIDES = {
    "hand": "by hand, eager",
    "pyro": "`pyro.infer.SVI` as in its tutorial",
    "ours": "`pyrovae.SVI`, compile=False",
    "ours-capture": '`pyrovae.SVI`, compile="capture"',
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a part of the benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def part(name: str) -> ModuleType:
        return importlib.import_module(f"steps.{name}")

    return part


def test_check_runs_the_sides_from_the_same_weights(tmp_path: Path) -> None:
    kept, picture = tmp_path / "steps.json", tmp_path / "steps.png"
    command = [sys.executable, str(BENCHMARKS / "step_time.py"), "--check", "--markdown", "--threads", "1"]
    command += ["--sides", *SIDES, "pythae", "--pythae", sys.executable]  # which has no pythae
    command += ["--json", str(kept), "--picture", str(picture)]

    done = subprocess.run(command, capture_output=True, text=True, cwd=BENCHMARKS.parent)

    assert done.returncode == 1, done.stderr  # a side failed, and the others were measured all the same
    assert "- pythae's model, Adam FAILED: ModuleNotFoundError: No module named 'pythae'" in done.stdout
    (result,) = json.loads(kept.read_text())["results"]
    assert list(result["sides"]) == list(SIDES)
    assert list(result["failed"]) == ["pythae"]
    losses = {name: torch.tensor(side["losses"]) for name, side in result["sides"].items()}
    hand = losses["hand"].mean().item()
    for name, label in SIDES.items():
        assert f"| {label} |" in done.stdout
        assert len(losses[name]) == 21
        assert losses[name].isfinite().all()
        assert losses[name].mean().item() == pytest.approx(
            hand, rel=0.1
        )  # 21 batches of 16 with noise of their own
    assert "| tiny | `pyrovae.SVI`, compile=True / by hand, eager | 0.50 |  | not measured |" in done.stdout
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize("name", ["mlp", "conv", "iwae", "m2", "tiny"])
@pytest.mark.parametrize("way", ["tutorial", "best"])
def test_pyro_has_the_mean_loss_of_hand_written_torch(name: str, way: str, steps: Any) -> None:
    work = steps("workloads").WORKLOADS[name]
    work = work._replace(hidden=work.hidden and (16,))  # small, for the sake of time
    problem = steps("problem").pose(work, batch=4, seed=0, sharpen=2.0)
    by_hand, by_pyro = steps("by_hand"), steps("by_pyro")
    likelihood, closed = (by_pyro.by_probs, False) if way == "tutorial" else (by_pyro.by_logits, True)
    model, guide = by_pyro.pair(problem, likelihood, "cpu")
    objective = by_pyro.objective(work, closed_form=closed)
    step = by_hand.build(problem, "eager", "cpu")
    x = step.batches[0]

    ours = torch.tensor([step.loss(x) for _ in range(150)], dtype=torch.float64)
    theirs = torch.tensor([objective.loss(model, guide, x) for _ in range(150)], dtype=torch.float64)

    error = ((ours.var() + theirs.var()) / 150).sqrt()
    assert 0 < error < 0.01 * ours.mean()
    assert abs(ours.mean() - theirs.mean()) < 4 * error


def test_break_even_counts_the_steps_that_pay_back(steps: Any) -> None:
    drive, figures = steps("drive"), steps("figures")

    def found(step: float, first: float) -> Any:
        reference = drive.Block(0.010, 0.020)
        pairs = [drive.Pair(drive.Block(step, 2 * step), reference)] * 3
        return drive.Measured(drive.Starts(first, 20 * step, [1.0] * 21), pairs, 0.0)

    results = figures.figures(
        {"hand": found(0.010, 0.010), "pyro": found(0.020, 0.020), "ours-compile": found(0.006, 8.006)}, "cpu"
    )

    ours = results["ours-compile"]
    assert ours["ratio"]["median"] == pytest.approx(0.6)
    assert ours["extra_seconds"] == pytest.approx(8)
    assert ours["break_even"]["hand"] == pytest.approx(2000)  # 8 s, at 4 ms a step
    assert ours["break_even"]["pyro"] == pytest.approx(8 / 0.014)
    assert results["pyro"]["break_even"]["hand"] is None
    bars = {bar["other"]: bar for bar in figures.bars("mlp", results, "wall")}
    assert bars["pyro"]["ratio"]["median"] == pytest.approx(0.3)
    assert bars["hand"]["met"]
    assert bars["numpyro"]["ratio"] is None
