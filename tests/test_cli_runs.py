"""The command line on a run: every command, the same numbers twice, killed and resumed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from xarray import open_datatree

import pyrovae as pv
from pyrovae import checkpoint
from pyrovae.cli import main
from pyrovae.cli.folders import RunFolder
from pyrovae.cli.options import FolderOptions

HERE = {**os.environ, "PYTHONPATH": str(Path(pv.__file__).parents[1])}
SMALL = ["--hidden", "[16]", "--latent", "2", "--num_samples", "20"]
PICTURES = {"interpolation", "kl", "latent", "manifold", "reconstructions", "samples", "training"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run on digits, whose files no test may change."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["fit", *SMALL, "--epochs", "3", "--run_dir", str(folder)]) == 0
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """What a run has come to: its history, and its weights as lists."""
    best = checkpoint.read(folder / "best.safetensors", kind="weights")
    last = checkpoint.read(folder / "last.safetensors", kind="training")
    return {
        "history": (folder / "history.csv").read_text(),
        "best": {name: value.tolist() for name, value in best.items()},
        "last": {name: value.tolist() for name, value in last["weights"].items()},
    }


def test_fit_leaves_numbers_pictures_and_a_config(run: Path) -> None:
    assert {path.stem for path in run.glob("*.png")} == PICTURES
    for path in run.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((run / "metrics.json").read_text())
    kl, reconstruction = numbers["kl[z]"]["value"], numbers["reconstruction"]["value"]
    assert numbers["elbo"]["value"] == pytest.approx(reconstruction - kl, abs=1e-3)
    assert numbers["log_evidence"]["value"] > numbers["elbo"]["value"]
    assert numbers["bits_per_dim"] == pytest.approx(
        -numbers["log_evidence"]["value"] / 64 / np.log(2), abs=1e-3
    )
    assert numbers["active_units"]["of"] == 2
    assert numbers["data"] == 180
    assert (run / "config.yaml").is_file()


def test_fit_says_what_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, "--epochs", "1", "--pictures", "false"]) == 0
    said = capsys.readouterr().out
    assert "digits: 1,437 to train, 180 to validate, 180 to test; 1 x 8 x 8; Binarize" in said
    assert "VAE p(x | z) p(z) with Amortized q(z | x)" in said
    assert "nats per datum" in said
    assert "everything is in runs/digits-1/" in said


def test_runs_are_numbered_and_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", *SMALL, "--epochs", "1", "--pictures", "false"]
    assert [main(words), main(words), main([*words, "--name", "mine"])] == [0, 0, 0]
    assert sorted(path.name for path in Path("runs").iterdir()) == ["digits-1", "digits-2", "mine"]
    before = contents(Path("runs/mine"))
    capsys.readouterr()
    assert main([*words, "--name", "mine", "--seed", "1"]) == 1
    assert "--resume" in capsys.readouterr().err
    assert contents(Path("runs/mine")) == before


def test_the_same_command_gives_the_same_numbers(run: Path) -> None:
    torch.manual_seed(123)  # what the process has drawn before is of no account
    assert main(["fit", *SMALL, "--epochs", "3", "--name", "again"]) == 0
    assert main(["fit", *SMALL, "--epochs", "3", "--name", "other", "--seed", "1"]) == 0
    again, other = Path("runs/again"), Path("runs/other")
    assert contents(again) == contents(run)
    assert (again / "metrics.json").read_text() == (run / "metrics.json").read_text()
    assert contents(other)["history"] != contents(run)["history"]


def test_a_runs_config_makes_the_run_again(run: Path) -> None:
    words = ["fit", "--config", str(run / "config.yaml"), "--name", "again", "--pictures", "false"]
    assert main(words) == 0
    assert contents(Path("runs/again")) == contents(run)


def test_info(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run)]) == 0
    said = capsys.readouterr().out
    for words in ("finished", "p(x | z) p(z)", "q(z | x)", "digits", "3 epochs", "manifold.png", "ELBO"):
        assert words in said


def test_evaluate(run: Path) -> None:
    assert (
        main(["evaluate", str(run), "--part", "validation", "--num_samples", "0", "--output", "a.json"]) == 0
    )
    numbers = json.loads(Path("a.json").read_text())
    assert numbers["part"] == "validation"
    assert "log_evidence" not in numbers
    # Validation at training time and here are two estimates of one bound, of one and of ten particles.
    assert -numbers["elbo"]["value"] == pytest.approx(pv.load(run).history.best.validation_loss, abs=1.0)


def test_sample(run: Path) -> None:
    words = ["sample", str(run), "--count", "30", "--output", "x.npz"]
    assert main(words) == 0
    assert main([*words[:-1], "drawn.npz", "--mean", "false"]) == 0
    assert main([*words[:-1], "other.npz", "--seed", "1"]) == 0
    x, drawn, other = (np.load(name)["x"] for name in ("x.npz", "drawn.npz", "other.npz"))
    assert x.shape == (30, 64)
    assert ((x > 0) & (x < 1)).all()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert not np.array_equal(x, other)
    assert np.array_equal(x, pv.predict.sample(pv.load(run), 30, mean=True).numpy())


def test_reconstruct(run: Path) -> None:
    assert main(["reconstruct", str(run), "--count", "12", "--output", "a.png"]) == 0
    assert main(["reconstruct", str(run), "--count", "12", "--output", "a.npz"]) == 0
    assert Path("a.png").stat().st_size > 1000
    found = np.load("a.npz")
    assert found["x"].shape == found["x_hat"].shape == (12, 64)


def test_interpolate(run: Path) -> None:
    for kind in ("linear", "spherical"):
        words = ["interpolate", str(run), "--kind", kind, "--pairs", "3", "--steps", "5"]
        assert main([*words, "--output", f"{kind}.npz"]) == 0
    linear, spherical = (np.load(f"{kind}.npz")["x"] for kind in ("linear", "spherical"))
    assert linear.shape == (3, 5, 64)
    assert np.allclose(linear[:, 0], spherical[:, 0], atol=1e-5)
    assert not np.allclose(linear[:, 2], spherical[:, 2], atol=1e-5)


def test_encode(run: Path) -> None:
    assert main(["encode", str(run), "--output", "z.npz"]) == 0
    assert main(["encode", str(run), "--output", "z.csv"]) == 0
    found = np.load("z.npz")
    with open("z.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["z0", "z1", "y"]
    assert found["z"].shape == (180, 2)
    assert np.allclose(np.array(rows, dtype=float)[:, :2], found["z"])
    assert np.array_equal(np.array(rows, dtype=float)[:, 2], found["y"])


def test_encode_other_data(run: Path) -> None:
    gray = np.random.default_rng(0).random((40, 1, 8, 8)).astype(np.float32)
    np.savez("other.npz", x=gray)
    assert main(["encode", str(run), "--data", "other.npz", "--part", "train", "--output", "z.npz"]) == 0
    assert np.load("z.npz")["z"].shape == (32, 2)


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_export(run: Path, ending: str) -> None:
    words = ["export", str(run), "--count", "7", "--num_samples", "4", "--output", f"tree.{ending}"]
    assert main(words) == 0
    with open_datatree(f"tree.{ending}", engine="zarr" if ending == "zarr" else "h5netcdf") as tree:
        assert dict(tree["posterior"]["z"].sizes) == {"chain": 1, "draw": 4, "data": 7, "z_dim_0": 2}
        assert tree["sample_stats"]["log_weight"].shape == (1, 4, 7)
    assert main(words) == 1


def test_commands_write_into_the_run_by_default(run: Path) -> None:
    folder = str(shutil.copytree(run, "copy"))
    for command in ("evaluate", "sample", "reconstruct", "interpolate", "encode", "export"):
        words = [command, folder] + (["--count", "3"] if command == "export" else [])
        assert [main(words), main(words)] == [0, 0]
    names = {path.name for path in Path(folder).iterdir()}
    assert names >= {"metrics.json", "samples.png", "reconstructions.png", "interpolation.png"}
    assert names >= {"encodings-test.npz", "posterior.nc"}


def test_a_file_of_the_users_is_not_replaced(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.npz").write_text("precious")
    words = ["sample", str(run), "--output", "mine.npz"]
    assert main(words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert Path("mine.npz").read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0
    assert np.load("mine.npz")["x"].shape == (64, 64)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "nowhere"], "run.json"),
        (["sample", "nowhere"], "run.json"),
        (["sample", "RUN", "--output", "x.jpg"], ".png"),
        (["sample", "RUN", "--output", "none/x.png"], "Make none first"),
        (["sample", "RUN", "--count", "0"], "positive"),
        (["evaluate", "RUN", "--data", "mnits"], "Did you mean 'mnist'?"),
        (["encode", "RUN", "--data", "wide.npy"], "(n, 1, 8, 8)"),
        (["interpolate", "RUN", "--steps", "1"], "steps"),
        (["evaluate", "RUN", "--device", "cuda:99"], "device"),
    ],
)
def test_bad_input(run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("wide.npy", np.zeros((50, 65), dtype=np.float32))
    assert main([str(run) if word == "RUN" else word for word in words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "settles"),
    [
        (["--optim", "torch.optim.SGD", "--optim.lr", "1e-4", "--optim.momentum", "0.9"], "SGD"),
        (["--optim", "pyro.optim.ClippedAdam", "--optim.lr", "1e-3"], "ClippedAdam"),
        (["--loss", "pyro.infer.TraceMeanField_ELBO", "--loss.num_particles", "2"], "TraceMeanField_ELBO"),
        (["--net", "conv", "--channels", "[4,8]"], "ConvDecoder"),
        (["--likelihood", "pyrovae.heads.IsotropicNormal", "--transform", "none"], "IsotropicNormal"),
        (["--model.likelihood", "pyrovae.heads.Normal", "--transform", "standardize"], "Standardize"),
        (["--activation", "torch.nn.Tanh", "--encoder.activation", "torch.nn.GELU"], "GELU"),
        (["--transform", "[dequantize]", "--transform.levels", "17"], "17"),
        (["--kl_warmup", "2", "--hidden", "[8]", "--clip_norm", "10", "--patience", "1"], '"kl_warmup": 2'),
        (["--scheduler", "torch.optim.lr_scheduler.ExponentialLR", "--scheduler.gamma", "0.5"], "lr"),
    ],
)
def test_parts_by_class_path(words: list[str], settles: str) -> None:
    if words[:2] == ["--transform", "[dequantize]"]:
        words = ["--transform", "[{class_path: dequantize, init_args: {levels: 17}}]"]
    small = ["--epochs", "1", "--latent", "2", "--num_samples", "0", "--pictures", "false", "--run_dir", "a"]
    assert main(["fit", *small, *words]) == 0
    assert settles in Path("a/run.json").read_text()
    assert main(["sample", "a", "--count", "4"]) == 0


def test_arrays_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    np.save("bits.npy", (random.random((60, 12)) < 0.3).astype(np.float32))
    np.savez("table.npz", x=5 + 3 * random.normal(size=(60, 12)).astype(np.float32))
    np.save("bytes.npy", random.integers(0, 256, (60, 6, 5), dtype=np.uint8))
    heads = {"bits.npy": "Bernoulli", "table.npz": "IsotropicNormal", "bytes.npy": "IsotropicNormal"}
    hows = {"bits.npy": "as they are", "table.npz": "Standardize", "bytes.npy": "Dequantize"}
    for file, head in heads.items():
        assert main(["fit", "--data", file, "--epochs", "1", "--hidden", "[8]", "--num_samples", "5"]) == 0
        assert hows[file] in capsys.readouterr().out
        folder = Path("runs", f"{Path(file).stem}-1")
        assert head in (folder / "config.yaml").read_text()
        numbers = json.loads((folder / "metrics.json").read_text())
        assert ("bits_per_dim" in numbers) == (file != "table.npz")
        assert main(["sample", str(folder), "--count", "3"]) == 0
    assert Path("runs/table-1/samples.npz").is_file()
    assert Path("runs/bytes-1/samples.png").is_file()


def test_loggers(run: Path) -> None:
    words = ["fit", *SMALL, "--epochs", "2", "--pictures", "false"]
    assert main([*words, "--logger", "csv", "--name", "a"]) == 0
    (table,) = Path("runs/a").rglob("metrics.csv")
    assert "validation_loss" in table.read_text()
    pytest.importorskip("tensorboard")
    assert main([*words, "--logger", "tensorboard", "--name", "b"]) == 0
    assert list(Path("runs/b").rglob("events.out.tfevents.*"))


def test_two_runs_that_begin_at_once_have_two_folders() -> None:
    first, second = (RunFolder(FolderOptions(), "my data.npy") for _ in range(2))
    first.begin("seed: 0")
    second.begin("seed: 1")
    assert [str(first.path), str(second.path)] == ["runs/my-data-1", "runs/my-data-2"]
    assert Path("runs/my-data-1/config.yaml").read_text() == "seed: 0"
    second.drop_if_unused()
    assert [path.name for path in Path("runs").iterdir()] == ["my-data-1"]


def started(words: list[str], until: int) -> subprocess.Popen[str]:
    """A run in a process of its own that has finished so many epochs."""
    folder = Path(words[words.index("--run_dir") + 1])
    process = subprocess.Popen(
        [sys.executable, "-m", "pyrovae", *words],
        env=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        table = folder / "history.csv"
        if table.is_file() and len(table.read_text().splitlines()) > until:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"the run did not get so far: {process.communicate()}")


def test_killed_and_resumed_is_never_killed() -> None:
    words = [
        "fit",
        *SMALL,
        "--pictures",
        "false",
        "--epochs",
        "15",
        "--batch_size",
        "400",
        "--checkpoint_every",
        "0",
    ]
    process = started([*words, "--run_dir", "killed"], until=3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    rows = len(Path("killed/history.csv").read_text().splitlines())
    assert rows < 16
    assert main(["fit", "--run_dir", "killed", "--resume"]) == 0
    assert main([*words, "--run_dir", "whole"]) == 0
    assert contents(Path("killed")) == contents(Path("whole"))
    assert Path("killed/metrics.json").read_text() == Path("whole/metrics.json").read_text()


def test_interrupted_says_how_to_go_on() -> None:
    words = ["fit", *SMALL, "--epochs", "4000", "--batch_size", "800", "--checkpoint_every", "0"]
    words += ["--run_dir", "left"]
    process = started(words, until=2)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "pyrovae fit --run_dir left --resume" in error
    assert "Traceback" not in error
    assert pv.load("left").config["status"] == "interrupted"


def test_resume_takes_more_epochs_and_nothing_else(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", *SMALL, "--pictures", "false", "--run_dir", "a"]
    assert main([*words, "--epochs", "1", "--kl_warmup", "0.75"]) == 0
    assert main(["fit", "--run_dir", "a", "--resume", "--epochs", "3"]) == 0
    assert contents(Path("a")) == contents(run)
    capsys.readouterr()
    assert main(["fit", "--run_dir", "a", "--resume", "--seed", "1"]) == 1
    assert "seed" in capsys.readouterr().err
