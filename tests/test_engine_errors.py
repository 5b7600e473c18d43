"""What the engine says: the site or the line that stands in the way, why, and what to do about it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import Pair, both, data, generate, infer, sgd
from pyro.infer import Trace_ELBO, TraceGraph_ELBO
from torch import Tensor

from pyrovae.engine import SVI, Refusal


def _wide(width: Callable[[Tensor], Any]) -> Callable[[Tensor], None]:
    def model(x):
        generate(x, width(x))

    return model


def _a_branch(x: Tensor) -> float:
    return 0.5 if x.sum() > 0.0 else 0.7  # the line that is to be named


def _angle(x: Tensor) -> None:
    pyro.sample("angle", dist.VonMises(x.new_zeros(()), x.new_ones(())))


def _with_angle(program: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
    def with_angle(x):
        _angle(x)
        program(x)

    return with_angle


READ = "a tensor's value is read in Python"
TAKEN = r"a tensor's values are taken out of torch by"
MODELS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "if": (_a_branch, rf"{READ} \(line \d+ of test_engine_errors.py: return 0.5 if.*torch.where"),
    "float": (lambda x: float(x.std()), rf"{READ} \(line \d+ of test_engine_errors.py.*torch.where"),
    "int": (lambda x: 1 + int(x[0, 0].abs()), rf"{READ} \(line"),
    "numpy": (lambda x: float(x.numpy().std()), rf"{TAKEN} numpy\(\).*Compute with torch"),
    "asarray": (lambda x: float(np.asarray(x).std()), rf"{TAKEN} __array__\(\).*Compute with torch"),
    "from_numpy": (
        lambda x: torch.from_numpy(np.full(6, 0.5)),
        "array of NumPy.*outside.*burnt into the graph",
    ),
    "generator": (lambda x: 0.5 + np.random.rand(), "NumPy's generator.*Draw with torch"),  # noqa: NPY002
}


def _refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(Refusal) as caught:
        SVI(*args, **{"compile": "capture", **kwargs}).step(data())
    assert str(caught.value) == f"{caught.value.reason}. {caught.value.remedy}"
    return str(caught.value)


@pytest.mark.parametrize("case", MODELS)
def test_what_stands_in_the_way(case: str) -> None:
    width, text = MODELS[case]
    message = _refusal(_wide(width), infer, sgd(), Trace_ELBO())
    assert re.search(text, message), message


def test_the_site_is_named() -> None:
    message = _refusal(_with_angle(partial(generate, width=0.5)), _with_angle(infer), sgd(), Trace_ELBO())
    assert "at site 'angle' (VonMises)" in message
    assert 'pyro.sample("angle"' in message  # the line
    assert "without such a loop" in message


def test_a_baseline_with_a_memory() -> None:
    def model(x):
        with pyro.plate("data", len(x)):
            pyro.sample("k", dist.Bernoulli(x.new_tensor(0.3)))

    def guide(x):
        logit = pyro.param("logit", torch.tensor(0.1, dtype=torch.float64))
        with pyro.plate("data", len(x)):
            how = {"baseline": {"use_decaying_avg_baseline": True}}
            pyro.sample("k", dist.Bernoulli(logits=logit), infer=how)

    assert "nn_baseline" in _refusal(model, guide, sgd(), TraceGraph_ELBO())


def test_an_assignment_is_named() -> None:
    class Remembering(Pair):
        last = None

        def model(self, x):
            super().model(x)
            self.last = x.sum()

    net = Remembering().double()
    message = _refusal(net.model, net.guide, sgd(), Trace_ELBO())
    assert "assigns 'last' of Remembering" in message
    assert "buffer" in message


def test_an_argument_that_wants_a_gradient() -> None:
    svi = SVI(partial(generate, width=0.5), infer, sgd(), Trace_ELBO(), compile="capture")
    with pytest.raises(Refusal, match=r"wants a gradient.*detached"):
        svi.step(data().requires_grad_())


def test_numbers_asked_for_by_item_stay_tensors() -> None:
    """Pyro's objectives do it; a program that only computes with such a number is followed."""

    def script(svi):
        svi = svi(_wide(lambda x: 1.0 + x.square().mean().item()), infer, sgd(), Trace_ELBO())
        for factor in (1.0, 2.0, 3.0):
            yield svi.step(factor * data())

    both(script)


def test_lists_of_numbers_are_followed_or_refused() -> None:
    def script(svi):
        svi = svi(_wide(lambda x: 1.0 + sum(x.square().mean(0).tolist())), infer, sgd(), Trace_ELBO())
        for factor in (1.0, 2.0, 3.0):
            yield svi.step(factor * data())

    both(script, compile="auto", steps=200)


@pytest.mark.parametrize("mode", ["typo", None, "True", "compiled"])
def test_unknown_modes(mode: Any) -> None:
    with pytest.raises(ValueError, match=r'compile: expected "auto", True, False or "capture", got'):
        SVI(partial(generate, width=0.5), infer, sgd(), Trace_ELBO(), compile=mode)


@pytest.mark.parametrize("optim", ["adam", 3, {"lr": 1e-3}])
def test_what_is_no_optimiser(optim: Any) -> None:
    with pytest.raises(TypeError, match=r"optim: expected a pyro.optim or torch.optim optimiser"):
        SVI(partial(generate, width=0.5), infer, optim, Trace_ELBO())


def test_a_callable_that_makes_no_optimiser() -> None:
    svi = SVI(partial(generate, width=0.5), infer, list, Trace_ELBO(), compile=False)
    with pytest.raises(TypeError, match=r"returns a torch.optim.Optimizer, got list"):
        svi.step(data())


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor

    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError("no g++")

    monkeypatch.setattr(torch._inductor, "compile", fails)
    message = _refusal(partial(generate, width=0.5), infer, sgd(), Trace_ELBO(), compile=True)
    assert "OSError: no g++" in message
    assert 'compile="capture"' in message


def test_auto_says_it_once_and_explains_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pyrovae.engine"):
        svi = SVI(_wide(_a_branch), infer, sgd(), Trace_ELBO(), compile="auto", steps=200)
        for size in (7, 5, 7):
            svi.step(data(size))
    told = [r.getMessage() for r in caplog.records if r.name == "pyrovae.engine"]
    assert len(told) == 1
    assert told[0].startswith("eager from here on: a tensor's value is read in Python")
    assert "return 0.5 if" in told[0]
    assert "step is eager: a tensor's value is read in Python" in str(svi.explain())
