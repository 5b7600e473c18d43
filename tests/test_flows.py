"""Flows: exact log-determinants, both ways, gradients at any value, and what is refused."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from part_rows.flows import FLOWS
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.flows._root import root

ROWS = [pytest.param(row, id=f"{name}-{i}") for name, table in FLOWS.items() for i, row in enumerate(table)]


def _made(row: Any, spread: float = 0.15) -> Any:
    """A flow in float64, away from where it starts."""
    flow = row.make().double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += spread * torch.randn_like(parameter)
    return flow


def _context(row: Any, *leading: int) -> Tensor | None:
    return torch.randn(*leading, *row.features, dtype=torch.float64) if row.features else None


def test_every_flow_has_a_row() -> None:
    assert set(FLOWS) == set(pv.flows.__all__)


@pytest.mark.parametrize("row", ROWS)
def test_log_determinants_are_those_of_the_jacobian(row: Any) -> None:
    flow, context = _made(row), _context(row)
    for _ in range(3):
        transform = flow(context)
        x = 1.5 * torch.randn(flow.dim, dtype=torch.float64)
        y = transform(x)
        jacobian: Any = torch.autograd.functional.jacobian(lambda v, to=transform: to(v), x)
        assert transform.log_abs_det_jacobian(x, y).item() == pytest.approx(
            torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-9
        )
        back: Any = torch.autograd.functional.jacobian(lambda v: flow(context).inv(v), y.detach())
        assert torch.allclose(back @ jacobian, torch.eye(flow.dim, dtype=torch.float64), atol=1e-7)


@pytest.mark.parametrize("row", ROWS)
def test_both_ways_meet_with_more_particles_than_contexts(row: Any) -> None:
    flow, context = _made(row), _context(row, 4)
    x = 2 * torch.randn(3, 4, flow.dim, dtype=torch.float64)
    y = flow(context)(x)
    fresh = flow(context)
    back = fresh.inv(y.clone())
    assert torch.allclose(back, x, atol=1e-6)
    assert torch.allclose(fresh.log_abs_det_jacobian(back, y), flow(context).log_abs_det_jacobian(x, y))
    again = flow(context)(flow(context).inv(x))
    assert torch.allclose(again, x, atol=1e-6)
    for i in range(4):
        alone = flow(None if context is None else context[i])(x[:, i])
        assert torch.allclose(alone, y[:, i], atol=1e-10)


@pytest.mark.parametrize("row", ROWS)
def test_a_value_given_has_the_density_of_a_draw_and_its_own_gradient(row: Any) -> None:
    flow, context = _made(row), _context(row, 2)
    base = dist.Normal(torch.zeros(2, flow.dim, dtype=torch.float64), 1.0).to_event(1)
    q: Any = dist.TransformedDistribution(base, [flow(context)])
    y = q.rsample()
    own = q.log_prob(y)
    held = y.detach()
    assert torch.allclose(q.log_prob(held), own, atol=1e-7)
    parameters = list(flow.parameters())

    def density() -> Tensor:
        return dist.TransformedDistribution(base, [flow(context)]).log_prob(held).sum()

    gradients = torch.autograd.grad(density(), parameters, allow_unused=True, materialize_grads=True)
    direction = [torch.randn_like(p) for p in parameters]
    slope = sum((g * d).sum().item() for g, d in zip(gradients, direction, strict=True))
    step = 1e-6
    with torch.no_grad():
        sides = []
        for sign in (1, -2):
            for p, d in zip(parameters, direction, strict=True):
                p += sign * step * d
            sides.append(density().item())
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4, abs=1e-5)


def test_a_draw_without_gradients_has_a_density_with_them() -> None:
    """What is remembered of it would take the base's draw for a constant."""
    flow = pv.flows.IAF(3).double()
    q: Any = dist.TransformedDistribution(
        dist.Normal(torch.zeros(3, dtype=torch.float64), 1.0).to_event(1), [flow()]
    )
    y = q.sample((5,))
    parameters = list(flow.parameters())
    ours = torch.autograd.grad(q.log_prob(y).sum(), parameters)
    held = torch.autograd.grad(q.log_prob(y.clone()).sum(), parameters)
    assert all(torch.allclose(a, b) for a, b in zip(ours, held, strict=True))
    with torch.no_grad():
        z = q.sample((5,))
        assert torch.equal(q.transforms[0].inv(z), q.transforms[0].inv(z))


def test_own_draws_are_scored_without_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    head = pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(3, context=2))
    q = head(torch.randn(4, 8)).expand([5, 4])
    monkeypatch.setattr(pv.flows.IAF, "pull", None)
    assert q.log_prob(q.rsample()).shape == (5, 4)
    with torch.no_grad():
        assert q.log_prob(q.sample()).shape == (5, 4)
    with pytest.raises(TypeError):
        q.log_prob(torch.zeros(5, 4, 3))


@pytest.mark.parametrize("row", ROWS)
def test_flows_start_near_the_identity(row: Any) -> None:
    flow = row.make()
    x = torch.randn(200, flow.dim)
    context = None if row.features is None else torch.randn(200, *row.features)
    transform = flow(context)
    y = transform(x)
    assert (y - x).square().mean().sqrt() < 0.3
    assert transform.log_abs_det_jacobian(x, y).square().mean().sqrt() < 0.6 * math.sqrt(flow.dim)


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("row", ROWS)
def test_single_precision_survives_the_extremes(row: Any, size: float) -> None:
    flow = row.make()
    context = None if row.features is None else (size * torch.randn(50, *row.features)).requires_grad_()
    x = (size * torch.randn(50, flow.dim)).requires_grad_()
    for way in ("push", "pull"):
        moved, log_det = getattr(flow, way)(x, context)
        assert torch.isfinite(moved).all()
        assert torch.isfinite(log_det).all()
        total = (moved / moved.detach().abs().clamp(min=1)).sum() + log_det.sum()
        inputs = [x, *flow.parameters()] + ([] if context is None else [context])
        for gradient in torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True):
            assert torch.isfinite(gradient).all(), way


