"""What the merged optimiser leaves to Pyro, and the adapter over all kinds of optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyro
import pyro.optim
import pytest
import torch
from optimisers import (
    MAKERS,
    SHAPES,
    assert_same,
    gradients_of,
    parameters_of,
    plain_run,
    run_of,
    steps_alone,
)
from pyro.optim import PyroOptim
from torch import Tensor

from pyrovae.engine.merged import Merged
from pyrovae.engine.optimiser import NonFiniteGradient, Optimiser


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    with pyro.get_param_store().scope():
        yield


def _lbfgs() -> PyroOptim:
    return PyroOptim(torch.optim.LBFGS, {"lr": 0.1})


def test_lbfgs_goes_its_own_way() -> None:
    def run(step: Any) -> Tensor:
        (weight,) = parameters_of(count=1)

        def closure() -> Tensor:
            weight.grad = weight.detach() * 2
            return (weight.detach() ** 2).sum()

        for _ in range(3):
            closure()
            step([weight], closure)
        return weight.detach().clone()

    assert_same(run(Optimiser(_lbfgs(), check_finite=False)), run(_lbfgs()), 1e-12)
    with pytest.raises(TypeError, match="closure"):
        run_of(Merged(_lbfgs()), parameters_of(), range(1))


class _Twice(PyroOptim):
    def __call__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().__call__(params)
        super().__call__(params)


class _Mine(torch.optim.Adam):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: _Twice(torch.optim.Adam, {"lr": 0.05}),
        lambda: PyroOptim(_Mine, {"lr": 0.05}, {"clip_norm": 0.5}),
        lambda: pyro.optim.Adam({"lr": torch.tensor(0.05)}),
    ],
    ids=["a subclass", "a class of one's own", "a tensor option"],
)
def test_what_is_not_merged_is_left_to_pyro(make: Callable[[], PyroOptim]) -> None:
    expected, _ = plain_run(make, torch.float64)
    optim, parameters = make(), parameters_of()
    assert_same(run_of(Merged(optim), parameters), expected, 1e-12)
    calls = steps_alone(optim)
    run_of(Merged(optim), parameters, range(1))
    assert len(calls) >= len(SHAPES)


def test_step_hooks_are_called() -> None:
    expected, _ = plain_run(MAKERS["norm"], torch.float64)
    optim, parameters = MAKERS["norm"](), parameters_of()
    merged = Merged(optim)
    run_of(merged, parameters, range(10))
    calls = steps_alone(optim)
    assert_same(run_of(merged, parameters, range(10, 20)), expected, 1e-12)
    assert len(calls) == 10 * len(SHAPES)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kind", ["SGD", "Adagrad"])
def test_sparse_gradients(kind: str) -> None:
    def run(step: Any) -> Tensor:
        (weight,) = parameters_of(torch.float32, count=1)
        for n in range(3):
            dense = torch.zeros(4, 3)
            dense[n] = n + 1.0
            weight.grad = dense.to_sparse(1)
            step([weight])
        return weight.detach().clone()

    make = {"SGD": MAKERS["SGD"], "Adagrad": lambda: pyro.optim.Adagrad({"lr": 0.1})}[kind]
    assert_same(run(Merged(make())), run(make()), 1e-6)


def test_one_optimiser_for_two_callers() -> None:
    expected, _ = plain_run(MAKERS["ClippedAdam"], torch.float64)
    optim, parameters = MAKERS["ClippedAdam"](), parameters_of()
    both = [Merged(optim), Merged(optim)]
    for step in range(20):
        values = run_of(both[step % 2], parameters, range(step, step + 1))
    assert_same(values, expected, 1e-12)


@pytest.mark.parametrize("optim", [None, partial(torch.optim.Adagrad, lr=1e-3), MAKERS["Adam"]])
def test_an_adapter_that_was_never_started_meets_parameters(optim: Any) -> None:
    given = optim() if optim is MAKERS["Adam"] else optim
    plain = {
        None: pyro.optim.Adam({"lr": 1e-3}),
        MAKERS["Adam"]: MAKERS["Adam"](),
    }.get(optim, pyro.optim.Adagrad({"lr": 1e-3}))

    def run(step: Any) -> list[Tensor]:
        parameters = parameters_of()
        run_of(step, parameters[:2], range(3))
        return run_of(step, parameters, range(3, 8))

    assert_same(run(Optimiser(given, check_finite=False)), run(plain), 1e-12)


def test_a_late_parameter_follows_the_schedule_of_a_torch_optimiser() -> None:
    make = partial(torch.optim.SGD, lr=1.0)
    schedule = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    adapter, parameters = Optimiser(make, scheduler=schedule), parameters_of()
    run_of(adapter, parameters[:1], range(1))
    adapter.end_epoch(0.0)
    before = parameters[1].detach().clone()
    run_of(adapter, parameters[:2], range(1))
    adapter.end_epoch(0.0)
    assert adapter.learning_rate == 0.25
    assert_same(before - parameters[1].detach(), 0.5 * gradients_of(0, torch.float64, 2)[1], 1e-12)


def test_a_ready_made_torch_optimiser_must_hold_everything() -> None:
    parameters = parameters_of()
    adapter = Optimiser(torch.optim.SGD(parameters[:2], lr=0.1), check_finite=False)
    before = [p.detach().clone() for p in parameters]
    for _ in range(2):
        with pytest.raises(ValueError, match=r"an optimiser of all parameters.*p2"):
            run_of(adapter, parameters, range(1))
    assert all(map(torch.equal, before, parameters))
    run_of(adapter, parameters[:2], range(1))
    with pytest.raises(ValueError, match="an optimiser of all parameters"):
        run_of(adapter, parameters, range(1))


def test_errors() -> None:
    with pytest.raises(TypeError, match="got int"):
        Optimiser(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="none beside a Pyro optimiser"):
        Optimiser(MAKERS["Adam"](), scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1))
    with pytest.raises(TypeError, match=r"returns a torch\.optim\.Optimizer"):
        Optimiser(lambda _: None)(parameters_of())  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="clip_nrom"):
        run_of(Merged(pyro.optim.Adam({"lr": 1.0}, {"clip_nrom": 1.0})), parameters_of(), range(1))


@pytest.mark.parametrize("check", [True, False])
def test_gradients_that_are_not_finite(check: bool) -> None:
    parameters = parameters_of()
    adapter = Optimiser(pyro.optim.SGD({"lr": 1.0}), check_finite=check)
    for p in parameters:
        p.grad = torch.full_like(p, torch.nan)
    if check:
        with pytest.raises(NonFiniteGradient):
            adapter(parameters)
    else:
        adapter(parameters)
    assert all(p.isfinite().all() == check for p in parameters)


def test_learning_rate_and_description() -> None:
    adapter = Optimiser(MAKERS["AdagradRMSProp"]())
    assert adapter.learning_rate != adapter.learning_rate
    assert "AdagradRMSProp" in adapter.describe()
    run_of(adapter, parameters_of(), range(1))
    assert adapter.learning_rate == 0.5
    adapter = Optimiser(MAKERS["ClippedAdam"]())
    run_of(adapter, parameters_of(), range(2))
    assert adapter.learning_rate == pytest.approx(0.05 * 0.81)
