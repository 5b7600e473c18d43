"""Code of the user's own on the command line, and a stranger's in the folder of a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from pyrovae.cli import main

SMALL = ["--epochs", "2", "--num_samples", "5", "--pictures", "false"]

MINE = """
import pyro
import pyro.distributions as dist
import torch
from torch import nn

from beside import WIDTH

decoder = nn.Linear(WIDTH, 64)
encoder = nn.Linear(64, 2 * WIDTH)


def model(x=None, size=None):
    pyro.module("decoder", decoder)
    with pyro.plate("data", len(x) if x is not None else size):
        z = pyro.sample("z", dist.Normal(torch.zeros(WIDTH), 1.0).to_event(1))
        return pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)


def guide(x=None, size=None):
    pyro.module("encoder", encoder)
    with pyro.plate("data", len(x)):
        loc, raw = encoder(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(loc, raw.exp()).to_event(1))


class Net(nn.Module):
    def __init__(self, inputs, outputs, activation=nn.ReLU, scale: float = 1.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), activation(), nn.Linear(8, outputs))
        self.scale = scale

    def forward(self, x):
        return self.scale * self.layers(x)


def optimiser(parameters):
    return torch.optim.SGD(list(parameters), lr=1e-4)


def blur(x):
    return (x > 0.3).float()
"""


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    Path("beside.py").write_text("WIDTH = 3\n")


PAIR = ["--model", "mine.py:model", "--guide", "mine.py:guide"]


def test_functions_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *PAIR, "--run_dir", "a"]) == 0
    assert main(["fit", *SMALL, *PAIR, "--run_dir", "b"]) == 0
    assert Path("a/history.csv").read_text() == Path("b/history.csv").read_text()
    capsys.readouterr()
    assert main(["encode", "a"]) == 1
    assert "add: --model mine.py:model --guide mine.py:guide" in capsys.readouterr().err
    assert main(["encode", "a", *PAIR]) == 0
    assert np.load("a/encodings-test.npz")["z"].shape == (180, 3)
    assert main(["info", "a"]) == 0
    assert main(["fit", "--run_dir", "a", "--resume", "--epochs", "3"]) == 1
    assert "--model mine.py:model" in capsys.readouterr().err
    assert main(["fit", "--run_dir", "a", "--resume", "--epochs", "3", *PAIR]) == 0
    assert len(Path("a/history.csv").read_text().splitlines()) == 4


def test_a_network_of_ones_own_inside_the_default_pair(capsys: pytest.CaptureFixture[str]) -> None:
    net = ["--decoder", "mine.py:Net", "--decoder.inputs", "2", "--decoder.outputs", "64"]
    words = ["fit", *SMALL, "--latent", "2", *net, "--decoder.activation", "torch.nn.Tanh"]
    assert main([*words, "--decoder.scale", "0.5", "--run_dir", "a"]) == 0
    capsys.readouterr()
    assert main(["sample", "a"]) == 1
    assert "add: --decoder mine.py:Net" in capsys.readouterr().err
    assert main(["sample", "a", "--decoder", "mine.py:Net"]) == 0
    capsys.readouterr()
    assert main([*words, "--decoder.scael", "0.5", "--run_dir", "b"]) == 1
    assert "Did you mean 'scale'?" in capsys.readouterr().err
    assert main([*words[:-4], "--run_dir", "b"]) == 1
    assert "--model.decoder.outputs" in capsys.readouterr().err


def test_optimiser_and_transform_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--optim", "mine.py:optimiser", "--transform", "mine.py:blur"]
    assert main(["fit", *SMALL, *own, "--run_dir", "a"]) == 0
    assert "Bernoulli" in Path("a/config.yaml").read_text()
    assert "SGD" in Path("a/run.json").read_text()
    capsys.readouterr()
    assert main(["encode", "a"]) == 1
    assert "add: --transform mine.py:blur" in capsys.readouterr().err
    assert main(["encode", "a", "--transform", "mine.py:blur"]) == 0
    assert main(["fit", "--run_dir", "a", "--resume", "--epochs", "3", *own]) == 0


def test_a_dotted_path_of_the_working_folder() -> None:
    Path("mine_too.py").write_text(MINE)
    words = ["--model", "mine_too.model", "--guide", "mine_too.guide", "--run_dir", "a"]
    assert main(["fit", *SMALL, *words]) == 0


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the default pair."""
    folder = tmp_path_factory.mktemp("code") / "run"
    small = ["--hidden", "[4]", "--latent", "2", "--pictures", "false", "--num_samples", "0"]
    assert main(["fit", "--epochs", "1", *small, "--run_dir", str(folder)]) == 0
    return folder


def evil(folder: str) -> Path:
    """A module that leaves a mark when it is imported, and the run told to use it."""
    Path("evil.py").write_text("open('mark', 'w').close()\ndef model(x=None): ...\nmodel.__call__()\n")
    return Path(folder)


@pytest.mark.parametrize("path", ["evil.py:model", "evil.model", "os.system", "builtins.exec", "torch.load"])
@pytest.mark.parametrize("where", ["model", "prior", "transform", "optim"])
def test_what_a_folder_names_is_not_run(
    plain: Path,
    path: str,
    where: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    shutil.copytree(plain, "a")
    folder = evil("a")
    hostile = {"class_path": path, "init_args": {"command": "touch mark"} if path == "os.system" else {}}
    config = json.loads((folder / "run.json").read_text())
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    if where == "prior":
        config["model"]["spec"]["init_args"]["prior"] = hostile
        stored["model"]["init_args"]["prior"] = hostile
    elif where == "model":
        config["model"]["spec"] = hostile
        stored["model"] = hostile
    elif where == "transform":
        config["data"]["transform"] = hostile
        stored["transform"] = [hostile]
    else:
        stored["optim"] = hostile
    for cleared in (False, True):
        if cleared and where in ("model", "prior"):
            config["model"]["spec"] = None
        elif cleared:
            config["data"]["transform"] = None
        (folder / "run.json").write_text(json.dumps(config))
        (folder / "config.yaml").write_text(yaml.safe_dump(stored))
        for words in (["encode", "a"], ["fit", "--run_dir", "a", "--resume", "--epochs", "2"]):
            capsys.readouterr()
            code, error = main(words), capsys.readouterr().err
            assert not Path("mark").exists()
            assert "Traceback" not in error
            if words[0] == "fit" or where in ("model", "prior", "transform"):
                assert code == 1
                assert path in error
    assert not Path("mark").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "epohs: 3", "epochs: many", "model: [1, 2", "null"])
def test_a_broken_config_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a").mkdir()
    Path("a/config.yaml").write_text(text)
    assert main(["fit", "--run_dir", "a", "--resume"]) == 1
    error = capsys.readouterr().err
    assert "config.yaml" in error
    assert "Traceback" not in error
