"""The merged optimiser does what ``pyro.optim`` does, with one torch optimiser instead of many."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pyro.optim
import pytest
import torch
from pyro.optim import PyroOptim
from torch import Tensor

from pyrovae.engine.merged import Merged
from pyrovae.engine.optimiser import NonFiniteGradient, Optimiser

SHAPES = [(4, 3), (3,), (), (2, 3, 2)]
SCHEDULED = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}}


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    with pyro.get_param_store().scope():
        yield


def _own(name: str) -> dict[str, Any]:
    return {"lr": 0.1 if name.endswith("1") else 0.01, "betas": (0.8, 0.99)}


def _own_by_module(module: str, name: str) -> dict[str, Any]:
    return {"lr": 0.1 if (module, name) == ("net", "p1") else 0.02}


def _limits(module: str, name: str) -> dict[str, float]:
    return {} if name == "p0" else {"clip_norm": 0.7} if name == "p1" else {"clip_value": 0.3}


MAKERS: dict[str, Callable[[], PyroOptim]] = {
    "Adam": lambda: pyro.optim.Adam({"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    "AdamW": lambda: pyro.optim.AdamW({"lr": 0.05}),
    "ClippedAdam": lambda: pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.9, "clip_norm": 0.5}),
    "SGD": lambda: pyro.optim.SGD({"lr": 0.05}),
    "SGD momentum": lambda: pyro.optim.SGD({"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "SGD dampening": lambda: pyro.optim.SGD({"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    "Adagrad": lambda: pyro.optim.Adagrad({"lr": 0.05, "lr_decay": 0.1}),
    "RMSprop": lambda: pyro.optim.RMSprop({"lr": 0.05, "momentum": 0.5}),
    "AdagradRMSProp": lambda: pyro.optim.AdagradRMSProp({"eta": 0.5}),
    "DCTAdam": lambda: pyro.optim.DCTAdam({"lr": 0.05, "lrd": 0.95}),
    "foreach": lambda: pyro.optim.Adam({"lr": 0.05, "foreach": True}),
    "fused": lambda: pyro.optim.Adam({"lr": 0.05, "fused": True}),
    "by name": lambda: pyro.optim.Adam(_own),
    "by module": lambda: pyro.optim.Adam(_own_by_module),
    "norm": lambda: pyro.optim.Adam({"lr": 0.05}, {"clip_norm": 0.7}),
    "value": lambda: pyro.optim.SGD({"lr": 0.05}, {"clip_value": 0.3}),
    "norm and value": lambda: pyro.optim.SGD({"lr": 0.05}, {"clip_norm": 0.9, "clip_value": 0.3}),
    "limits by name": lambda: pyro.optim.SGD({"lr": 0.05}, _limits),
    "exponential": lambda: pyro.optim.ExponentialLR({**SCHEDULED, "gamma": 0.8}),
    "step": lambda: pyro.optim.StepLR({**SCHEDULED, "step_size": 3, "gamma": 0.5}),
    "one cycle": lambda: pyro.optim.OneCycleLR({**SCHEDULED, "max_lr": 0.1, "total_steps": 30}),
    "plateau": lambda: pyro.optim.ReduceLROnPlateau({**SCHEDULED, "patience": 1, "factor": 0.5}),
}


def _gradients(step: int, dtype: torch.dtype, count: int) -> list[Tensor]:
    noise = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=noise, dtype=dtype) for shape in SHAPES[:count]]


def _parameters(dtype: torch.dtype = torch.float64, count: int = len(SHAPES)) -> list[Tensor]:
    """New parameters, the same each time, in the store under names of a module."""
    store = pyro.get_param_store()
    store.clear()
    for n, value in enumerate(_gradients(99, dtype, count)):
        store[f"net$$$p{n}"] = value
    return [store._params[f"net$$$p{n}"] for n in range(count)]


def _run(
    optim: Any, parameters: list[Tensor], steps: range = range(20), schedule: PyroOptim | None = None
) -> list[Tensor]:
    for step in steps:
        for p, gradient in zip(
            parameters, _gradients(step, parameters[0].dtype, len(parameters)), strict=True
        ):
            p.grad = gradient
        optim(set(parameters))
        if isinstance(schedule, pyro.optim.PyroLRScheduler):
            plateau = schedule.pt_scheduler_constructor is torch.optim.lr_scheduler.ReduceLROnPlateau
            schedule.step(*((1.0,) if plateau else ()))
    return [p.detach().clone() for p in parameters]


def _plain(make: Callable[[], PyroOptim], dtype: torch.dtype) -> tuple[list[Tensor], dict[str, Any]]:
    optim = make()
    values = _run(optim, _parameters(dtype), schedule=optim)
    return values, copy.deepcopy(optim.get_state())


def _steps_alone(optim: PyroOptim) -> list[Any]:
    """The calls that the parameters' own optimisers get from now on."""
    calls: list[Any] = []
    for own in optim.optim_objs.values():
        own = getattr(own, "optimizer", own)
        own.register_step_pre_hook(lambda *_: calls.append(1))
    return calls


