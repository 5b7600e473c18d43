"""Arguments, settings and values that change between calls: one graph for each kind, and eager's numbers."""

from __future__ import annotations

import logging
from contextlib import nullcontext

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import Pair, both, built, data, pair, sgd
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn

import pyrovae
from pyrovae.engine import SVI, Refusal


def test_one_graph_for_each_batch_size() -> None:
    def script(svi):
        net, svi = pair(svi, plain=False)
        for size in (7, 5, 7, 5, 7, 3):
            yield svi.step(data(size))
        yield net

    assert built(both(script)) == [0, 0, 0]


def test_one_graph_for_each_type() -> None:
    def script(svi):
        net = Pair()
        svi = svi(net.model, net.guide, sgd(), Trace_ELBO())
        x = data(dtype=torch.float32)
        net.encoder = nn.Sequential(_Float(), *net.encoder)
        for dtype in (torch.float32, torch.float64, torch.float32, torch.float64):
            yield svi.step(x.to(dtype))
        yield net.state_dict()

    assert built(both(script, rtol=1e-5)) == [0, 0]


class _Float(nn.Module):
    def forward(self, x):
        return x.float()


def test_batches_that_lie_otherwise_in_memory() -> None:
    def script(svi):
        net, svi = pair(svi)
        x = data(14)
        for batch in (x[:7], x[::2], x.t().contiguous().t()[:7], x[7:], x[:1].expand(7, 6)):
            yield svi.step(batch)
        yield net.state_dict()

    assert sum(built(both(script))) == 0


def test_an_argument_changed_by_the_program() -> None:
    """What eager Pyro does to the caller's tensor happens to it, once; or it is refused."""

    def script(svi):
        net = Pair().double()

        def guide(x):
            net.guide(x.mul_(0.5))

        svi = svi(net.model, guide, sgd(), Trace_ELBO())
        x = data()
        for _ in range(3):
            yield svi.step(x)
            yield x
        transposed = data(6).t()
        yield svi.step(transposed)
        yield transposed

    both(script, compile="auto", steps=200)


def test_the_argument_is_held_by_the_program_too() -> None:
    held = data()

    def script(svi):
        net = Pair().double()

        def guide(x):
            net.guide(x + held.mean(0))

        svi = svi(net.model, guide, sgd(), Trace_ELBO())
        for x in (held, held, data(8)[:7], held):
            yield svi.step(x)
        yield net.state_dict()

    both(script)


def test_one_tensor_as_two_arguments() -> None:
    def script(svi):
        net = Pair().double()

        def model(x, y):
            net.model(y)

        def guide(x, y):
            net.guide(x)

        svi = svi(model, guide, sgd(), Trace_ELBO())
        x, y = data(), 2.0 * data()
        for one, other in ((x, x), (x, y), (y, y), (y, x)):
            yield svi.step(one, other)
            yield svi.evaluate_loss(x=one, y=other)

    both(script)


@pytest.mark.parametrize("kind", ["bool", "str", "None", "int", "keyword", "list", "dict"])
def test_arguments_that_switch_branches(kind: str) -> None:
    values = {
        "bool": (True, False),
        "str": ("wide", "narrow"),
        "None": (None, 1),
        "int": (1, 2),
        "keyword": (True, False),
        "list": ([data(1)], [data(1), data(1)]),
        "dict": ({"a": data(1)}, {"b": data(1)}),
    }[kind]

    def script(svi):
        net = Pair().double()

        def model(x, how):
            first = len(how) == 1 if kind == "list" else "a" in how if kind == "dict" else how == values[0]
            with poutine.scale(scale=1.0 if first else 0.5):
                net.model(x)

        svi = svi(model, lambda x, how: net.guide(x), sgd(), Trace_ELBO())
        for which in (0, 1, 0, 1):
            arguments = {"how": values[which]} if kind == "keyword" else {}
            yield svi.step(data(), *([] if arguments else [values[which]]), **arguments)
        yield net.state_dict()

    assert built(both(script)) == [0, 0]


def test_numbers_as_arguments_have_a_graph_each() -> None:
    def script(svi):
        net = Pair().double()

        def model(x, beta):
            with poutine.scale(scale=beta):
                net.model(x)

        svi = svi(model, lambda x, beta: net.guide(x), sgd(), Trace_ELBO())
        for beta in (0.5, 1.0, 0.5):
            yield svi.step(data(), beta)
        yield svi.step(data(), torch.tensor(0.25, dtype=torch.float64))
        yield svi.step(data(), beta=torch.tensor(0.75, dtype=torch.float64))
        yield svi.step(data(), beta=torch.tensor(0.5, dtype=torch.float64))

    svi = both(script)
    # 0.5; 1.0; a tensor; a tensor by keyword: a schedule is better a tensor.
    assert built(svi) == [0, 0, 0, 0]


