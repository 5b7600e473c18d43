"""The command line without a run: help, usage, configurations, and what is wrong told in words."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyrovae
from pyrovae.cli import main
from pyrovae.cli.entry import COMMANDS
from pyrovae.cli.parts import assign, split

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "docs" / "configs").glob("*.yaml"))
WRITTEN = [
    line for line in (ROOT / "docs" / "cli.md").read_text().splitlines() if line.startswith("pyrovae ")
]
SMALL = ["--epochs", "1", "--hidden", "[8]", "--latent", "2", "--num_samples", "5", "--pictures", "false"]
HERE = {**os.environ, "PYTHONPATH": str(Path(pyrovae.__file__).parents[1])}
HEAVY = ["torch", "pyro", "numpy", "matplotlib", "arviz", "xarray", "lightning_fabric", "sklearn"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_imports_nothing_heavy() -> None:
    commands = [[], ["--help"], *([name, "--help"] for name in COMMANDS), ["fit", "--print_config"]]
    script = (
        "import sys; from pyrovae.cli import main\n"
        f"assert [main(words) for words in {commands!r}] == [0] * {len(commands)}\n"
        f"assert not set({HEAVY!r}) & set(sys.modules), set({HEAVY!r}) & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=HERE)
    assert found.returncode == 0, found.stderr
    for name in COMMANDS:
        assert f"usage: pyrovae {name}" in found.stdout
    assert "by default an eighth of the data's" in " ".join(found.stdout.split())


def test_module_is_the_command_line() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pyrovae", "fitt"], capture_output=True, text=True, env=HERE
    )
    assert found.returncode == 2
    assert "Did you mean 'fit'?" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fitt"], "Did you mean 'fit'?"),
        (["fit", "--epohs", "3"], "--epohs: no such option. Did you mean 'epochs'?"),
        (["fit", "--epochs", "many"], "--epochs: expected int or null, got many"),
        (["fit", "--net", "conf"], "--net: expected one of auto, mlp, conv, recurrent, got conf"),
        (["fit", "--batch_size", "1.5"], "--batch_size"),
        (["fit", "--model.prior.dim"], "--model.prior.dim: expected a value"),
        (["fit", "--modle.prior.dim", "3"], "Did you mean 'model'?"),
        (["fit", "--config", "none.yaml"], "none.yaml"),
        (["fit", "digits"], "digits"),
        (["evaluate"], "RUN"),
        (["evaluate", "here", "--part", "tset"], "--part: expected one of train, validation, test"),
    ],
)
def test_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("pyrovae: error: ")
    assert "Traceback" not in error
    assert not Path("runs").exists()


def test_unknown_config_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.yaml").write_text("epohs: 3\n")
    assert main(["fit", "--config", "run.yaml"]) == 2
    assert "config key 'epohs': no such option. Did you mean 'epochs'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "mnits"], "Did you mean 'mnist'?"),
        (["--data", "none.npy"], "none.npy"),
        (["--data", "nan.npy"], "not finite"),
        (["--data", "empty.npy"], "x"),
        (["--transform", "binarise"], "Did you mean 'binarize'?"),
        (["--transform.att", "0.5", "--transform", "threshold"], "Did you mean 'at'?"),
        (["--transform", "none", "--likelihood", "pyrovae.heads.Bernoulli"], "site 'x'"),
        (["--prior", "pyrovae.priors.Standardnormal"], "Did you mean 'StandardNormal'?"),
        (["--prior.dimm", "3"], "--prior.dimm: expected an option of StandardNormal"),
        (["--model.prior.dimm", "3"], "Did you mean 'dim'?"),
        (["--model.priors.dim", "3"], "Did you mean 'prior'?"),
        (["--likelihood", "bernoulli"], "expected a class path"),
        (["--activation", "tanh"], "Did you mean 'torch.nn.Tanh'?"),
        (["--activation", "torch.nn.Tanhh"], "torch.nn.Tanhh"),
        (["--model", "nowhere.Model"], "no module 'nowhere'"),
        (["--model", "nowhere.py:model"], "no such file"),
        (["--model", "broken.py:model"], "SyntaxError"),
        (["--model", "fine.py:modle"], "Did you mean 'model'?"),
        (["--model", "fine.py:number"], "expected a Pyro program"),
        (["--decoder.widths", "[2,8,63]"], "64"),
        (["--encoder.widths", "[64,8,3]"], "even size"),
        (["--optim", "torch.optim.Adamm"], "torch.optim.Adamm"),
        (["--optim.learning_rate", "1"], "--optim.learning_rate: expected an option of Adam"),
        (["--optim", "pyro.optim.ClippedAdam", "--optim.lrr", "1"], "Did you mean 'lr'?"),
        (["--scheduler.gamma", "0.9"], "--scheduler: expected a class path"),
        (["--loss", "pyro.infer.Trace_Elbo"], "pyro.infer.Trace_Elbo"),
        (["--loss", "pyro.infer.RenyiELBO", "--kl_warmup", "3"], "kl_warmup"),
        (["--device", "cuda:99"], "device"),
        (["--seed", "-1"], "seed"),
        (["--epochs", "0"], "epochs"),
        (["--batch_size", "0"], "batch_size"),
        (["--splits", "[0.5,0.5,0.5]"], "splits"),
        (["--latent", "0"], "latent"),
        (["--hidden", "[0]"], "layer sizes"),
        (["--net", "conv", "--data", "table.npy"], "expected images"),
        (["--name", "a/b"], "--run_dir"),
        (["--name", "a", "--run_dir", "b"], "only one"),
        (["--resume"], "--run_dir"),
        (["--run_dir", "table.npy"], "run folder"),
        (["--run_dir", "full"], "--resume"),
        (["--run_dir", "full", "--resume"], "--resume"),
    ],
)
def test_bad_input_is_one_message(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    np.save("table.npy", table)
    np.save("nan.npy", np.where(table > 2, np.nan, table))
    np.save("empty.npy", table[:0])
    Path("broken.py").write_text("def model(:\n")
    Path("fine.py").write_text("number = 3\ndef model(x=None, size=None): ...\n")
    Path("full").mkdir()
    Path("full", "something.txt").write_text("mine")
    before = sorted(Path.cwd().rglob("*"))
    assert main(["fit", *SMALL, *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("pyrovae: error: ")
    assert "Traceback" not in error
    left = [path for path in Path.cwd().rglob("*") if path not in before and "__pycache__" not in path.parts]
    assert [path for path in left if path != Path.cwd() / "runs"] == []


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data", "mnits", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyrovae.cli.fitting.fit", interrupted)
    assert main(["fit"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_print_config_round_trip(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, "--optim", "torch.optim.AdamW", "--optim.lr", "3e-3", "--prior.dim", "3", "--seed", "5"]
    assert main(["fit", *words, "--print_config"]) == 0
    Path("run.yaml").write_text(capsys.readouterr().out)
    assert main(["fit", *words, "--name", "said"]) == 0
    assert main(["fit", "--config", "run.yaml", "--name", "read"]) == 0
    said, read = (Path("runs", name, "history.csv").read_text() for name in ("said", "read"))
    assert said == read
    assert "AdamW" in Path("runs", "read", "run.json").read_text()


def test_later_options_override_a_config() -> None:
    Path("run.yaml").write_text("seed: 1\nprior: {class_path: pyrovae.priors.DiagonalNormal}\nepochs: 9\n")
    words = ["fit", *SMALL[2:], "--config", "run.yaml", "--epochs", "1", "--prior.dim", "3", "--name", "a"]
    assert main(words) == 0
    config = Path("runs", "a", "config.yaml").read_text()
    assert "seed: 1" in config
    assert "DiagonalNormal" in config
    assert len(Path("runs", "a", "history.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("line", WRITTEN)
def test_what_the_documentation_says_is_accepted(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = [word for word in shlex.split(line)[1:] if "runs/digits-1/config.yaml" not in word]
    words = [word for word in words if word != "--config" or "docs/configs" in line]
    assert main([*words, "--print_config"]) == 0


def test_the_documentation_shows_every_command() -> None:
    assert {line.split()[1] for line in WRITTEN} == set(COMMANDS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_worked_configs_are_accepted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", str(path), "--print_config"]) == 0
    assert "data:" in capsys.readouterr().out


def test_there_are_worked_configs() -> None:
    assert len(CONFIGS) >= 2


def test_assignments_reach_into_parts() -> None:
    words = ["--model.prior.init_args.dim=8", "--epochs", "3", "--guide.sites.z", "[1, 2]"]
    rest, found = split(words, ["model", "guide"])
    assert rest == ["--epochs", "3"]
    assert found == [("model", ["prior", "dim"], 8), ("guide", ["sites", "z"], [1, 2])]
    prior = {"class_path": "a.B", "init_args": {"dim": 2}}
    assert assign({"init_args": {"prior": prior}}, ["prior", "dim"], 8) == {
        "init_args": {"prior": {"class_path": "a.B", "init_args": {"dim": 8}}}
    }
    assert assign({"sites": {"y": 2}}, ["sites", "z"], 1) == {"sites": {"y": 2, "z": 1}}
