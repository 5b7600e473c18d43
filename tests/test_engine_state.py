"""The process is left as it was found: after a success, and after a capture that failed half-way."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import Pair, both, data, sgd
from process import generators, possessions, switches
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

import pyrovae.engine.capture
from pyrovae.engine import SVI, Refusal

Programs = tuple[list[nn.Module], Callable[..., Any], Callable[..., Any]]


class Broken(Exception):
    """What a program raises here."""


def _pair(change: Callable[[str, Tensor], Any] = lambda where, x: None) -> Programs:
    """A pair with batch norm and a free parameter, and something more that each of its programs does."""
    net = Pair(plain=False).double()

    def model(x):
        pyro.param("free", torch.ones(2, dtype=torch.float64), constraint=dist.constraints.positive)
        change("model", x)
        net.model(x)

    def guide(x):
        net.guide(x)
        change("guide", x)

    return [net], model, guide


def _branches(place: str) -> Callable[[], Programs]:
    return lambda: _pair(lambda where, x: where == place and bool(x.sum() > 0.0))


def _changes(place: str, how: Callable[[Tensor], Any]) -> Callable[[], Programs]:
    return lambda: _pair(lambda where, x: how(x) if where == place else None)


def _von_mises() -> Programs:
    modules, inner, outer = _pair()

    def model(x):
        pyro.sample("angle", dist.VonMises(x.new_zeros(()), x.new_ones(())))
        inner(x)

    def guide(x):
        concentration = pyro.param("concentration", torch.tensor(2.0, dtype=torch.float64))
        outer(x)
        pyro.sample("angle", dist.VonMises(x.new_zeros(()), concentration))

    return modules, model, guide


def _writes_the_store(x: Tensor) -> None:
    pyro.get_param_store()["free"] = 2.0 * x.detach().mean().abs()


REFUSED: dict[str, Callable[[], Programs]] = {
    "if in model": _branches("model"),
    "if in guide": _branches("guide"),
    "VonMises": _von_mises,
    "numpy() in model": _changes("model", lambda x: x.numpy()),
    "NumPy's generator": _changes("guide", lambda x: np.random.rand()),  # noqa: NPY002
    "Python's generator": _changes("model", lambda x: random.random()),
    "a loop over values": _changes("guide", lambda x: [None for _ in range(int(x[0, 0].abs()))]),
}
WRITES = {"writes the store": _changes("model", _writes_the_store)}


def _tried(programs: Programs, error: type[BaseException], mode: str | bool = "capture") -> None:
    """A step that ends in an error, and all that must be as it was before it."""
    modules, model, guide = programs
    # What eager Pyro leaves: parameters in the store, gradients, and moved statistics.
    pyro.infer.SVI(*_pair()[1:], sgd(), Trace_ELBO()).step(data())
    pyro.clear_param_store()
    pyro.param("free", torch.ones(2, dtype=torch.float64), constraint=dist.constraints.positive)
    for module in modules:
        pyro.module("encoder", module.encoder)
        pyro.module("decoder", module.decoder)
        for p in module.parameters():
            p.grad = torch.full_like(p, 0.1)
    pyro.param("concentration", torch.tensor(2.0, dtype=torch.float64))
    before = switches(), generators(), possessions(modules)
    svi = SVI(model, guide, sgd(), Trace_ELBO(), compile=mode)
    with pytest.raises(error):
        svi.step(data())
    for now, then in zip((switches(), generators(), possessions(modules)), before, strict=True):
        for key, value in then.items():
            assert now[key] == value, key


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_program_leaves_no_trace(why: str) -> None:
    _tried(REFUSED[why](), Refusal)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt])
def test_a_program_that_raises_leaves_no_trace(number: int, error: type[BaseException]) -> None:
    """In the run that the graph is compared with, and in the trace."""
    runs = []

    def change(where, x):
        runs.append(where)
        if runs.count("model") == number:
            raise error

    _tried(_pair(change), (error, Refusal))
    assert runs.count("model") == number


def test_a_program_that_raises_at_once_is_eager() -> None:
    def script(svi):
        runs = []

        def change(where, x):
            runs.append(where)
            if runs == ["guide", "model"]:
                raise Broken

        modules, model, guide = _pair(change)
        svi = svi(model, guide, sgd(), Trace_ELBO())
        with pytest.raises(Broken):
            svi.step(data())
        yield modules
        for _ in range(3):
            yield svi.step(data())
            yield modules

    both(script)


_make_fx = pyrovae.engine.capture.make_fx


def _half_way(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    made = _make_fx(function, *args, **kwargs)

    def run(*inputs):
        made(*inputs)
        raise Broken

    return run


@pytest.mark.parametrize("stub", ["at once", "after the trace"])
def test_a_tracer_that_fails(stub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(*args, **kwargs):
        raise Broken

    monkeypatch.setattr(pyrovae.engine.capture, "make_fx", at_once if stub == "at once" else _half_way)
    _tried(_pair(), Refusal)


def test_an_inductor_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor

    def fails(*args, **kwargs):
        warnings.simplefilter("ignore")
        torch.rand(3)
        raise Broken

    monkeypatch.setattr(torch._inductor, "compile", fails)
    _tried(_pair(), Refusal, mode=True)


@pytest.mark.parametrize("why", REFUSED | WRITES)
def test_auto_then_is_eager_from_the_first_number_on(why: str) -> None:
    """Initial values are drawn once, statistics move once, the stream is eager's."""

    def script(svi):
        modules, model, guide = (REFUSED | WRITES)[why]()

        def drawn(x):
            pyro.param("drawn", lambda: torch.randn(3))
            model(x)

        svi = svi(drawn, guide, sgd(), Trace_ELBO())
        for _ in range(3):
            yield svi.step(data())
            yield [*modules]
        yield np.random.rand(), random.random()  # noqa: NPY002

    svi = both(script, compile="auto", steps=200)
    assert isinstance(svi._steps.refusal, Refusal)


