"""Every part from the command line: one option, on data of its kind, and a run that every command reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn import datasets

import pyrovae as pv
from pyrovae.cli import main

SMALL = ["--epochs", "1", "--hidden", "[8]", "--channels", "[4,8]", "--latent", "3", "--batch_size", "40"]
FAST = ["--num_samples", "0", "--pictures", "false"]

PRIORS = {
    "StandardNormal": "",
    "DiagonalNormal": "",
    "FullNormal": "",
    "Laplace": "",
    "NormalMixture": "--prior.components 3",
    "VampPrior": "--prior.components 5",
    "Flow": "--prior.flow pyrovae.flows.RealNVP",
    "Ladder": "",
    "Conditional": "--data labelled.npz",
    "Sphere": "--posterior pyrovae.heads.VonMisesFisher",
    "LogisticNormal": "--posterior pyrovae.heads.LogisticNormal",
    "Dirichlet": "--posterior pyrovae.heads.Dirichlet",
    "OneHot": "--posterior pyrovae.heads.OneHot",
    "Bernoulli": "--posterior pyrovae.heads.Bernoulli",
    "RelaxedOneHot": "--posterior pyrovae.heads.RelaxedOneHot",
    "RelaxedBernoulli": "--posterior pyrovae.heads.RelaxedBernoulli",
    "GaussianProcess": "--data series.npy --net recurrent",
    "Markov": "--data series.npy --net recurrent",
    "Joint": "--prior.blocks.a pyrovae.priors.Laplace --prior.blocks.a.dim 1 "
    "--prior.blocks.b pyrovae.priors.StandardNormal --prior.blocks.b.dim 2",
}

POSTERIORS = {
    "Normal": "",
    "CommittedNormal": "--posterior.rate 0.5",
    "FullNormal": "",
    "LowRankNormal": "--posterior.rank 1",
    "NormalMixture": "--posterior.components 2",
    "Delta": "",
    "Flowed": "--posterior.flow pyrovae.flows.IAF",
    "Auxiliary": "",
    "Beta": "--prior mine.py:uniform",
    "Markov": "--data series.npy --net recurrent",
    "Steps": "--data series.npy --net recurrent",
}

LIKELIHOODS = {
    "Bernoulli": "",
    "ContinuousBernoulli": "--data gray.npy",
    "Beta": "--data inner.npy",
    "IsotropicNormal": "--data gray.npy",
    "OptimalNormal": "--data gray.npy",
    "Normal": "--data gray.npy",
    "Laplace": "--data gray.npy",
    "StudentT": "--data gray.npy",
    "Categorical": "--data counts.npy --likelihood.categories 17",
    "Poisson": "--data counts.npy",
    "NegativeBinomial": "--data counts.npy",
    "SharedNegativeBinomial": "--data counts.npy",
    "ZeroInflatedNegativeBinomial": "--data counts.npy",
    "Multinomial": "--data counts.npy",
    "MuLaw": "--data gray.npy",
    "PixelCategorical": "--data images.npy --net conv",
    "DiscretisedLogistic": "--data images.npy --net conv",
    "LogisticMixture": "--data images.npy --net conv",
    "PixelCNN": "--net conv --likelihood.width 8 --likelihood.layers 2",
    "MADE": "",
    "GRU": "",
    "Transformer": "",
    "Steps": "--data series.npy --net recurrent --likelihood.head pyrovae.heads.Laplace",
    "Masked": "--data gaps.npz",
    "Mixed": "--data mixed.npy --config mixed.yaml",
}

GUIDES = {
    "Amortized": "",
    "SemiAmortized": "",
    "Hamiltonian": "",
    "Ladder": "--model pyrovae.models.Ladder",
    "ProductOfExperts": "--data views.npz",
    "MixtureOfExperts": "--data views.npz",
}

FLOW = "pyrovae.priors.Flow --prior.flow pyrovae.flows.RealNVP"
VAMP_BELOW_A_FLOW = f"--prior {FLOW} --prior.base pyrovae.priors.VampPrior --prior.base.components 4"

NOT_HERE = {"PerDatum", "BaseOf"}
"""PerDatum keeps a row for each datum, which held-out data lack; BaseOf comes of itself, see below."""

ELSEWHERE = {"RelaxedBernoulli", "RelaxedOneHot", "VonMisesFisher", "LogisticNormal", "Dirichlet", "OneHot"}
"""Posteriors that have come with their priors."""


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real data of every kind, in the working folder."""
    monkeypatch.chdir(tmp_path)
    digits, wine = datasets.load_digits(), datasets.load_wine()
    levels, images = digits.data[:120], (digits.images[:120, None] * 15).astype(np.uint8)
    gray = (levels / 16).astype(np.float32)
    np.save("bits.npy", (gray > 0.5).astype(np.float32).reshape(-1, 1, 8, 8))
    np.save("gray.npy", gray)
    np.save("inner.npy", gray.clip(0.01, 0.99))
    np.save("counts.npy", levels.astype(np.float32))
    np.save("images.npy", images)
    np.save("series.npy", gray.reshape(-1, 8, 8))
    np.savez("labelled.npz", x=(gray > 0.5).astype(np.float32), y=digits.target[:120])
    np.savez("views.npz", x=gray[:, :32], y=gray[:, 32:])
    table = ((wine.data - wine.data.mean(0)) / wine.data.std(0)).astype(np.float32)
    gaps = np.where(np.random.default_rng(0).random(table.shape) < 0.2, np.nan, table)
    np.savez("gaps.npz", x=gaps, y=wine.target)
    np.save("mixed.npy", np.column_stack([table[:, :2], wine.target]).astype(np.float32))
    Path("mine.py").write_text(
        "import torch, pyro.distributions as dist\n"
        "def uniform(): return dist.Uniform(torch.zeros(3), torch.ones(3)).to_event(1)\n"
    )
    head = {"class_path": "pyrovae.heads.Normal"}
    kind = {"class_path": "pyrovae.heads.Categorical", "init_args": {"categories": 3}}
    mixed = {
        "class_path": "pyrovae.heads.Mixed",
        "init_args": {"columns": {"smell": [head, 2], "kind": [kind, 1]}},
    }
    Path("mixed.yaml").write_text(yaml.safe_dump({"likelihood": mixed, "transform": "none"}, sort_keys=False))

    def net(*widths: int) -> dict[str, object]:
        return {"class_path": "pyrovae.nets.MLP", "init_args": {"widths": list(widths)}}

    prior = {"class_path": "pyrovae.priors.StandardNormal", "init_args": {"dim": 3}}
    model = {"prior": prior, "views": {side: [net(3, 8, 64), head] for side in ("top", "bottom")}}
    experts = {"views": {side: [net(32, 8, 6), head] for side in ("top", "bottom")}}
    views = {
        "model": {"class_path": "pyrovae.models.Views", "init_args": model},
        "guide": {"init_args": experts},
        "transform": "none",
    }
    Path("views.yaml").write_text(yaml.safe_dump(views, sort_keys=False))


