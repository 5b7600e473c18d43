"""Every family of programs under every objective: captured, a step is eager Pyro's, or it is refused.

The same ground as Pyro's own tests of gradients, of valid models and of its compiler, in our words: loss,
each gradient, each parameter, each buffer and the random stream, over four steps from one seed, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import engine_pairs_handlers
import engine_pairs_latents
import engine_pairs_modules
import engine_pairs_networks
import engine_pairs_plates
import engine_pairs_refused
import pyro
import pytest
import torch
from engine_pairs import OBJECTIVES, PIXELS, ROWS, Row
from pyro.optim import PyroOptim
from torch import Tensor, nn

from pyrovae.engine.policy import CAPTURE_AFTER
from pyrovae.engine.refusal import Refusal
from pyrovae.engine.svi import SVI

# Pyro's own remarks on programs that are as they are on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was not registered in the param store because requires_grad=False"),
    pytest.mark.filterwarnings("ignore:TraceEnum_ELBO found no sample sites configured for enumeration"),
]

TABLE = (
    engine_pairs_latents,
    engine_pairs_plates,
    engine_pairs_handlers,
    engine_pairs_modules,
    engine_pairs_networks,
    engine_pairs_refused,
)
"""Importing them fills in the rows."""

STEPS = 4
TOLERANCE = 1e-10


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def batches(digits: Tensor) -> Tensor:
    """Four batches of six digits, of which only the fourth row of pixels."""
    x = digits[: 6 * STEPS].double().unflatten(-1, (8, PIXELS))
    return x[:, 3].unflatten(0, (STEPS, 6)).contiguous()


def _adam() -> PyroOptim:
    # The eps keeps the rounding error of a gradient that is zero from becoming a step of its own.
    return pyro.optim.Adam({"lr": 1e-2, "eps": 1e-3})


class _Witness(PyroOptim):
    """Pyro's Adam, which takes down the gradients that it is given."""

    def __init__(self) -> None:
        adam = _adam()
        super().__init__(adam.pt_optim_constructor, adam.pt_optim_args)
        self.gradients: dict[str, Tensor] = {}

    def __call__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.gradients = _gradients()
        super().__call__(params, *args, **kwargs)


def _gradients() -> dict[str, Tensor]:
    """The gradient of each parameter in the store; zeros where there is none."""
    pairs = [(name, p.unconstrained()) for name, p in pyro.get_param_store().items()]
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in pairs}


def _record(row: Row, batches: Tensor, mode: str | None) -> Iterator[dict[str, Tensor]]:
    """What each step gives and leaves behind; the mode None is Pyro's own SVI."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    pair = row.make()
    objective = OBJECTIVES[row.objective](row.nesting)
    witness = _Witness()
    svi: Any = pyro.infer.SVI(pair.model, pair.guide, witness, objective)
    if mode is not None:
        # So many steps are worth a capture, and no compiler.
        svi = SVI(pair.model, pair.guide, _adam(), objective, compile=mode, steps=CAPTURE_AFTER)
    for i, x in enumerate(batches):
        args, kwargs = pair.call(x, i)
        if mode is None:
            loss = svi.step(*args, **kwargs)
            gradients = witness.gradients
        else:
            loss = svi.backward(*args, **kwargs)
            gradients = _gradients()
            svi.update()
        parts = loss if isinstance(loss, tuple) else (loss,)
        yield {
            "random stream": torch.get_rng_state(),
            **{f"loss {n}": torch.as_tensor(part) for n, part in enumerate(parts)},
            **{f"gradient of {name}": gradient for name, gradient in gradients.items()},
            **{name: p.detach().clone() for name, p in pyro.get_param_store().items()},
            **{f"watched {name}": x for n, thing in enumerate(pair.watched) for name, x in _state(thing, n)},
        }


def _state(thing: nn.Module | Tensor, n: int) -> list[tuple[str, Tensor]]:
    if isinstance(thing, nn.Module):
        return [(f"{n}.{name}", buffer.clone()) for name, buffer in thing.named_buffers()]
    gradient = torch.zeros_like(thing) if thing.grad is None else thing.grad.clone()
    return [(str(n), thing.detach().clone()), (f"gradient of {n}", gradient)]


def _is_close(ours: Tensor, theirs: Tensor, floor: float) -> bool:
    if not theirs.is_floating_point():
        return torch.equal(ours, theirs)
    scale = max(theirs[theirs.isfinite()].abs().max().item() if theirs.isfinite().any() else 0.0, floor)
    return torch.allclose(ours.double(), theirs.double(), rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)


def _differences(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> list[str]:
    """The names of what differs; a gradient that is nothing but rounding is measured by the largest one."""
    largest = max(
        (x.abs().max().item() for name, x in theirs.items() if name.startswith("gradient")), default=0
    )
    floors = {name: 1e-3 * largest if name.startswith("gradient") else 1e-3 for name in theirs}
    assert list(ours) == list(theirs)
    return [name for name, x in theirs.items() if not _is_close(ours[name], x, floors[name])]


def _assert_same(name: str, batches: Tensor, mode: str) -> None:
    theirs = list(_record(ROWS[name], batches, None))
    ours = list(_record(ROWS[name], batches, mode))
    assert len(theirs) == STEPS
    for step, pair in enumerate(zip(ours, theirs, strict=True)):
        assert not _differences(*pair), f"step {step} differs"
    assert any(x.any() for key, x in theirs[0].items() if key.startswith("gradient"))


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.refused is None])
def test_captured_is_eager(name: str, batches: Tensor) -> None:
    _assert_same(name, batches, "capture")


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.refused is not None])
def test_refused_with_a_reason(name: str, batches: Tensor) -> None:
    with pytest.raises(Refusal) as caught:
        list(_record(ROWS[name], batches, "capture"))
    assert caught.match(ROWS[name].refused or "")
    assert caught.value.remedy


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.refused is not None])
def test_what_is_refused_runs_eagerly_as_if_nothing_had_been_tried(name: str, batches: Tensor) -> None:
    _assert_same(name, batches, "auto")
