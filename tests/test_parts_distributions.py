"""The contract of heads and priors: whatever makes a distribution makes a right one.

Every part that exists is found by itself; one without a row fails. What a row says: ``part_checks.py``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from alongside import both
from part_checks import LEVEL, Line, Row, rows
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.spec import build, describe

HEADS, PRIORS = rows("HEADS"), rows("PRIORS")
DRAWS = 4000


def _public_classes(home: Any) -> set[str]:
    return {name for name in home.__all__ if isinstance(getattr(home, name), type)}


@pytest.mark.parametrize(("home", "table"), [(pv.heads, HEADS), (pv.priors, PRIORS)])
def test_every_part_has_a_row_and_every_density_a_space(home: Any, table: dict[str, list[Row]]) -> None:
    assert set(table) == _public_classes(home)
    for name, cases in table.items():
        assert any(row.space is not None or row.own_only for row in cases), f"{name}: no row has a space"
        assert all(row.captured or row.why for row in cases), f"{name}: not captured, without a reason"


def _cases(*tables: dict[str, list[Row]], where: Callable[[Row], Any] = lambda row: True) -> list[Any]:
    return [
        pytest.param(row, id=f"{name}-{i}")
        for table in tables
        for name, cases in table.items()
        for i, row in enumerate(cases)
        if where(row)
    ]


every = partial(pytest.mark.parametrize, "row")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    pyro.set_rng_seed(0)


@pytest.fixture
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(row: Row, *leading: int, dtype: torch.dtype = torch.float32) -> tuple[Any, Any, tuple[Tensor, ...]]:
    """The part in evaluation mode, the distribution that it makes, and of what."""
    part = row.make()
    if isinstance(part, nn.Module):
        part = part.to(dtype).eval()
    inputs = row.inputs(*leading, dtype=dtype)
    return part, part(*inputs), inputs


@every(_cases(HEADS, PRIORS))
def test_it_is_rebuilt_from_what_it_says_of_itself_and_scores_the_same(row: Row) -> None:
    part, d, inputs = made(row)
    description = json.loads(json.dumps(describe(part)))
    again = build(description)
    assert type(again) is type(part)
    assert describe(again) == description
    assert type(part).__name__ in repr(part)
    if isinstance(part, nn.Module):
        again.load_state_dict(part.state_dict())
        again.eval()
    if not row.own_only:
        x = d.sample()
        assert torch.equal(again(*inputs).log_prob(x), d.log_prob(x))


@every(_cases(HEADS, PRIORS))
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_shapes_are_batch_and_event(row: Row, leading: tuple[int, ...]) -> None:
    if row.features is None and leading:
        _, d, _ = made(row)
        d = d.expand(leading)
    else:
        _, d, _ = made(row, *leading)
    assert (tuple(d.batch_shape), tuple(d.event_shape)) == (leading, row.event)
    assert bool(d.has_rsample) == row.pathwise
    x = d.sample()
    assert x.shape == (*leading, *row.event)
    log_prob = d.log_prob(x)
    assert log_prob.shape == leading
    assert torch.isfinite(log_prob).all()
    assert d.support.check(x).all()
    many = d.sample((5,))
    assert many.shape == (5, *leading, *row.event)
    assert d.log_prob(many).shape == (5, *leading)


@every(_cases(HEADS, where=lambda row: row.features is not None))
def test_a_head_says_how_many_features_it_takes_and_refuses_others(row: Row) -> None:
    head = row.make()
    count = head.features(row.event[0] if row.size is None else row.size)
    assert isinstance(count, int)
    (t,) = row.inputs(4)
    along = next((i for i, n in enumerate(row.features or ()) if n == count), None)
    assert along is not None, f"features() says {count}, the row {row.features}"
    if count == 1 or type(head).__name__ == "Steps":
        return
    # One more along the same dimension fits no event of the head's; a head of one output an entry takes any.
    wrong = torch.cat([t, t.narrow(along + 1, 0, 1)], along + 1)
    if _takes(head, count + 1):
        assert head.features(head(wrong).event_shape[0]) == count + 1
        return
    with pytest.raises(ValueError, match=r"[Ee]xpected"):
        head(wrong)


def _takes(head: Any, count: int) -> bool:
    """Whether some event has so many features."""
    for size in range(1, count + 1):
        try:
            if head.features(size) == count:
                return True
        except ValueError:
            continue
    return False


@every(_cases(HEADS, PRIORS))
def test_gradients_reach_the_features_and_every_parameter(row: Row) -> None:
    part = row.make()
    inputs = tuple(t.requires_grad_() for t in row.inputs(6))
    d = part(*inputs) if inputs else part().expand((6,))
    with torch.no_grad():
        x = d.sample()
    total = d.log_prob(x).sum()
    leaves = [*inputs, *(part.parameters() if isinstance(part, nn.Module) else ())]
    if row.pathwise:
        draw = d.rsample()
        total = total + (d.log_prob(draw) + draw.flatten(len(d.batch_shape)).sin().sum(-1)).sum()
    if not leaves:
        return
    grads = torch.autograd.grad(total, leaves, allow_unused=True)
    for leaf, grad in zip(leaves, grads, strict=True):
        assert grad is not None, f"a leaf of shape {tuple(leaf.shape)} has no gradient"
        assert torch.isfinite(grad).all()
    assert any(grad.abs().sum() > 0 for grad in grads)


@every(_cases(HEADS, PRIORS, where=lambda row: row.space is not None))
def test_the_mass_is_one_and_draws_fall_where_the_density_is(row: Row) -> None:
    _, d, _ = made(row, dtype=torch.float64)
    with torch.no_grad():
        mass = row.space.mass(d)
        draws = d.sample((DRAWS,))
        assert torch.isfinite(mass).all()
        assert (mass >= 0).all()
        assert mass.sum().item() == pytest.approx(1.0, abs=2e-3 if isinstance(row.space, Line) else 5e-3)
        assert row.space.p_value(d, draws) > LEVEL


@every(_cases(HEADS, PRIORS))
def test_double_precision_stays_double(row: Row) -> None:
    _, d, _ = made(row, 3, dtype=torch.float64) if row.features else made(row, dtype=torch.float64)
    x = d.sample()
    assert d.log_prob(x).dtype == torch.float64
    assert x.dtype in (torch.float64, torch.int64)


@every(_cases(HEADS, PRIORS, where=lambda row: not row.own_only))
def test_particles_in_a_plate_are_particles_one_by_one(row: Row) -> None:
    """Drawn at (3, n) from features (n,), and scored by features of (3, n) or of (n,)."""
    part, d, inputs = made(row, 4, dtype=torch.float64) if row.features else made(row, dtype=torch.float64)
    wide = d.expand((3, 4))
    assert (tuple(wide.batch_shape), tuple(wide.event_shape)) == ((3, 4), row.event)
    x = wide.sample()
    assert x.shape == (3, 4, *row.event)
    one_by_one = torch.stack([d.expand((4,)).log_prob(particle) for particle in x])
    assert torch.allclose(wide.log_prob(x), one_by_one, rtol=1e-8, atol=1e-8)
    flat = x.reshape(3 * 4, -1)
    if x.is_floating_point() and row.pathwise:
        assert len(torch.unique(flat, dim=0)) == 12, "the particles differ"
    if inputs:
        (t,) = inputs
        again = part(t.expand(3, *t.shape)).log_prob(x)
        assert torch.allclose(again, one_by_one, rtol=1e-8, atol=1e-8)
        assert torch.allclose(part(t.expand(3, *t.shape)).log_prob(x[0]), one_by_one[0].expand(3, 4))


@every(_cases(HEADS, PRIORS))
def test_copies_and_draws_of_one_seed_are_equal(row: Row) -> None:
    part, d, inputs = made(row, 3) if row.features else made(row)
    pyro.set_rng_seed(7)
    x = d.sample()
    pyro.set_rng_seed(7)
    assert torch.equal(copy.deepcopy(part)(*inputs).sample(), x)


@pytest.mark.usefixtures("_double")
@every(_cases(HEADS, PRIORS, where=lambda row: row.captured))
def test_a_captured_step_is_that_of_pyro(row: Row) -> None:
    """The part as a latent's distribution on both sides; a head that is no posterior as a likelihood."""
    given = row.inputs(5, dtype=torch.float64)
    latent = row.pathwise or row.features is None

    def script(make: Any) -> Iterator[Any]:
        pyro.set_rng_seed(0)
        part, other = row.make(), row.make()
        nets = [nn.Linear(3, t[0].numel()) for t in given] * (1 if latent else 0)
        places = nn.Linear(3, given[0][0].numel()) if given and not latent else None
        scores = [m for m in (part, *nets, places) if isinstance(m, nn.Module)]

        def model(x: Tensor, fixed: Tensor | None = None) -> None:
            for i, module in enumerate(scores):
                pyro.module(f"m{i}", module)
            with pyro.plate("data", len(x)):
                if latent:
                    pyro.sample("z", part(*(t[: len(x)] for t in given)))
                    return
                z = pyro.sample("z", pyro.distributions.Normal(torch.zeros(3), 1.0).to_event(1))
                t = places(z).reshape(*z.shape[:-1], *given[0].shape[1:])
                pyro.sample("x", part(t), obs=fixed)

        def guide(x: Tensor, fixed: Tensor | None = None) -> None:
            loc = pyro.param("loc", torch.zeros(3))
            if isinstance(other, nn.Module) and latent:
                pyro.module("other", other)
            with pyro.plate("data", len(x)):
                if latent:
                    ts = (t + 0.1 * net(x).reshape(t.shape) for t, net in zip(given, nets, strict=True))
                    pyro.sample("z", other(*ts))
                else:
                    pyro.sample("z", pyro.distributions.Normal(loc, 1.0).to_event(1))

        x = torch.randn(5, 3)
        with torch.no_grad():
            d = part(*given) if given else part().expand((5,))
            fixed = d.sample()
        loss = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = make(model, guide, pyro.optim.Adam({"lr": 0.01}), loss)
        for _ in range(2):
            yield svi.step(x, fixed)
        yield [p.detach().clone() for p in pyro.get_param_store().values()]

    both(script, rtol=1e-8)


@every(_cases(HEADS, PRIORS))
def test_nothing_stays_behind_on_another_device(row: Row) -> None:
    """On torch's device without data: a tensor that was left on the CPU would meet those of the part."""
    part = row.make()
    if not isinstance(part, nn.Module) and row.features is None:
        return
    if isinstance(part, nn.Module):
        part = part.to("meta").eval()
    with pyro.validation_enabled(False):
        d = part(*(t.to("meta") for t in row.inputs(3)))
        try:
            x = d.rsample() if row.pathwise else d.sample()
        except NotImplementedError as error:
            if "_sample_dirichlet" not in str(error):  # torch draws none without data
                raise
            x = torch.empty(*d.batch_shape, *d.event_shape, device="meta")
        assert x.device.type == "meta"
        assert d.log_prob(x).device.type == "meta"