def _assert_same(ours: Any, theirs: Any, tolerance: float) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, check_dtype=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_twenty_steps_are_those_of_pyro(make: Callable[[], PyroOptim], dtype: torch.dtype) -> None:
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    expected, state = _plain(make, dtype)
    optim = make()
    merged = Merged(optim)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = _run(merged, _parameters(dtype), schedule=optim)
    _assert_same(values, expected, tolerance)
    assert merged.last is not None
    assert merged.last.merged is not None
    ours = optim.get_state()
    assert ours.keys() == state.keys()
    for name in state:
        own, other = (s.get("optimizer", s) for s in (ours[name], state[name]))
        assert own["param_groups"] == other["param_groups"]
        for key, value in other["state"].get(0, {}).items():
            kept = own["state"][0][key]
            _assert_same(torch.as_tensor(kept), torch.as_tensor(value), 10 * tolerance)
        assert own["state"].keys() == other["state"].keys()


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "SGD momentum", "Adagrad"])
def test_these_are_fused(kind: str) -> None:
    optim = MAKERS[kind]()
    merged = Merged(optim)
    _run(merged, _parameters(), range(1))
    assert merged.last is not None
    assert merged.last.merged is not None
    assert [group["fused"] for group in merged.last.merged.param_groups] == [True]
    assert [o.param_groups[0]["fused"] for o in optim.optim_objs.values()] == [None] * len(SHAPES)


@pytest.mark.parametrize("make", [MAKERS["Adam"], MAKERS["SGD momentum"], MAKERS["Adagrad"], MAKERS["norm"]])
def test_parameters_that_show_up_late_and_go_away(make: Callable[[], PyroOptim]) -> None:
    def run(optim: Any) -> list[Tensor]:
        parameters = _parameters()
        _run(optim, parameters[:2], range(3))
        _run(optim, parameters, range(3, 6))
        parameters[0].grad = None
        for p in parameters[1:]:
            p.grad = torch.ones_like(p)
        optim(parameters)
        # The others keep their gradient, and must not be moved by it.
        return [*_run(optim, parameters[:1], range(6, 9)), *_run(optim, parameters, range(9, 12))]

    _assert_same(run(Merged(make())), run(make()), 1e-12)


@pytest.mark.parametrize("kind", ["Adam", "SGD momentum", "Adagrad", "ClippedAdam", "one cycle", "RMSprop"])
@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_saved_and_loaded_half_way(kind: str, before: bool, after: bool, tmp_path: Path) -> None:
    make = MAKERS[kind]
    expected, _ = _plain(make, torch.float64)
    first = make()
    parameters = _parameters()
    _run(Merged(first) if before else first, parameters, range(10), schedule=first)
    first.save(str(tmp_path / "optim.pt"))
    second = make()
    second.load(str(tmp_path / "optim.pt"))
    values = _run(Merged(second) if after else second, parameters, range(10, 20), schedule=second)
    _assert_same(values, expected, 1e-12)
    assert second._state_waiting_to_be_consumed == {}