def test_objects_as_arguments_are_refused_by_name() -> None:
    class Batch:
        def __init__(self, x):
            self.x = x

    net = Pair().double()
    svi = SVI(lambda b: net.model(b.x), lambda b: net.guide(b.x), sgd(), Trace_ELBO(), compile="capture")
    with pytest.raises(Refusal, match=r"an argument is a Batch.*Pass tensors"):
        svi.step(Batch(data()))


@pytest.mark.parametrize("inside", [False, True])
def test_autocast(inside: bool) -> None:
    def script(svi):
        net = Pair()
        guide = net.guide
        if inside:

            def guide(x):
                pyro.module("encoder", net.encoder)
                with torch.autocast("cpu", torch.bfloat16):
                    loc = net.encoder(x)[:, :2]
                with pyro.plate("data", len(x)):
                    pyro.sample("z", dist.Normal(loc.float(), 0.5).to_event(1))

        svi = svi(net.model, guide, sgd(), Trace_ELBO())
        for on in (False, True, False, True):
            outer = torch.autocast("cpu", torch.bfloat16) if on and not inside else nullcontext()
            with outer:
                yield svi.step(data(dtype=torch.float32))
        yield net.state_dict()

    both(script, rtol=1e-5)


def test_default_type() -> None:
    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(6), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, torch.tensor(0.5)).to_event(1), obs=x)

    def guide(x):
        loc = pyro.param("loc", lambda: torch.full((6,), 0.1, dtype=torch.float64))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(loc.to(torch.get_default_dtype()), 1.0).to_event(1))

    def script(svi):
        svi = svi(model, guide, sgd(), Trace_ELBO())
        for dtype in (torch.float32, torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            try:
                yield svi.step(data())
            finally:
                torch.set_default_dtype(torch.float32)

    assert built(both(script, rtol=1e-5)) == [0, 0]


@pytest.mark.parametrize("compile", ["capture", "auto", False])
def test_no_step_without_gradients(compile: str | bool) -> None:
    net, svi = pair(lambda *args: SVI(*args, compile=compile))
    svi.step(data())
    before = [p.clone() for p in net.parameters()]
    with torch.no_grad(), pytest.raises(RuntimeError, match="evaluate_loss"):
        svi.step(data())
    assert all(map(torch.equal, before, net.parameters()))


def test_handlers_around_a_step() -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        with poutine.scale(scale=0.1):
            yield svi.step(data())
            yield svi.evaluate_loss(data())
        with poutine.mask(mask=torch.arange(7) < 3):
            yield svi.step(data())
        yield net.state_dict()

    both(script, compile="auto", steps=200)
    _, svi = pair(lambda *args: SVI(*args, compile="capture"))
    with poutine.scale(scale=0.1), pytest.raises(Refusal, match="Wrap model and guide"):
        svi.step(data())


def test_handlers_around_the_programs() -> None:
    def script(svi):
        net = Pair().double()
        seen = poutine.condition(poutine.scale(net.model, scale=0.5), data={})
        svi = svi(seen, poutine.mask(poutine.scale(net.guide, scale=0.5), mask=True), sgd(), Trace_ELBO())
        for size in (7, 7, 5):
            yield svi.step(data(size))
        yield net.state_dict()

    both(script)


def test_evaluation() -> None:
    def script(svi):
        net, svi = pair(svi, plain=False)
        yield svi.evaluate_loss(data())
        yield net
        yield svi.step(data())
        net.eval()
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        for size in (7, 7, 5, 7):
            yield svi.evaluate_loss(data(size))
            yield net
        with torch.no_grad():
            yield svi.evaluate_loss(data())
        with torch.inference_mode():
            yield svi.evaluate_loss(data())
        net.zero_grad()
        net.train()
        yield svi.step(data())
        yield net

    svi = both(script)
    assert [entry.calls for entry in svi._losses.entries.values()] == [6, 1]


def test_evaluation_makes_parameters() -> None:
    def model(x):
        loc = pyro.param("loc", lambda: torch.randn(6, dtype=torch.float64))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x)

    def script(svi):
        svi = svi(model, lambda x: None, sgd(), Trace_ELBO())
        yield svi.evaluate_loss(data())
        yield svi.evaluate_loss(data())
        yield svi.step(data())

    both(script)


def test_auto_is_eager_until_it_pays(caplog: pytest.LogCaptureFixture) -> None:
    def script(svi):
        _, svi = pair(svi)
        for _ in range(5):
            yield svi.step(data())

    svi = both(script, compile="auto")
    assert [entry.kind for entry in svi._steps.entries.values()] == ["eager"]
    assert [e.kind for e in both(script, compile="auto", steps=200)._steps.entries.values()] == ["capture"]
    assert not [r for r in caplog.records if r.name == "pyrovae.engine" and r.levelno >= logging.INFO]


def test_the_same_class_twice() -> None:
    """Two pairs with equal names, one after the other, in one process."""

    def script(svi):
        for lr in (1e-3, 1e-2):
            pyro.clear_param_store()
            net, trained = pair(svi, optim=pyro.optim.Adam({"lr": lr}))
            for _ in range(3):
                yield trained.step(data())
            yield net.state_dict()

    both(script)
    assert pyrovae.SVI is SVI
