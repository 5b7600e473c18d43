"""Numbers, globals, closures and code that change between steps: seen at once, or at the next comparison."""

from __future__ import annotations

import logging
from contextvars import ContextVar

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import Pair, both, built, data, generate, globals_of, infer, pair, sgd
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO
from torch import nn

from pyrovae.engine import SVI, Refusal

WIDTH, SHIFT = 0.5, torch.zeros(6, dtype=torch.float64)
SETTINGS = {"width": 0.5}


def _with_globals(x):
    generate(x, WIDTH, SHIFT)


def _with_settings(x):
    generate(x, SETTINGS["width"])


def test_a_float_of_a_module() -> None:
    def script(svi):
        net, svi = pair(svi)
        for beta in (1.0, 1.0, 0.25, 0.25, 1.0):
            net.beta = beta
            yield svi.step(data())
        yield net.state_dict()

    assert built(both(script)) == [1]  # the first graph is taken up again


def test_a_tensor_of_a_module_is_a_schedule() -> None:
    def script(svi):
        net, svi = pair(svi)
        net.beta = torch.tensor(0.1, dtype=torch.float64)
        for beta in (0.1, 0.5, 1.0, 1.5):
            net.beta.fill_(beta)
            yield svi.step(data())
            yield svi.evaluate_loss(data())
        yield net.state_dict()

    assert built(both(script)) == [0]


def test_a_tensor_of_a_module_replaced() -> None:
    def script(svi):
        net, svi = pair(svi)
        for beta in (0.5, 1.0, 1.5):
            net.beta = torch.tensor(beta, dtype=torch.float64)
            yield svi.step(data())
        yield net.state_dict()

    both(script)


def test_globals() -> None:
    def script(svi):
        with globals_of(_with_globals, WIDTH=0.5, SHIFT=torch.zeros(6, dtype=torch.float64)) as place:
            svi = svi(_with_globals, infer, sgd(), Trace_ELBO())
            yield svi.step(data())
            place["WIDTH"] = 0.7
            yield svi.step(data())
            place["SHIFT"].fill_(1.0)
            yield svi.step(data())
            place["SHIFT"] = torch.full((6,), 2.0, dtype=torch.float64)
            yield svi.step(data())
            place["SHIFT"] = 3.0
            yield svi.step(data())
            yield svi.evaluate_loss(data())

    assert built(both(script)) == [3]


def test_settings_in_a_dictionary() -> None:
    def script(svi):
        with globals_of(_with_settings, SETTINGS={"width": 0.5}) as place:
            svi = svi(_with_settings, infer, sgd(), Trace_ELBO())
            for width in (0.5, 0.9):
                place["SETTINGS"]["width"] = width
                yield svi.step(data())

    both(script)


def test_closures() -> None:
    def script(svi):
        width, shift, net = 0.5, torch.zeros(6, dtype=torch.float64), Pair().double()

        def model(x):
            generate(x, width, shift)

        def guide(x):
            net.guide(x)

        svi = svi(model, guide, sgd(), Trace_ELBO())
        yield svi.step(data())
        width = 0.7
        yield svi.step(data())
        shift = shift + 1.0
        yield svi.step(data())
        shift.add_(1.0)
        yield svi.step(data())
        pyro.clear_param_store()
        net = Pair().double()
        yield svi.step(data())
        yield svi.step(data())
        yield net.state_dict()

    both(script)


def test_a_handlers_number() -> None:
    def script(svi):
        scaled = poutine.scale(_with_globals, scale=0.5)
        svi = svi(scaled, infer, sgd(), Trace_ELBO())
        yield svi.step(data())
        scaled.args[0].scale = 2.0 if hasattr(scaled, "args") else None
        yield svi.step(data())

    both(script)


def test_switches_of_the_process() -> None:
    """Validation makes no difference to numbers; enumeration in a plate of another size does."""

    def model(x):
        weights = pyro.param("weights", torch.ones(3, dtype=torch.float64) / 3, dist.constraints.simplex)
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(weights), infer={"enumerate": "parallel"})
            pyro.sample("x", dist.Normal(k.unsqueeze(-1) + x.new_zeros(6), 1.0).to_event(1), obs=x)

    def script(svi):
        svi = svi(model, lambda x: None, sgd(), TraceEnum_ELBO(max_plate_nesting=1))
        for valid in (True, False, True):
            with pyro.validation_enabled(valid):
                yield svi.step(data())
                yield svi.evaluate_loss(data())

    assert built(both(script)) == [0]