@pytest.mark.filterwarnings("ignore:TraceEnum_ELBO found no sample sites")
@pytest.mark.parametrize(
    "elbo",
    [
        Trace_ELBO(),
        TraceMeanField_ELBO(),
        TraceGraph_ELBO(),
        TraceEnum_ELBO(max_plate_nesting=1),
        Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1),
    ],
    ids=lambda elbo: type(elbo).__name__,
)
def test_a_success_changes_parameters_only(elbo: Any) -> None:
    net = Pair().double()
    before = switches()
    svi = SVI(net.model, net.guide, sgd(), elbo, compile="capture")
    for size in (7, 5, 7):
        svi.step(data(size))
        svi.evaluate_loss(data(size))
    now = switches()
    for key, value in before.items():
        assert now[key] == value, key
    possessions([net])  # no tensor without values among them
    names = dict(net.named_parameters())
    for name, p in pyro.get_param_store()._params.items():
        assert p is names[name.replace("$$$", ".")]


def test_flows_keep_no_tensors_of_the_trace() -> None:
    """Their layers remember what they have computed last."""
    flow = dist.transforms.affine_autoregressive(2, hidden_dims=[5]).double()
    cached = dist.transforms.TanhTransform(cache_size=1)
    net = Pair().double()

    def guide(x):
        pyro.module("flow", flow)
        with pyro.plate("data", len(x)):
            base = dist.Normal(x.new_zeros(2), 1.0).expand([len(x), 2]).to_event(1)
            pyro.sample("z", dist.TransformedDistribution(base, [flow, cached]))

    svi = SVI(net.model, guide, sgd(), Trace_ELBO(), compile="capture")
    for _ in range(2):
        svi.step(data())
        for layer in (net, flow):
            possessions([layer])
        for value in cached._cached_x_y:
            assert type(value) in (Tensor, type(None))
    with torch.no_grad():
        flow(torch.zeros(3, 2, dtype=torch.float64))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_keeps_the_callers_mode(mode: Any) -> None:
    net = Pair().double()
    svi = SVI(net.model, net.guide, sgd(), Trace_ELBO(), compile="capture")
    with mode():
        before = switches()
        svi.evaluate_loss(data())
        assert switches() == before


def test_poutine_is_left_as_found_by_refusals_too() -> None:
    _, model, guide = _pair()
    svi = SVI(model, guide, sgd(), Trace_ELBO(), compile="capture")
    with poutine.scale(scale=0.5):
        before = switches()
        with pytest.raises(Refusal):
            svi.step(data())
        assert switches() == before
    svi.step(data())  # a refusal of one call isn't one for ever
