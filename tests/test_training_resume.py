"""Runs that are killed, interrupted, resumed, saved and loaded."""

from __future__ import annotations

import copy
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pyrovae as pv
from pyrovae import checkpoint
from pyrovae.training.session import Session

SCRIPT = """
import sys, time
from functools import partial
import pyro, torch, pyrovae as pv

folder, pause, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(seed)
transform = pv.data.Chain([pv.data.Flatten(), pv.data.Binarize()])
splits = pv.data.load("digits", transform=transform)
layers = [torch.nn.Linear(4, 32), torch.nn.Dropout(0.1), torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 64)]
model = pv.models.VAE(pv.priors.DiagonalNormal(4), torch.nn.Sequential(*layers), pv.heads.bernoulli)
encoder = pv.nets.MLP(64, 32, 4)

def guide(x=None, size=None):
    pyro.module("encoder", encoder)
    scale = pyro.param("scale", lambda: torch.rand(4), constraint=torch.distributions.constraints.positive)
    with pyro.plate("data", len(x)):
        time.sleep(pause)
        pyro.sample("z", pyro.distributions.Normal(encoder(x), scale).to_event(1))

pv.fit(model, guide, splits, epochs=6, batch_size=100, kl_warmup=3, patience=5, run_dir=folder, resume=True,
       optim=partial(torch.optim.Adam, lr=0.01), checkpoint_every=0, progress=False,
       scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2))
"""


def _start(script: Path, folder: Path, *, pause: float, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(script), str(folder), str(pause), str(seed)])


def _same(a: Any, b: Any) -> bool:
    """Equality to the bit, NaN included."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return set(a) == set(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b) or (a != a and b != b)


def _differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two trees differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [line for key in {**a, **b} for line in _differences(a.get(key), b.get(key), f"{where}/{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [line for i, pair in pairs for line in _differences(*pair, f"{where}/{i}")]
    if _same(a, b):
        return []
    gap = (a - b).abs().max().item() if isinstance(a, Tensor) and a.shape == b.shape else ""
    return [f"{where}: {gap or f'{a!r} {b!r}'}"]


def test_a_run_killed_at_random_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL, twice; order, binarisation, dropout, batch norm, schedule, warm-up and best epoch included."""
    script, killed, whole = tmp_path / "script.py", tmp_path / "killed", tmp_path / "whole"
    script.write_text(SCRIPT)
    for seed in (1, 2):  # the second start brings other networks: the checkpoint must replace them
        process = _start(script, killed, pause=0.02, seed=seed)
        while not (killed / "last.safetensors").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.Random().uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert checkpoint.read(killed / "last.safetensors", kind="training")["epoch"] < 6
    assert _start(script, whole, pause=0.0, seed=1).wait() == 0
    assert _start(script, killed, pause=0.0, seed=3).wait() == 0
    for name, kind in (("last.safetensors", "training"), ("best.safetensors", "weights")):
        assert not _differences(*(checkpoint.read(place / name, kind=kind) for place in (killed, whole)))
    assert (killed / "history.csv").read_text() == (whole / "history.csv").read_text()


class Killed(BaseException):
    """Stands for a death in mid-step."""


def _pair(die_at: int | None, seed: int) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    model = pv.models.VAE(pv.priors.StandardNormal(3), nn.Linear(3, 64), pv.heads.bernoulli)
    encoder, steps = nn.Linear(64, 6), [0]

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("encoder", encoder)
        steps[0] += encoder.training
        if die_at is not None and steps[0] > die_at:
            raise Killed
        assert x is not None
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(encoder(x)))

    return model, guide