class _Counting(Pair):
    count = 0

    def model(self, x):
        self.count += 1
        with poutine.scale(scale=1.0 / self.count):
            super().model(x)


def _counting_in_a_dictionary():
    seen = {"calls": 0}

    def model(x):
        seen["calls"] += 1
        generate(x, 0.5 + 0.1 * seen["calls"])

    return model, infer


@pytest.mark.parametrize("where", ["attribute", "dictionary"])
def test_a_counter_that_changes_every_call(where: str, caplog: pytest.LogCaptureFixture) -> None:
    def programs():
        pyro.clear_param_store()
        if where == "dictionary":
            return _counting_in_a_dictionary()
        net = _Counting().double()
        return net.model, net.guide

    svi = SVI(*programs(), sgd(), Trace_ELBO(), compile="capture")
    with pytest.raises(Refusal, match=r"count|depends on something that the graph can't see"):
        [svi.step(data()) for _ in range(20)]
    with caplog.at_level(logging.INFO, "pyrovae.engine"):
        svi = SVI(*programs(), sgd(), Trace_ELBO(), compile="auto", steps=200)
        losses = [svi.step(data()) for _ in range(20)]
    told = [r for r in caplog.records if r.name == "pyrovae.engine" and r.levelno == logging.INFO]
    assert len(told) == 1
    assert "eager from here on" in told[0].getMessage()
    assert len(set(losses)) == len(losses)


def test_a_counter_that_only_counts() -> None:
    """It has no part in the numbers, but nobody can know: eager's numbers, or a refusal by name."""

    class Counted(Pair):
        calls_of_model = 0

        def model(self, x):
            self.calls_of_model += 1
            super().model(x)

    def script(svi):
        net = Counted().double()
        svi = svi(net.model, net.guide, sgd(), Trace_ELBO())
        for _ in range(12):
            yield svi.step(data())
        yield net.state_dict()

    both(script, compile="auto", steps=200)
    with pytest.raises(Refusal, match="calls_of_model"):
        both(script)


@pytest.mark.parametrize("milestone", [10, 100])
def test_drift_that_cannot_be_seen(milestone: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody watches a context variable; a comparison finds the change, and the next graph has it."""
    hidden = ContextVar("width", default=0.5)

    def model(x):
        generate(x, hidden.get())

    svi = SVI(model, infer, sgd(), Trace_ELBO(), compile="capture")
    for _ in range(milestone - 1):
        svi.step(data())
    hidden.set(0.9)
    torch.manual_seed(1)
    expected = pyro.infer.SVI(model, infer, sgd(), Trace_ELBO()).evaluate_loss(data())
    torch.manual_seed(1)
    with caplog.at_level(logging.INFO, "pyrovae.engine"):
        assert svi.step(data()) == pytest.approx(expected, rel=1e-10)
    told = [r.getMessage() for r in caplog.records if r.name == "pyrovae.engine"]
    assert len(told) == 1
    assert "something that can't be watched has changed" in told[0]
    assert built(svi) == [1]


def test_a_selection_by_values() -> None:
    """How much is selected changes from batch to batch, while shapes stay."""

    def model(x):
        generate(x, 0.5)
        pyro.factor("more", x[x > 0.5].square().sum() * pyro.param("decoder").sum())

    def script(svi):
        svi = svi(model, infer, sgd(), Trace_ELBO())
        for shift in (0.0, 1.0, -9.0):
            yield svi.step(data() + shift)

    both(script)


def test_a_flag_of_a_network() -> None:
    class Wide(nn.Module):
        wide = True

        def forward(self, x):
            return x if self.wide else x.tanh()

    def script(svi):
        layer = Wide()

        def model(x):
            generate(x, 0.5, layer(x.mean()))

        svi = svi(model, infer, sgd(), Trace_ELBO())
        for wide in (True, False, True):
            layer.wide = wide
            yield svi.step(data())

    both(script)
