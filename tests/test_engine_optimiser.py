"""The merged optimiser does what ``pyro.optim`` does, with one torch optimiser instead of many."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyro
import pyro.optim
import pytest
import torch
from optimisers import (
    MAKERS,
    SHAPES,
    assert_same,
    parameters_of,
    plain_run,
    run_of,
)
from pyro.optim import PyroOptim
from torch import Tensor

from pyrovae.engine.merged import Merged
from pyrovae.engine.optimiser import Optimiser


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    with pyro.get_param_store().scope():
        yield


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_twenty_steps_are_those_of_pyro(make: Callable[[], PyroOptim], dtype: torch.dtype) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    expected, state = plain_run(make, dtype)
    optim = make()
    merged = Merged(optim)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = run_of(merged, parameters_of(dtype), schedule=optim)
    assert_same(values, expected, tolerance)
    assert merged.last is not None
    assert merged.last.merged is not None
    ours = optim.get_state()
    assert ours.keys() == state.keys()
    for name in state:
        own, other = (s.get("optimizer", s) for s in (ours[name], state[name]))
        assert own["param_groups"] == other["param_groups"]
        for key, value in other["state"].get(0, {}).items():
            kept = own["state"][0][key]
            assert_same(torch.as_tensor(kept), torch.as_tensor(value), 10 * tolerance)
        assert own["state"].keys() == other["state"].keys()


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "SGD momentum", "Adagrad"])
def test_these_are_fused(kind: str) -> None:
    optim = MAKERS[kind]()
    merged = Merged(optim)
    run_of(merged, parameters_of(), range(1))
    assert merged.last is not None
    assert merged.last.merged is not None
    assert [group["fused"] for group in merged.last.merged.param_groups] == [True]
    assert [o.param_groups[0]["fused"] for o in optim.optim_objs.values()] == [None] * len(SHAPES)


@pytest.mark.parametrize("make", [MAKERS["Adam"], MAKERS["SGD momentum"], MAKERS["Adagrad"], MAKERS["norm"]])
def test_parameters_that_show_up_late_and_go_away(make: Callable[[], PyroOptim]) -> None:
    def run(optim: Any) -> list[Tensor]:
        parameters = parameters_of()
        run_of(optim, parameters[:2], range(3))
        run_of(optim, parameters, range(3, 6))
        parameters[0].grad = None
        for p in parameters[1:]:
            p.grad = torch.ones_like(p)
        optim(parameters)
        # The others keep their gradient, and must not be moved by it.
        return [*run_of(optim, parameters[:1], range(6, 9)), *run_of(optim, parameters, range(9, 12))]

    assert_same(run(Merged(make())), run(make()), 1e-12)


@pytest.mark.parametrize("kind", ["Adam", "SGD momentum", "Adagrad", "ClippedAdam", "one cycle", "RMSprop"])
@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_saved_and_loaded_half_way(kind: str, before: bool, after: bool, tmp_path: Path) -> None:
    make = MAKERS[kind]
    expected, _ = plain_run(make, torch.float64)
    first = make()
    parameters = parameters_of()
    run_of(Merged(first) if before else first, parameters, range(10), schedule=first)
    first.save(str(tmp_path / "optim.pt"))
    second = make()
    second.load(str(tmp_path / "optim.pt"))
    values = run_of(Merged(second) if after else second, parameters, range(10, 20), schedule=second)
    assert_same(values, expected, 1e-12)
    assert second._state_waiting_to_be_consumed == {}


def test_pyro_and_merged_steps_alternate() -> None:
    expected, _ = plain_run(MAKERS["Adam"], torch.float64)
    optim, parameters = MAKERS["Adam"](), parameters_of()
    merged = Merged(optim)
    for step in range(20):
        values = run_of(optim if step % 3 == 0 else merged, parameters, range(step, step + 1))
    assert_same(values, expected, 1e-12)


def test_a_state_made_under_another_default_dtype() -> None:
    expected, _ = plain_run(MAKERS["Adam"], torch.float64)
    optim, parameters = MAKERS["Adam"](), parameters_of()
    torch.set_default_dtype(torch.float64)
    try:
        run_of(optim, parameters, range(10))
    finally:
        torch.set_default_dtype(torch.float32)
    assert next(iter(optim.optim_objs.values())).state[parameters[0]]["step"].dtype == torch.float64
    assert_same(run_of(Merged(optim), parameters, range(10, 20)), expected, 1e-12)


def test_options_changed_and_states_dropped_by_hand() -> None:
    def run(optim: PyroOptim, step: Any) -> list[Tensor]:
        parameters = parameters_of()
        run_of(step, parameters, range(5))
        own = list(optim.optim_objs.values())
        own[0].param_groups[0]["lr"] = 0.3
        own[1].state.clear()
        run_of(step, parameters, range(5, 8))
        own[2].load_state_dict(own[2].state_dict())
        own[3].state[parameters[3]] = {}
        run_of(step, parameters, range(8, 10))
        optim.optim_objs.clear()
        return run_of(step, parameters, range(10, 12))

    plain, ours = MAKERS["Adam"](), MAKERS["Adam"]()
    # Which parameter comes first is up to the order of a set: give them in that of the names.
    expected = run(plain, lambda params: plain(sorted(params, key=_name)))
    merged = Merged(ours)
    assert_same(run(ours, lambda params: merged(sorted(params, key=_name))), expected, 1e-12)


def _name(parameter: Tensor) -> str:
    return str(pyro.get_param_store().param_name(parameter))


@pytest.mark.parametrize("optim", [MAKERS["Adam"], MAKERS["SGD momentum"], MAKERS["Adagrad"], None])
def test_memory_layouts_do_not_matter(optim: Callable[[], PyroOptim] | None) -> None:
    """torch's fused kernels on the CPU ignore strides; a compiled graph's gradients may have others."""

    def run(step: Any, *, strided: bool) -> Tensor:
        store = pyro.get_param_store()
        store.clear()
        store["net$$$w"] = torch.arange(12.0).reshape(4, 3)
        weight = store._params["net$$$w"]
        for n in range(3):
            gradient = torch.randn(3, 4, generator=torch.Generator().manual_seed(n)).t()
            weight.grad = gradient if strided else gradient.contiguous()
            if n == 2 and strided:
                weight.data = weight.data.t().contiguous().t()
            step([weight])
        return weight.detach().clone()

    plain = optim() if optim is not None else pyro.optim.Adam({"lr": 1e-3})
    given = optim() if optim is not None else None
    expected = run(plain, strided=False)
    assert_same(run(Optimiser(given, check_finite=False), strided=True), expected, 1e-6)


def test_schedules_still_warn_when_they_are_stepped_first() -> None:
    optim, parameters = MAKERS["exponential"](), parameters_of()
    merged = Merged(optim)
    for p in parameters:
        merged.meet(p)
    with pytest.warns(UserWarning, match=r"lr_scheduler\.step\(\)"):
        optim.step()  # type: ignore[attr-defined]
