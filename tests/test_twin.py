"""``fit`` against its hand-written twin: the same steps, the same bound, and a benchmark that runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import pyrovae as pv


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import twin

    return twin


def test_evaluate_gives_the_hand_written_bound(twin: ModuleType) -> None:
    _, gray = twin.hand.load("digits")
    x = torch.bernoulli(gray)
    by_hand = twin.hand.VAE(64, 50, 5)
    with torch.no_grad():
        by_hand.encoder[-1].weight.mul_(5)  # a posterior that is far from the prior
    expected = twin.hand.bound(by_hand.encoder, by_hand.decoder, x, samples=300, seed=1)

    bound = pv.evaluate.elbo(pv.Fit(*twin.pair_like(by_hand)), x, num_samples=300)

    assert bound.closed_form == {"z": True}
    error = bound.standard_error * 2**0.5  # both have it
    assert (error > 0).all()
    assert ((-bound.elbo - expected).abs() < 5 * error).all()


def test_fit_takes_the_steps_of_hand_written_torch(
    twin: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["--data", "digits", "--epochs", "3", "--repeats", "0", "--markdown"]
    monkeypatch.setattr(sys, "argv", ["twin.py", *arguments, "--json", str(tmp_path / "twin.json")])

    twin.main()

    results = json.loads((tmp_path / "twin.json").read_text())
    for loss in results["losses"]:  # the same weights, batches and noise: only rounding may differ
        assert loss["pyrovae"] == pytest.approx(loss["hand_written"], abs=1e-3)
    assert results["losses"][-1]["pyrovae"] < 35  # it has learned: 64 fair pixels have 44.36 nats
    assert [marked["epochs"] for marked in results["bounds"]] == [1, 3]
    assert abs(results["bounds"][-1]["difference"]["mean"]) < 1e-3
    assert results["epoch"]["cpu"]["ratio"]["median"] > 0
    assert "| test bound after 3 epochs, nats |" in capsys.readouterr().out


@pytest.mark.parametrize("side", ["hand_written", "pyrovae"])
def test_benchmark_measures_a_twin_alone(
    twin: ModuleType, side: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["twin.py", "--data", "digits", "--epochs", "1", "--alone", side])

    twin.main()

    measured = json.loads(capsys.readouterr().out)
    assert 50 < measured["resident_before_training_mb"] <= measured["peak_mb"] < 20_000
    assert measured["wall"] > 0