def fit(words: str, *more: str) -> Path:
    """A small run's folder."""
    none = ["--transform", "none"] if any(n in words for n in ("gray", "inner", "counts", "images")) else []
    data = [] if "--data" in words else ["--data", "bits.npy"]
    assert main(["fit", *SMALL, *data, *none, *words.split(), "--name", "run", *more]) == 0
    return Path("runs/run")


def _guide(name: str) -> str:
    if name.endswith("Experts"):  # whose views stand in the file
        return f"--config views.yaml --guide.class_path pyrovae.guides.{name}"
    return f"--guide pyrovae.guides.{name}"


ROWS = [
    *(f"--prior pyrovae.priors.{name} {more}" for name, more in PRIORS.items()),
    *(f"--posterior pyrovae.heads.{name} {more}" for name, more in POSTERIORS.items()),
    *(f"{more} --likelihood pyrovae.heads.{name}" for name, more in LIKELIHOODS.items() if name != "Mixed"),
    LIKELIHOODS["Mixed"],
    *(f"{more} {_guide(name)}" for name, more in GUIDES.items()),
    *(
        f"--posterior pyrovae.heads.Flowed --posterior.flow pyrovae.flows.{n}"
        for n in ("Planar", "Sylvester")
    ),
    *(f"--prior pyrovae.priors.Flow --prior.flow pyrovae.flows.{name}" for name in ("MAF", "NeuralSpline")),
    "--data labelled.npz --decoder pyrovae.nets.Joined --encoder pyrovae.nets.Joined",
    "--data gaps.npz --likelihood pyrovae.heads.Masked --encoder pyrovae.nets.Joined",
    "--data gaps.npz --likelihood pyrovae.heads.Masked --prior pyrovae.priors.VampPrior --prior.components 4",
    "--data gaps.npz --likelihood pyrovae.heads.Masked --prior pyrovae.priors.Flow "
    "--prior.flow pyrovae.flows.MAF --prior.base pyrovae.priors.NormalMixture --prior.base.components 2",
]