def test_pyro_and_merged_steps_alternate() -> None:
    expected, _ = _plain(MAKERS["Adam"], torch.float64)
    optim, parameters = MAKERS["Adam"](), _parameters()
    merged = Merged(optim)
    for step in range(20):
        values = _run(optim if step % 3 == 0 else merged, parameters, range(step, step + 1))
    _assert_same(values, expected, 1e-12)


def test_a_state_made_under_another_default_dtype() -> None:
    expected, _ = _plain(MAKERS["Adam"], torch.float64)
    optim, parameters = MAKERS["Adam"](), _parameters()
    torch.set_default_dtype(torch.float64)
    try:
        _run(optim, parameters, range(10))
    finally:
        torch.set_default_dtype(torch.float32)
    assert next(iter(optim.optim_objs.values())).state[parameters[0]]["step"].dtype == torch.float64
    _assert_same(_run(Merged(optim), parameters, range(10, 20)), expected, 1e-12)


def test_options_changed_and_states_dropped_by_hand() -> None:
    def run(optim: PyroOptim, step: Any) -> list[Tensor]:
        parameters = _parameters()
        _run(step, parameters, range(5))
        own = list(optim.optim_objs.values())
        own[0].param_groups[0]["lr"] = 0.3
        own[1].state.clear()
        _run(step, parameters, range(5, 8))
        own[2].load_state_dict(own[2].state_dict())
        own[3].state[parameters[3]] = {}
        _run(step, parameters, range(8, 10))
        optim.optim_objs.clear()
        return _run(step, parameters, range(10, 12))

    plain, ours = MAKERS["Adam"](), MAKERS["Adam"]()
    # Which parameter comes first is up to the order of a set: give them in that of the names.
    expected = run(plain, lambda params: plain(sorted(params, key=_name)))
    merged = Merged(ours)
    _assert_same(run(ours, lambda params: merged(sorted(params, key=_name))), expected, 1e-12)


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
    _assert_same(run(Optimiser(given, check_finite=False), strided=True), expected, 1e-6)


def test_schedules_still_warn_when_they_are_stepped_first() -> None:
    optim, parameters = MAKERS["exponential"](), _parameters()
    merged = Merged(optim)
    for p in parameters:
        merged.meet(p)
    with pytest.warns(UserWarning, match=r"lr_scheduler\.step\(\)"):
        optim.step()  # type: ignore[attr-defined]


def _lbfgs() -> PyroOptim:
    return PyroOptim(torch.optim.LBFGS, {"lr": 0.1})


def test_lbfgs_goes_its_own_way() -> None:
    def run(step: Any) -> Tensor:
        (weight,) = _parameters(count=1)

        def closure() -> Tensor:
            weight.grad = weight.detach() * 2
            return (weight.detach() ** 2).sum()

        for _ in range(3):
            closure()
            step([weight], closure)
        return weight.detach().clone()

    _assert_same(run(Optimiser(_lbfgs(), check_finite=False)), run(_lbfgs()), 1e-12)
    with pytest.raises(TypeError, match="closure"):
        _run(Merged(_lbfgs()), _parameters(), range(1))


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
    expected, _ = _plain(make, torch.float64)
    optim, parameters = make(), _parameters()
    _assert_same(_run(Merged(optim), parameters), expected, 1e-12)
    calls = _steps_alone(optim)
    _run(Merged(optim), parameters, range(1))
    assert len(calls) >= len(SHAPES)


def test_step_hooks_are_called() -> None:
    expected, _ = _plain(MAKERS["norm"], torch.float64)
    optim, parameters = MAKERS["norm"](), _parameters()
    merged = Merged(optim)
    _run(merged, parameters, range(10))
    calls = _steps_alone(optim)
    _assert_same(_run(merged, parameters, range(10, 20)), expected, 1e-12)
    assert len(calls) == 10 * len(SHAPES)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kind", ["SGD", "Adagrad"])
