"""The benchmark of discrete latents: its exact evidence is exact, and its command fills the table."""

from __future__ import annotations

import json
import math
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pyro import poutine
from pyro.distributions import Bernoulli
from torch.nn import functional as F

import pyrovae as pv


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command as a module, with 8 bits for 20: 256 latents to sum over, not a million."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import discrete_latents

    monkeypatch.setattr(discrete_latents.binary, "LATENT", 8)
    monkeypatch.setattr(discrete_latents, "HIDDEN", 50)
    measuring = sys.modules["discrete.measuring"]
    monkeypatch.setattr(measuring, "COMPILE", False)  # a few dozen steps don't even earn a capture back
    return discrete_latents


def test_exact_evidence_is_the_sum_over_all_latents(benchmark: ModuleType) -> None:
    torch.manual_seed(0)
    decoder, prior = pv.nets.MLP(5, 10, 12), torch.randn(5)
    x = torch.bernoulli(torch.full((4, 12), 0.3))
    joint = []
    for bits in product((0.0, 1.0), repeat=5):
        z = torch.tensor(bits)
        log_likelihood = Bernoulli(logits=decoder(2 * z - 1)).log_prob(x).sum(-1)
        joint.append(Bernoulli(logits=prior).log_prob(z).sum() + log_likelihood)

    exact = benchmark.binary.log_evidence(decoder, prior, x, chunk=7)

    torch.testing.assert_close(exact, torch.stack(joint).logsumexp(0), rtol=1e-5, atol=0)


def test_as_many_labels_of_each_class_are_kept(benchmark: ModuleType) -> None:
    y = torch.arange(400) % 10

    labels = benchmark.classes.hidden_labels(y, known=50)

    known = labels != benchmark.classes.UNKNOWN
    assert torch.equal(labels[known], y[known])
    assert F.one_hot(labels[known]).sum(0).tolist() == [5] * 10


def test_a_known_label_is_the_class_that_the_guide_draws(benchmark: ModuleType) -> None:
    torch.manual_seed(0)
    model, guide, _ = benchmark.classes.pair(16, 5)
    x, label = torch.ones(6, 16), torch.tensor([3, -1, 0, 9, -1, 7])
    with pv.Fit(model, guide).evaluating():
        drawn = [poutine.trace(guide).get_trace(x, label).nodes["y"]["value"].argmax(-1) for _ in range(20)]

    known = label >= 0
    assert all(torch.equal(y[known], label[known]) for y in drawn)
    assert len({int(y[1]) for y in drawn}) > 1


def test_command_fills_the_table(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    results, drawing = tmp_path / "table.json", tmp_path / "training.png"
    arguments = ["--data", "digits", "--epochs", "2", "--jobs", "1"]
    arguments += ["--json", str(results), "--picture", str(drawing)]
    monkeypatch.setattr(sys, "argv", ["discrete_latents.py", *arguments])

    benchmark.main()

    rows = json.loads(results.read_text())["rows"]
    shown = capsys.readouterr().out
    names = [*benchmark.binary.rows(64, 2), *benchmark.classes.rows()]
    assert [row["name"] for row in rows] == ["the labelled digits alone", *names]
    for row in rows:
        assert f"| {row['model']} | {row['name']} |" in shown
        assert row["cpu_seconds"] > 0
        if row["model"] == "20 bits":
            # By 180 data the bounds are in order but for the noise of 10 and 100 draws.
            assert row["elbo_of_some"]["mean"] < row["evidence_of_some"]["mean"] + 0.5
            assert row["iwae_of_some"]["mean"] < row["evidence_of_some"]["mean"] + 0.5
        if row["model"] != "20 bits":
            assert 0 <= row["error"] < 0.8  # nine of ten is chance
        if "elbo" in row:
            during = row["validation_elbo_by_epoch"]
            assert during == sorted(during)
            assert -64 * math.log(2) < row["elbo"]["mean"] < -15
    assert drawing.stat().st_size > 5000