@pytest.mark.parametrize("row", ROWS)
def test_single_precision_is_enough_for_both_ways(row: Any) -> None:
    flow = row.make()
    x = torch.randn(200, flow.dim)
    context = None if row.features is None else torch.randn(200, *row.features)
    y, log_det = flow.push(x, context)
    back, log_det_back = flow.pull(y, context)
    assert torch.allclose(back, x, atol=2e-5)
    assert torch.allclose(log_det, log_det_back, atol=1e-4)


@pytest.mark.parametrize("m", [-0.999, -0.9, -0.3, 0.0, 0.5, 3.0, 200.0])
def test_the_root_of_a_tanh_layer_is_found_to_rounding(m: float) -> None:
    t = torch.cat([torch.linspace(-30, 30, 2001), torch.logspace(-12, 0, 50), torch.zeros(1)]).double()
    slope = torch.full_like(t, m)
    a = root(t, slope)
    assert (a + slope * a.tanh() - t).abs().max() < 1e-11 * (1 + abs(m))
    some = t[::200].clone().requires_grad_(), torch.full_like(t[::200], max(m, -0.99)).requires_grad_()
    assert torch.autograd.gradcheck(root, some)


def test_a_distribution_takes_the_batch_of_the_context() -> None:
    base = dist.Normal(torch.zeros(3), 1.0).to_event(1)
    q: Any = dist.TransformedDistribution(base, [pv.flows.Planar(3, context=2)(torch.randn(7, 2))])
    assert q.batch_shape == (7,)
    assert q.expand((5, 7)).rsample().shape == (5, 7, 3)


def test_composed_flows_are_applied_in_order() -> None:
    first, second = pv.flows.Planar(3, context=2), pv.flows.RealNVP(3)
    flow, context, x = pv.flows.Composed(first, second), torch.randn(4, 2), torch.randn(4, 3)
    assert torch.equal(flow(context)(x), second()(first(context)(x)))


@pytest.mark.parametrize("row", ROWS)
def test_flows_are_copied_and_pickled(row: Any) -> None:
    flow = row.make()
    context = None if row.features is None else torch.randn(4, *row.features)
    x = torch.randn(4, flow.dim)
    y = flow(context)(x)
    file = io.BytesIO()
    torch.save(flow, file)
    file.seek(0)
    for again in (copy.deepcopy(flow), torch.load(file, weights_only=False)):
        assert torch.equal(again(context)(x), y)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: pv.flows.IAF(0), "IAF, dim"),
        (lambda: pv.flows.IAF(3, context=-1), "IAF, context"),
        (lambda: pv.flows.IAF(3, layers=0), "IAF, layers"),
        (lambda: pv.flows.MAF(3, hidden=(0,)), "hidden"),
        (lambda: pv.flows.RealNVP(1), "RealNVP, dim.*2 entries"),
        (lambda: pv.flows.RealNVP(3, hidden=(0,)), "hidden"),
        (lambda: pv.flows.NeuralSpline(3, bins=1), "bins"),
        (lambda: pv.flows.NeuralSpline(3, bins=501), "bins.*500"),
        (lambda: pv.flows.AutoregressiveSpline(3, bound=-1.0), "bound"),
        (lambda: pv.flows.Planar(3, layers=True), "layers"),
        (lambda: pv.flows.Sylvester(3, units=4), "units.*at most dim, 3"),
        (lambda: pv.flows.Composed(), "one dim"),
        (lambda: pv.flows.Composed(pv.flows.Planar(3), pv.flows.Planar(4)), r"dims \[3, 4\]"),
        (lambda: pv.flows.Composed(pv.flows.IAF(3, context=2), pv.flows.IAF(3, context=4)), r"contexts \[2"),
        (lambda: pv.flows.IAF(3, context=2)(), r"\(\.\.\., 2\).*None"),
        (lambda: pv.flows.IAF(3)(torch.zeros(4, 2)), r"no context.*\(4, 2\)"),
        (lambda: pv.flows.IAF(3, context=2)(torch.zeros(4, 3)), r"\(\.\.\., 2\).*\(4, 3\)"),
        (lambda: pv.priors.Flow(pv.flows.IAF(3, context=2)), "without context"),
        (lambda: pv.priors.Flow(pv.flows.IAF(3), pv.priors.StandardNormal(4))(), r"dim, 3.*\(4,\)"),
        (lambda: pv.heads.Flowed(pv.heads.Normal(event_dim=3), pv.flows.IAF(3)), "vectors"),
        (lambda: pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(3)).features(4), "dim, 3, got 4"),
        (lambda: pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(3, context=2))(torch.zeros(4, 10)), "10"),
        (lambda: pv.nets.MaskedMLP(0), "dim"),
        (lambda: pv.nets.MaskedMLP(3, context=2)(torch.zeros(3)), "None"),
        (lambda: pv.nets.MaskedMLP(3)(torch.zeros(3), torch.zeros(2)), "no context"),
        (lambda: pv.nets.MaskedMLP(3)(torch.zeros(4)), r"\(\.\.\., 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_only_flows_are_composed() -> None:
    bad: Any = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="expected flows, got Linear"):
        pv.flows.Composed(bad)


def test_a_flow_says_what_it_is() -> None:
    assert "dim=3, context=2, layers=2" in repr(pv.flows.IAF(3, context=2))
    assert "bins=8, bound=5" in repr(pv.flows.NeuralSpline(3))
    assert repr(pv.flows.IAF(3)()) == "IAF()"