def test_sparse_gradients(kind: str) -> None:
    def run(step: Any) -> Tensor:
        (weight,) = _parameters(torch.float32, count=1)
        for n in range(3):
            dense = torch.zeros(4, 3)
            dense[n] = n + 1.0
            weight.grad = dense.to_sparse(1)
            step([weight])
        return weight.detach().clone()

    make = {"SGD": MAKERS["SGD"], "Adagrad": lambda: pyro.optim.Adagrad({"lr": 0.1})}[kind]
    _assert_same(run(Merged(make())), run(make()), 1e-6)


def test_one_optimiser_for_two_callers() -> None:
    expected, _ = _plain(MAKERS["ClippedAdam"], torch.float64)
    optim, parameters = MAKERS["ClippedAdam"](), _parameters()
    both = [Merged(optim), Merged(optim)]
    for step in range(20):
        values = _run(both[step % 2], parameters, range(step, step + 1))
    _assert_same(values, expected, 1e-12)


@pytest.mark.parametrize("optim", [None, partial(torch.optim.Adagrad, lr=1e-3), MAKERS["Adam"]])
def test_an_adapter_that_was_never_started_meets_parameters(optim: Any) -> None:
    given = optim() if optim is MAKERS["Adam"] else optim
    plain = {
        None: pyro.optim.Adam({"lr": 1e-3}),
        MAKERS["Adam"]: MAKERS["Adam"](),
    }.get(optim, pyro.optim.Adagrad({"lr": 1e-3}))

    def run(step: Any) -> list[Tensor]:
        parameters = _parameters()
        _run(step, parameters[:2], range(3))
        return _run(step, parameters, range(3, 8))

    _assert_same(run(Optimiser(given, check_finite=False)), run(plain), 1e-12)


def test_a_late_parameter_follows_the_schedule_of_a_torch_optimiser() -> None:
    make = partial(torch.optim.SGD, lr=1.0)
    schedule = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    adapter, parameters = Optimiser(make, scheduler=schedule), _parameters()
    _run(adapter, parameters[:1], range(1))
    adapter.end_epoch(0.0)
    before = parameters[1].detach().clone()
    _run(adapter, parameters[:2], range(1))
    adapter.end_epoch(0.0)
    assert adapter.learning_rate == 0.25
    _assert_same(before - parameters[1].detach(), 0.5 * _gradients(0, torch.float64, 2)[1], 1e-12)


def test_a_ready_made_torch_optimiser_must_hold_everything() -> None:
    parameters = _parameters()
    adapter = Optimiser(torch.optim.SGD(parameters[:2], lr=0.1), check_finite=False)
    before = [p.detach().clone() for p in parameters]
    for _ in range(2):
        with pytest.raises(ValueError, match=r"an optimiser of all parameters.*p2"):
            _run(adapter, parameters, range(1))
    assert all(map(torch.equal, before, parameters))
    _run(adapter, parameters[:2], range(1))
    with pytest.raises(ValueError, match="an optimiser of all parameters"):
        _run(adapter, parameters, range(1))


def test_errors() -> None:
    with pytest.raises(TypeError, match="got int"):
        Optimiser(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="none beside a Pyro optimiser"):
        Optimiser(MAKERS["Adam"](), scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1))
    with pytest.raises(TypeError, match=r"returns a torch\.optim\.Optimizer"):
        Optimiser(lambda _: None)(_parameters())  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="clip_nrom"):
        _run(Merged(pyro.optim.Adam({"lr": 1.0}, {"clip_nrom": 1.0})), _parameters(), range(1))


@pytest.mark.parametrize("check", [True, False])
def test_gradients_that_are_not_finite(check: bool) -> None:
    parameters = _parameters()
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
    _run(adapter, _parameters(), range(1))
    assert adapter.learning_rate == 0.5
    adapter = Optimiser(MAKERS["ClippedAdam"]())
    _run(adapter, _parameters(), range(2))
    assert adapter.learning_rate == pytest.approx(0.05 * 0.81)