def test_a_death_between_the_last_step_of_an_epoch_and_its_end(
    digits: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps of the epoch are in the checkpoint; its row in the history is still to be written."""
    options: dict[str, Any] = {"batch_size": 50, "epochs": 3, "kl_warmup": 3, "checkpoint_every": 0}
    whole = pv.fit(*_pair(None, 1), digits[:170], **options)

    def die(session: Session) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_end_epoch", die)
        with pytest.raises(Killed):
            pv.fit(*_pair(None, 1), digits[:170], run_dir=tmp_path / "run", **options)
    rest = pv.fit(*_pair(None, 2), digits[:170], run_dir=tmp_path / "run", resume=True, **options)
    assert not _differences([tuple(row) for row in rest.history], [tuple(row) for row in whole.history])


@pytest.mark.parametrize("die_at", [1, 4, 7])
@pytest.mark.parametrize(
    ("wrap", "optim"),
    [
        (lambda x: DataLoader(TensorDataset(x), batch_size=50, shuffle=True), None),
        (lambda x: TensorDataset(x), pyro.optim.Adam({"lr": 0.01})),
        (
            lambda x: x,
            pyro.optim.StepLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.01}, "step_size": 1}),
        ),
    ],
    ids=["loader", "pyro optimiser", "pyro schedule"],
)
def test_resuming_in_mid_epoch_is_exact(
    wrap: Any, optim: Any, die_at: int, digits: Tensor, tmp_path: Path
) -> None:
    def run(folder: str, die_at: int | None, seed: int) -> None:
        data, options = wrap(digits[:170]), {"batch_size": 50, "checkpoint_every": 0, "progress": False}
        pv.fit(
            *_pair(die_at, seed),
            data,
            validation=digits[170:220],
            optim=copy.deepcopy(optim),
            epochs=2,
            run_dir=tmp_path / folder,
            resume=True,
            **options,
        )

    run("whole", None, 1)
    with pytest.raises(Killed):
        run("killed", die_at, 1)
    run("killed", None, 2)
    states = [
        checkpoint.read(tmp_path / f / "last.safetensors", kind="training") for f in ("whole", "killed")
    ]
    assert states[0]["step"] == 8
    assert _same(*states)


def test_ctrl_c_leaves_a_run_that_resumes_and_loads(digits: Tensor, make_pair: Any, tmp_path: Path) -> None:
    def press() -> None:
        while not (tmp_path / "run" / "last.safetensors").exists():
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    threading.Thread(target=press).start()
    options: dict[str, Any] = {"run_dir": tmp_path / "run", "checkpoint_every": 1e6, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        pv.fit(*make_pair(), digits, epochs=100_000, **options)
    assert signal.getsignal(signal.SIGINT) is handler
    loaded = pv.load(tmp_path / "run")
    assert loaded.config["status"] == "interrupted"
    state = checkpoint.read(tmp_path / "run" / "last.safetensors", kind="training")
    assert state["step"] > 0
    done = state["epoch"]
    run = pv.fit(*make_pair(seed=5), digits, epochs=done + 1, resume=True, **options)
    assert [epoch.epoch for epoch in run.history] == list(range(1, done + 2))


def test_more_epochs_on_a_finished_run(digits: Tensor, make_pair: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"batch_size": 100, "progress": False}
    pv.fit(*make_pair(), digits[:300], epochs=2, run_dir=tmp_path, **options)
    longer = pv.fit(*make_pair(seed=9), digits[:300], epochs=4, run_dir=tmp_path, resume=True, **options)
    at_once = pv.fit(*make_pair(), digits[:300], epochs=4, **options)
    assert longer.history == at_once.history
    assert _same(longer.params, at_once.params)


def test_a_run_is_not_overwritten_nor_mixed_with_another(
    digits: Tensor, make_pair: Any, tmp_path: Path
) -> None:
    pv.fit(*make_pair(), digits[:100], epochs=1, run_dir=tmp_path, progress=False)
    with pytest.raises(FileExistsError, match="resume=True"):
        pv.fit(*make_pair(), digits[:100], epochs=1, run_dir=tmp_path, progress=False)
    for change, name in (
        ({"seed": 1}, "seed"),
        ({"batch_size": 7}, "batch_size"),
        ({"kl_warmup": 2}, "kl_warm"),
    ):
        with pytest.raises(ValueError, match=name):
            pv.fit(*make_pair(), digits[:100], run_dir=tmp_path, resume=True, progress=False, **change)
    with pytest.raises(ValueError, match=r"data\.size"):
        pv.fit(*make_pair(), digits[:90], epochs=1, run_dir=tmp_path, resume=True, progress=False)
    optim = partial(torch.optim.Adam, lr=0.5)
    with pytest.raises(ValueError, match="optimiser"):
        pv.fit(
            *make_pair(), digits[:100], epochs=2, run_dir=tmp_path, resume=True, optim=optim, progress=False
        )


def test_the_random_generators_are_left_as_found(digits: Tensor, make_pair: Any) -> None:
    torch.manual_seed(3)
    random.seed(3)
    expected = (torch.rand(3).tolist(), random.random())
    torch.manual_seed(3)
    random.seed(3)
    pv.fit(*make_pair(), digits[:100], epochs=1, progress=False)
    assert (torch.rand(3).tolist(), random.random()) == expected


def test_the_same_seed_gives_the_same_run_and_another_another(digits: Tensor, make_pair: Any) -> None:
    def history(seed: int) -> Any:
        return pv.fit(*make_pair(), digits[:200], epochs=2, seed=seed, progress=False).history

    assert history(0) == history(0)
    assert history(0) != history(1)


def test_save_and_load_parts(digits: Tensor, make_pair: Any, tmp_path: Path) -> None:
    run = pv.fit(*make_pair(), digits[:200], epochs=2, progress=False)
    loaded = pv.load(run.save(tmp_path / "saved"))
    assert repr(loaded.model) == repr(run.model)
    assert loaded.history == run.history
    assert loaded.config["versions"]["torch"] == torch.__version__
    with run.evaluating() as (_, q), loaded.evaluating() as (_, again):
        x = digits[:5]
        assert torch.equal(q.posterior("z", x).mean, again.posterior("z", x).mean)


def test_a_loaded_run_still_turns_draws_back_into_data(tmp_path: Path) -> None:
    splits = pv.data.load("digits", flatten=True)
    splits = splits.then(pv.data.Standardize.of(splits.train.transformed()))
    model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.IsotropicNormal())
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
    run = pv.fit(model, guide, splits, epochs=1, run_dir=tmp_path, progress=False)
    gray = pv.data.load("digits", flatten=True).test.transformed()
    for fitted in (run, pv.load(tmp_path)):
        back = fitted.transform.inverse(splits.test.transformed()).flatten(1)
        assert torch.allclose(back, gray, atol=1e-6)


def test_save_and_load_functions_and_autoguides(digits: Tensor, tmp_path: Path) -> None:
    model, guide = _pair(None, 0)
    run = pv.fit(model, guide, digits[:200], epochs=2, progress=False)
    run.save(tmp_path / "functions")
    with pytest.raises(ValueError, match="model="):
        pv.load(tmp_path / "functions")
    model, guide = _pair(None, 7)
    loaded = pv.load(tmp_path / "functions", model=model, guide=guide)
    with loaded.evaluating() as (p, q):
        torch.manual_seed(0)
        q(digits[:2])
        p(digits[:2])
    assert _same(loaded.params, run.params)

    def pixels(x: Tensor | None = None, size: int | None = None) -> None:
        p = pyro.sample("p", pyro.distributions.Beta(torch.ones(64), 1.0).to_event(1))
        with pyro.plate("data", size if x is None else len(x)):
            pyro.sample("x", pyro.distributions.Bernoulli(p).to_event(1), obs=x)

    run = pv.fit(pixels, AutoNormal(pixels), digits[:200], epochs=2, progress=False)
    run.save(tmp_path / "auto")
    loaded = pv.load(tmp_path / "auto", model=pixels, guide=AutoNormal(pixels))
    assert torch.equal(loaded.guide.locs.p, run.guide.locs.p)


def test_a_trained_function_keeps_its_parameters_wherever_it_is_called(digits: Tensor) -> None:
    """Outside of its store a pyro.param statement would begin anew, without a word."""

    def model(x: Tensor | None = None, size: int | None = None) -> Tensor:
        bias = pyro.param("bias", torch.zeros(64))
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", pyro.distributions.Normal(torch.zeros(1), 1.0).to_event(1))
            pyro.sample("x", pyro.distributions.Bernoulli(logits=bias + 0 * z).to_event(1), obs=x)
        return bias

    guide = pv.guides.Amortized(z=(nn.Linear(64, 2), pv.heads.normal))
    run = pv.fit(model, guide, digits[:200], epochs=3, progress=False)
    assert run.model(size=1).abs().sum() > 0
    assert torch.equal(run.model(size=1), run.params["bias"])
    assert len(pyro.get_param_store()) == 0