@pytest.mark.parametrize("words", ROWS)
def test_every_part_is_one_option(words: str) -> None:
    run = fit(words, *FAST)
    numbers = json.loads((run / "metrics.json").read_text())
    assert np.isfinite(numbers["elbo"]["value"])
    # What was built is what the run remembers, and rebuilds without any code but pyrovae's.
    if "mine.py" not in words:
        loaded = pv.load(run)
        for name in (word.rpartition(".")[2] for word in words.split() if word.startswith("pyrovae.")):
            assert name in repr(loaded.model) + repr(loaded.guide) + (run / "run.json").read_text()


def test_no_part_is_forgotten() -> None:
    for home, rows in (
        ("priors", set(PRIORS)),
        ("heads", {*POSTERIORS, *LIKELIHOODS, *ELSEWHERE}),
        ("guides", set(GUIDES)),
    ):
        parts = {n for n in getattr(pv, home).__all__ if n[0].isupper()}
        assert parts - NOT_HERE == rows, home


@pytest.mark.parametrize(
    "words",
    [
        "--data labelled.npz --prior pyrovae.priors.Conditional",
        "--data labelled.npz --decoder pyrovae.nets.Joined",
        "--model pyrovae.models.Ladder",
        "--guide pyrovae.guides.Hamiltonian",
        VAMP_BELOW_A_FLOW,
        "--data series.npy --net recurrent",
        "--data gaps.npz --likelihood pyrovae.heads.Masked",
        f"--likelihood pyrovae.heads.PixelCNN {LIKELIHOODS['PixelCNN']}",
    ],
)
def test_every_command_reads_such_a_run(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(words, "--num_samples", "5")
    assert "no picture of" not in capsys.readouterr().err
    numbers = json.loads((run / "metrics.json").read_text())
    assert main(["evaluate", str(run), "--num_samples", "5", "--output", "again.json"]) == 0
    assert json.loads(Path("again.json").read_text())["elbo"] == numbers["elbo"]
    for command in ("sample", "reconstruct", "interpolate"):
        few = ["--pairs", "2", "--steps", "3"] if command == "interpolate" else ["--count", "5"]
        assert main([command, str(run), *few, "--output", f"{command}.npz"]) == 0
        assert np.isfinite(np.load(f"{command}.npz")["x_hat" if command == "reconstruct" else "x"]).all()
    assert main(["encode", str(run)]) == 0
    assert main(["export", str(run), "--count", "4", "--num_samples", "2"]) == 0
    again = ["fit", "--config", str(run / "config.yaml"), "--name", "again", *FAST]
    assert main(again) == 0
    assert Path("runs/again/history.csv").read_text() == (run / "history.csv").read_text()
    assert main(["fit", "--run_dir", str(run), "--resume", "--epochs", "2", *FAST]) == 0
    assert len(pv.load(run).history) == 2


def test_a_prior_of_posteriors_shares_their_parts_at_any_depth() -> None:
    flowed = "--posterior pyrovae.heads.Flowed --posterior.flow pyrovae.flows.IAF"
    run = pv.load(fit(f"{VAMP_BELOW_A_FLOW} {flowed}", *FAST))
    vamp, (encoder, posterior) = run.model.prior.base, run.guide.sites["z"]
    assert vamp.encoder is encoder
    # Of a flowed posterior the base: the way back of an IAF would take a pass for each dimension.
    assert isinstance(vamp.head, pv.heads.BaseOf)
    assert vamp.head.flowed is posterior


def test_a_model_that_can_draw_its_labels_draws_them() -> None:
    Path("labels.py").write_text(
        "import pyro, torch, pyro.distributions as dist\n"
        "def model(x=None, y=None, size=None):\n"
        "    with pyro.plate('data', size if x is None else len(x)):\n"
        "        assert x is not None or y is None\n"
        "        y = pyro.sample('y', dist.Categorical(torch.ones(10)), obs=y)\n"
        "        z = pyro.sample('z', dist.Normal(torch.zeros(2), 1.0).to_event(1))\n"
        "        logits = (z.sum(-1) + y).unsqueeze(-1).expand(*z.shape[:-1], 64)\n"
        "        return pyro.sample('x', dist.Bernoulli(logits=logits).to_event(1), obs=x)\n"
    )
    run = fit("--data labelled.npz --model labels.py:model", "--latent", "2", *FAST)
    words = ["sample", str(run), "--model", "labels.py:model", "--count", "4", "--output", "x.npz"]
    assert main(words) == 0
    assert np.load("x.npz")["x"].shape == (4, 64)


def test_a_picture_that_cannot_be_drawn_costs_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(
        "import pyro, torch, pyro.distributions as dist\n"
        "def model(x=None, size=None):\n"
        "    if x is None: raise RuntimeError('this model only scores')\n"
        "    with pyro.plate('data', len(x)):\n"
        "        z = pyro.sample('z', dist.Normal(torch.zeros(2), 1.0).to_event(1))\n"
        "        pyro.sample('x', dist.Bernoulli(logits=z.sum(-1, True).expand(-1, 64)).to_event(1), obs=x)\n"
    )
    run = fit("--model odd.py:model", "--num_samples", "0", "--latent", "2")
    said = capsys.readouterr()
    assert "no picture of samples: RuntimeError: this model only scores" in said.err
    assert "nats per datum" in said.out
    assert (run / "latent.png").exists()
    assert not (run / "samples.png").exists()


@pytest.mark.parametrize(
    "words",
    ["", "--prior pyrovae.priors.NormalMixture --prior.components 3", f"--prior {FLOW}"],
)
def test_a_prior_is_fitted_to_a_finished_run(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("--posterior pyrovae.heads.Delta", *FAST)
    command = ["fit_prior", str(run), *words.split(), "--steps", "50", "--num_samples", "5"]
    assert main(command) == 0
    new = pv.load("runs/run-prior")
    told = new.config["fitted_prior"]
    assert told["after"] > told["before"]
    assert f"{told['after']:.2f} under the new" in capsys.readouterr().out
    old, kept = (pair.model.decoder.state_dict() for pair in (pv.load(run), new))
    assert all(bool((old[name] == kept[name]).all()) for name in old)
    assert main(["sample", "runs/run-prior", "--count", "4", "--output", "x.npz"]) == 0
    assert main(["evaluate", "runs/run-prior", "--num_samples", "5"]) == 0
    assert main(command) == 1
    assert "--to: expected a new or an empty folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--prior pyrovae.priors.Markov", "--net recurrent"),
        ("--prior pyrovae.priors.GaussianProcess", "--net recurrent"),
        ("--prior pyrovae.priors.Conditional --data gray.npy", "y=..."),
        ("--decoder pyrovae.nets.Joined --data gray.npy", "--decoder: expected data with labels"),
        ("--guide pyrovae.guides.PerDatum", "SemiAmortized"),
        ("--net recurrent", "sequences, data of shape (T, D)"),
        ("--data series.npy --net recurrent --likelihood pyrovae.heads.GRU", "Leave --net recurrent out"),
        ("--data gaps.npz", "pyrovae.heads.Masked"),
        ("--data gaps.npz --likelihood pyrovae.heads.Normal", "pyrovae.heads.Masked"),
        ("--prior pyrovae.priors.NormalMixture", "--model.prior.components"),
        ("--guide pyrovae.guides.Ladder", "priors.Ladder"),
    ],
)
def test_what_does_not_fit_is_said(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *words.split()]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("pyrovae: error: ")
