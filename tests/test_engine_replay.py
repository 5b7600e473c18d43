"""CUDA graphs without a GPU: what is recorded, copied, kept and undone, by a recorder that stands in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.engine import captured, launch
from pyrovae.engine.footprint import Footprint
from pyrovae.engine.optimiser import Optimiser
from pyrovae.engine.replay import recorder, rehearse


def stand_in(
    work: Callable[[], list[Tensor]], written: list[Tensor]
) -> tuple[list[Tensor], Callable[[], None]]:
    """Like a CUDA graph: recording changes nothing, and each replay writes to the same results."""
    rehearse(work, written)
    before = [x.clone() for x in written]
    with Footprint() as footprint:
        results = work()
    footprint.undo()
    with torch.no_grad():
        for x, value in zip(written, before, strict=True):
            x.copy_(value)

    def again() -> None:
        with torch.no_grad():
            for result, value in zip(results, work(), strict=True):
                result.copy_(value)

    return results, again


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays on the CPU, of the graph itself: Inductor has its own tests."""
    monkeypatch.setattr(captured, "recorder", lambda device: stand_in)
    monkeypatch.setattr(launch, "recorder", lambda device: stand_in)
    monkeypatch.setattr(captured, "compiled", lambda graph, tensors, exact_noise: graph.module)


def pair() -> tuple[Any, Any]:
    pyro.clear_param_store()
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 12))
    model = pv.models.VAE(pv.priors.StandardNormal(2), decoder, pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(pv.nets.MLP(12, 4), pv.heads.normal))


def batches(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 8, 12, generator=generator).round()


def svi(mode: Any) -> pv.SVI:
    torch.manual_seed(2)
    return pv.SVI(*pair(), partial(torch.optim.Adam, lr=1e-2, fused=True), Trace_ELBO(), compile=mode)


def test_a_cpu_records_nothing() -> None:
    assert recorder(torch.device("cpu")) is None
    assert recorder(torch.device("cuda")) is not None


@pytest.mark.usefixtures("recording")
def test_replayed_steps_are_the_eager_ones() -> None:
    losses = []
    for mode in (False, True):
        steps = svi(mode)
        torch.manual_seed(3)
        losses.append([steps.step(x) for x in batches(6)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    (entry,) = steps._steps.entries.values()
    assert entry.replay is not None


@pytest.mark.usefixtures("recording")
def test_gradients_of_two_replays_add_up() -> None:
    gradients = []
    for mode in (False, True):
        steps = svi(mode)
        steps.step(batches(1)[0])
        torch.manual_seed(3)
        for x in batches(3):
            steps.backward(x)
        gradients.append([p.grad.clone() for p in steps.model.parameters()])
    for eager, replayed in zip(*gradients, strict=True):
        torch.testing.assert_close(replayed, eager)


@pytest.mark.usefixtures("recording")
def test_a_parameter_that_moves_in_memory_is_recorded_again() -> None:
    steps, x = svi(True), batches(1)[0]
    for _ in range(3):
        steps.step(x)
    weight = next(steps.model.parameters())
    weight.data = weight.data.clone()
    steps.step(x)
    (entry,) = steps._steps.entries.values()
    assert len(entry.rebuilt) == 1
    assert entry.rebuilt[0].startswith("the address of")


@pytest.mark.usefixtures("recording")
def test_many_steps_in_one_launch_are_the_single_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Optimiser, "capturable", True)
    losses, weights = [], []
    for many in (False, True):
        steps = svi(True)
        steps.step(batches(1)[0])
        torch.manual_seed(3)
        if many:
            losses.append([*steps.steps(batches(5)), *steps.steps(1 - batches(5))])
            assert len(steps._launches._replays) == 1
        else:
            losses.append([steps.step(x) for x in [*batches(5), *(1 - batches(5))]])
        weights.append([x.clone() for x in steps.model.state_dict().values()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for alone, together in zip(*weights, strict=True):
        torch.testing.assert_close(together, alone)


def test_without_a_recorder_many_steps_are_a_loop() -> None:
    steps = svi("capture")
    torch.manual_seed(3)
    together = steps.steps(batches(4))
    alone = svi("capture")
    torch.manual_seed(3)
    assert together == [alone.step(x) for x in batches(4)]


def test_rehearsals_leave_no_trace() -> None:
    weight, seen = torch.ones(3), torch.zeros(())

    def work() -> list[Tensor]:
        weight.mul_(2)
        seen.add_(1)
        return [weight.sum()]

    rehearse(work, [seen])
    assert weight.tolist() == [1, 1, 1]
    assert seen.item() == 0
