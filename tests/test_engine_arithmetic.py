"""Denormals, coarser formats, and what ``explain`` and ``fit`` say of the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

import pyrovae as pv
from pyrovae.engine.arithmetic import denormals_flushed, precision

TINY = 1e-40


def tiny() -> float:
    """A denormal of float32, after an operation."""
    return (torch.tensor([TINY]) * 1.0).item()


def make(digits: Tensor) -> tuple[Any, Any, Tensor]:
    pyro.clear_param_store()
    torch.manual_seed(0)
    model = pv.models.VAE(pv.priors.StandardNormal(4), pv.nets.MLP(4, 32, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 32, 8), pv.heads.normal))
    return model, guide, digits[:64].round()


def test_denormals_are_flushed_inside_alone() -> None:
    assert tiny() != 0
    with denormals_flushed():
        assert tiny() == 0
        with denormals_flushed():
            assert tiny() == 0
        assert tiny() == 0
    assert tiny() != 0


def test_denormals_are_flushed_in_steps(digits: Tensor) -> None:
    model, guide, x = make(digits)
    seen = []

    class Loss(Trace_ELBO):
        def loss_and_grads(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(tiny())
            return super().loss_and_grads(*args, **kwargs)

    pv.SVI(model, guide, None, Loss(), compile=False).step(x)
    assert seen == [0]
    assert tiny() != 0


def test_an_error_puts_denormals_back() -> None:
    with pytest.raises(ZeroDivisionError), denormals_flushed():
        raise ZeroDivisionError
    assert tiny() != 0


@pytest.mark.parametrize("mode", ["capture", False])
def test_bfloat16_is_near_and_not_the_same(mode: Any, digits: Tensor) -> None:
    losses = {}
    for name in ("float32", "bf16"):
        model, guide, x = make(digits)
        svi = pv.SVI(model, guide, None, Trace_ELBO(), compile=mode, precision=name)
        torch.manual_seed(1)
        losses[name] = [svi.step(x) for _ in range(3)]
        assert not torch.is_autocast_enabled("cpu")
        assert all(p.dtype is torch.float32 for p in model.parameters())
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=1e-2)
    assert losses["bf16"] != losses["float32"]


def test_captured_bfloat16_is_the_eager_one(digits: Tensor) -> None:
    losses = []
    for mode in ("capture", False):
        model, guide, x = make(digits)
        svi = pv.SVI(model, guide, None, Trace_ELBO(), compile=mode, precision="bf16")
        torch.manual_seed(1)
        losses.append([svi.step(x) for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_tf32_is_asked_for_inside_alone() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with precision("tf32", torch.device("cpu")):
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_unknown_words_are_refused_by_name(digits: Tensor) -> None:
    model, guide, x = make(digits)
    with pytest.raises(ValueError, match=r"precision: expected .* got 'fp16'"):
        pv.SVI(model, guide, None, Trace_ELBO(), precision="fp16")
    with pytest.raises(ValueError, match=r"compile: expected .* got 'always'"):
        pv.fit(model, guide, x, compile="always")


def test_explain_tells_what_ran(digits: Tensor) -> None:
    model, guide, x = make(digits)
    svi = pv.SVI(model, guide, None, Trace_ELBO(), compile="capture")
    assert str(svi.explain()) == "compile=capture\nnothing has been captured"
    svi.step(x)
    svi.step(x[:10])
    svi.evaluate_loss(x)
    report = svi.explain()
    assert [(line.what, line.run, line.shapes) for line in report.lines] == [
        ("step", "capture", "64x64 float32"),
        ("step", "capture", "10x64 float32"),
        ("evaluate_loss", "capture", "64x64 float32"),
    ]
    step, _, loss = report.lines
    assert step.operations > loss.operations > 0
    assert step.inputs >= len([*model.parameters(), *guide.parameters()])
    assert step.difference < 1e-5
    assert "64x64 float32): captured, not compiled, 1 calls" in str(report)


def test_explain_tells_why_not(digits: Tensor) -> None:
    model, guide, x = make(digits)

    def looks(x: Tensor) -> Any:
        return model(x) if x.sum() > 0 else model(0 * x)

    svi = pv.SVI(looks, guide, None, Trace_ELBO(), steps=1000)
    svi.step(x)
    assert "step is eager: a tensor's value is read in Python" in str(svi.explain())
    assert str(pv.SVI(model, guide, None, Trace_ELBO(), compile=False).explain()).endswith("is eager")


def test_fit_says_how_its_steps_ran(digits: Tensor, tmp_path: Path) -> None:
    model, guide, x = make(digits)
    run = pv.fit(model, guide, x, epochs=2, batch_size=24, compile="capture", run_dir=tmp_path / "run")
    engine = json.loads((tmp_path / "run" / "run.json").read_text())["engine"]
    assert engine == run.config["engine"]
    assert [(call["shapes"], call["run"], call["calls"]) for call in engine["calls"]] == [
        ("24x64 float32", "capture", 4),
        ("16x64 float32", "capture", 2),
    ]


@pytest.mark.parametrize("mode", ["capture", True])
def test_a_resumed_run_is_the_same_to_the_bit(mode: Any, digits: Tensor, tmp_path: Path) -> None:
    options: dict[str, Any] = {"batch_size": 24, "compile": mode, "kl_warmup": 2}
    model, guide, x = make(digits)
    whole = pv.fit(model, guide, x, validation=x, epochs=4, **options)
    model, guide, x = make(digits)
    pv.fit(model, guide, x, validation=x, epochs=2, run_dir=tmp_path / "run", **options)
    model, guide, x = make(digits)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    rest = pv.fit(model, guide, x, validation=x, epochs=4, run_dir=tmp_path / "run", resume=True, **options)
    assert rest.history == whole.history
    for name, value in whole.params.items():
        assert torch.equal(rest.params[name], value), name


def test_captured_and_eager_fits_agree(digits: Tensor) -> None:
    runs = []
    for mode in ("capture", False):
        model, guide, x = make(digits)
        runs.append(pv.fit(model, guide, x, epochs=3, batch_size=24, compile=mode))
    for captured, eager in zip(*(run.history for run in runs), strict=True):
        assert captured.train_loss == pytest.approx(eager.train_loss, rel=1e-6)
