"""Random programs: captured, they train as ``pyro.infer.SVI`` trains them, to 1e-10 in float64."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from alongside import both
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from random_programs import CONTINUOUS, DISCRETE, SIZES, Program, interpreted, objective, programs

thorough = settings(
    deadline=None,
    database=None,
    max_examples=5,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Several starts of few examples each: later examples of one start are variations of its earlier ones.
starts = pytest.mark.parametrize("start", range(4))


def _data() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*SIZES.values(), dtype=torch.float64, generator=generator)


def _agree(program: Program) -> None:
    def script(svi: Any) -> Any:
        svi = svi(*interpreted(program), pyro.optim.SGD({"lr": 1e-3}), objective(program))
        for _ in range(3):
            yield svi.step(_data())

    svi = both(script)
    assert [entry.rebuilt for entry in svi._steps.entries.values()] == [[]]


@starts
def test_sampled(start: int) -> None:
    seed(start)(thorough(given(programs())(_agree)))()


@starts
def test_enumerated(start: int) -> None:
    seed(start)(thorough(given(programs(enumerated=True))(_agree)))()


def test_the_programs_are_of_all_kinds() -> None:
    """A generator of examples that had lost a kind would test less in silence."""
    seen: set[Any] = set()

    @seed(0)
    @settings(thorough, max_examples=300)
    @given(st.one_of(programs(), programs(enumerated=True)))
    def collect(program: Program) -> None:
        seen.update((name, getattr(site, name)) for site in program.sites for name in site._fields)
        seen.update((program.particles, program.subsample, program.observed))

    collect()
    assert {("kind", kind) for kind in CONTINUOUS + DISCRETE} <= seen
    assert {
        ("depth", 0),
        ("depth", 1),
        ("depth", 2),
        ("mask", "some"),
        ("scale", 0.5),
        ("shared", True),
    } <= seen
    assert {("enumerate", how) for how in ("parallel", "sequential", "model")} <= seen
    assert {("parents", (0, 1)), (2, True), (2, False), (1, False), (2, 2), (2, None), (None, 2)} <= seen
