"""The benchmark of guides in seconds: its command runs, its gaps are gaps, and what it calls exact is."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


@pytest.fixture
def gaps(monkeypatch):
    """A module of the benchmark's parts, by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: importlib.import_module(f"gaps.{name}")


def test_the_evidence_and_the_best_normals_of_the_linear_model_are_those_in_closed_form(gaps):
    problem, exact = gaps("problems").PROBLEMS["correlated"], gaps("exact")
    x = problem.data(20, seed=1)
    log_evidence = exact.log_evidence(problem.model, x)
    assert torch.allclose(log_evidence, exact.log_evidence_of_the_linear(problem, x), atol=1e-5)

    weight = problem.mean(torch.eye(2, dtype=torch.float64)).T
    precision = torch.eye(2) + weight.T @ torch.tensor(problem.noise).double().pow(-2).diag() @ weight
    # Of all diagonal normals the nearest in KL(q || p) has the precision's diagonal.
    least = 0.5 * (precision.diagonal().log().sum() - precision.logdet())
    found = {full: gaps("best").least_gap(problem, x, log_evidence, full=full) for full in (False, True)}
    assert torch.allclose(found[False], least.expand(20), atol=1e-5)
    assert torch.allclose(found[True], torch.zeros(20).double(), atol=1e-5)


def test_rows_of_each_datum_come_near_the_best_normal_and_not_below(gaps):
    training, best = gaps("training"), gaps("best")
    known = training.Known(gaps("problems").PROBLEMS["correlated"], tested=10)
    least = best.least_gap(known.problem, known.test, known.log_evidence, full=False).mean().item()
    for name in ("PerDatum, diagonal", "Pyro's AutoNormal"):
        (row,) = (row for row in gaps("guides").ROWS if row.name == name)
        run = training.train(row, known, steps=300, seed=1)
        found = training.measure(run, row, known, seed=1)
        assert -4 * found["error"] < found["gap"] - least < 0.05


def test_only_what_a_guide_holds_beside_its_base_has_a_rate_of_its_own(gaps):
    training = gaps("training")
    (row,) = (row for row in gaps("guides").ROWS if row.own_rate is not None)
    guide = row.make(training.Known(gaps("problems").PROBLEMS["banana"], tested=2).setting)
    network, own = training.adam(row, guide)(guide.parameters()).param_groups
    assert {id(p) for p in own["params"]} == {id(p) for p in guide.learned.values()}
    assert {id(p) for p in network["params"]} == {id(p) for p in guide.base.parameters()}
    assert (network["lr"], own["lr"]) == (row.learning_rate, row.own_rate)


def test_the_command_measures_gaps_that_are_positive_and_fall(gaps, tmp_path: Path) -> None:
    kept = tmp_path / "found.json"
    command = [sys.executable, "benchmarks/guide_gaps.py", "--rows", "FullNormal", "--json", str(kept)]
    command += ["--steps", "100", "--rounds", "1", "--tested", "10", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "| FullNormal |" in done.stdout
    assert (tmp_path / "images" / "guide-gaps.png").stat().st_size > 10_000
    found = json.loads(kept.read_text())["gaps"]
    more = {name: rows["FullNormal"]["runs"][0]["gap"] for name, rows in found.items()}
    assert set(more) == {"banana", "bimodal", "correlated"}
    assert all(gap > 0 for gap in more.values())

    training = gaps("training")
    (row,) = (row for row in gaps("guides").ROWS if row.name == "FullNormal")
    known = training.Known(gaps("problems").PROBLEMS["correlated"], tested=10)
    few = training.measure(training.train(row, known, steps=8, seed=0), row, known, seed=0)
    assert more["correlated"] < few["gap"]
