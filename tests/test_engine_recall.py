"""Graphs that are laid aside and taken up again, and graphs that failed their comparison."""

from __future__ import annotations

import logging
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.engine import Refusal, captured


def make(mode: Any, **options: Any) -> pv.SVI:
    pyro.clear_param_store()
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5), nn.Tanh(), nn.Linear(16, 64))
    model = pv.models.VAE(pv.priors.StandardNormal(2), decoder, pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
    return pv.SVI(model, guide, None, Trace_ELBO(), compile=mode, **options)


def test_train_and_eval_mode_have_a_graph_each(digits: Tensor) -> None:
    losses = []
    for mode in ("capture", False):
        svi, x = make(mode), digits[:16]
        torch.manual_seed(1)
        losses.append([])
        for training in [True, False] * 12:
            svi.model.train(training)
            losses[-1].append(svi.step(x))
        if mode == "capture":
            (entry,) = svi._steps.entries.values()
            assert entry.rebuilt == ["'training' of VAE"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_graph_that_failed_is_not_used(digits: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    eager, x = make(False), digits[:16]
    torch.manual_seed(2)
    expected = eager.step(x)
    svi = make("capture")
    with monkeypatch.context() as patch:
        patch.setattr(captured, "difference", lambda ours, eager: 1.0)
        with pytest.raises(
            Refusal, match="isn't what eager Pyro does: loss, gradients or buffers differ by 1"
        ):
            svi.step(x)
    (entry,) = svi._steps.entries.values()
    assert (entry.kind, entry.graph) == ("eager", None)
    torch.manual_seed(2)
    assert svi.step(x) == pytest.approx(expected, rel=1e-6)
    assert entry.kind == "capture"


def test_a_network_that_would_never_be_trained_is_refused(digits: Tensor) -> None:
    make(False).step(digits[:16])
    torch.manual_seed(0)
    model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
    for mode in ("capture", False):
        svi = pv.SVI(model, guide, None, Trace_ELBO(), compile=mode)
        with pytest.raises(
            ValueError, match=r"expected the network of this program, got another .*clear_param"
        ):
            svi.step(digits[:16])


def test_inside_handlers_a_call_is_eager_and_the_next_is_not(
    digits: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    svi, x = make("auto", steps=1000), digits[:16]
    with caplog.at_level(logging.INFO, logger="pyrovae.engine"), poutine.block():
        svi.step(x)
        svi.step(x)
    assert [record.message for record in caplog.records if record.name == "pyrovae.engine"] == [
        "eager inside effect handlers: wrap model and guide in them instead"
    ]
    svi.step(x)
    assert svi.explain().lines[0].run == "capture"
