"""Objectives on the command line, by class path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyrovae.cli import main

SMALL = ["--data", "digits", "--num_samples", "5", "--pictures", "false", "--progress", "false"]
HOME = "pyrovae.objectives."


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def facts() -> dict[str, Any]:
    (run,) = Path("runs").iterdir()
    told: dict[str, Any] = json.loads((run / "run.json").read_text())
    return told


@pytest.mark.parametrize(
    ("options", "objective"),
    [
        (
            [
                f"--loss={HOME}IWAE",
                "--loss.num_particles=3",
                f"--loss.estimators={HOME}DoublyReparameterized",
            ],
            "IWAE(num_particles=3, estimators=DoublyReparameterized())",
        ),
        (
            [
                f"--loss={HOME}ELBO",
                f"--loss.estimators.z={HOME}ScoreFunction",
                f"--loss.estimators.z.baselines=[{HOME}DecayingAverage]",
            ],
            "ELBO(estimators={'z': ScoreFunction(DecayingAverage(0.9))})",
        ),
        (
            [
                f"--loss={HOME}ELBO",
                f"--loss.beta={HOME}Cyclical",
                "--loss.beta.start=0",
                "--loss.beta.end=1",
                "--loss.beta.epochs=1",
                "--loss.beta.cycles=2",
            ],
            "ELBO(beta=Cyclical(0, 1, epochs=1, cycles=2, rising=0.5))",
        ),
        ([f"--loss={HOME}FreeBits", "--loss.nats=0.2", "--loss.per=site"], "FreeBits(nats=0.2, per='site')"),
        ([f"--loss={HOME}WAE", f"--loss.kernel={HOME}Gaussian"], "WAE(strength=10.0, kernel=Gaussian())"),
    ],
)
def test_it_trains_by_class_path(options: list[str], objective: str) -> None:
    assert main(["fit", *SMALL, "--epochs=1", *options]) == 0
    told = facts()
    assert told["settings"]["loss"] == objective
    assert told["objective"][0] == objective
    assert told["objective"][2].startswith("z ")


def test_a_run_is_resumed_with_its_objective() -> None:
    loss = [f"--loss={HOME}GECO", "--loss.tolerance=25"]
    assert main(["fit", *SMALL, "--epochs=1", "--run_dir=runs/one", *loss]) == 0
    run = Path("runs/one")
    assert main(["fit", "--run_dir=runs/one", "--resume", "--epochs=2"]) == 0
    assert len((run / "history.csv").read_text().splitlines()) == 3
    assert facts()["settings"]["loss"] == "GECO(tolerance=25.0)"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([f"--loss={HOME}FreeBit"], "Did you mean 'FreeBits'?"),
        ([f"--loss={HOME}FreeBits", "--loss.nat=1"], "--loss.nat: expected an option of FreeBits"),
        ([f"--loss={HOME}FreeBits", "--loss.beta=1"], "--loss.beta: expected an option of FreeBits"),
        ([f"--loss={HOME}GECO"], "--loss.tolerance: expected a value"),
        (
            [f"--loss={HOME}ELBO", f"--loss.estimators.y={HOME}Pathwise"],
            "estimators['y']: ",
        ),
        (
            [f"--loss={HOME}ELBO", f"--loss.estimators={HOME}StraightThrough"],
            "site 'z', StraightThrough()",
        ),
        ([f"--loss={HOME}ELBO", "--loss.beta=-1"], "beta: expected a number, 0 or more"),
        ([f"--loss={HOME}IWAE", "--kl_warmup=3"], "kl_warmup: expected a loss that is an ELBO"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    options: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *SMALL, "--epochs=1", *options]) != 0
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error
