"""Flows: exact log-determinants, both ways, gradients at any value, and what they buy."""

from __future__ import annotations

import copy
import gc
import io
import math
import weakref
from collections.abc import Iterator
from typing import Any

import pyro.distributions as dist
import pyro.distributions.transforms as pyro_transforms
import pytest
import torch
from alongside import both
from part_rows.flows import FLOWS
from pyro.distributions.transforms.planar import ConditionedPlanar
from pyro.distributions.transforms.spline import ConditionedSpline
from pyro.infer import Trace_ELBO
from pyro.optim import Adam
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


@pytest.mark.parametrize("hidden", [(), (4,), (32,), (4, 32), (32, 32)])
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("dim", [1, 2, 5, 9])
def test_masks_let_through_all_that_comes_before_and_nothing_else(
    dim: int, context: int, hidden: tuple[int, ...]
) -> None:
    net = pv.nets.MaskedMLP(dim, 2, context=context, hidden=hidden, activation=nn.Tanh).double()
    x = torch.randn(dim, dtype=torch.float64)
    c = torch.randn(context, dtype=torch.float64) if context else None
    seen: Any = torch.autograd.functional.jacobian(lambda v: net(v, c), x)
    before = torch.arange(dim).reshape(-1, 1, 1) > torch.arange(dim)
    assert torch.equal(seen != 0, before.expand_as(seen))
    if c is not None:
        told: Any = torch.autograd.functional.jacobian(lambda v: net(x, v), c)
        assert (told != 0).all()


def test_the_first_entry_is_told_more_than_a_line_of_the_context() -> None:
    net = pv.nets.MaskedMLP(3, context=1, hidden=(32,), activation=nn.Tanh)
    x, c = torch.zeros(3), torch.tensor([[-2.0], [0.0], [2.0]])
    first = net(x, c)[:, 0, 0]
    assert abs(first[0] + first[2] - 2 * first[1]) > 1e-3


@pytest.mark.parametrize("name", ["IAF", "MAF", "AutoregressiveSpline"])
@pytest.mark.parametrize("layers", [1, 2])
def test_autoregressive_flows_move_entries_in_order(name: str, layers: int) -> None:
    flow = getattr(pv.flows, name)(5, layers=layers, hidden=(32,), activation=nn.Tanh).double()
    x = torch.randn(5, dtype=torch.float64)
    jacobian: Any = torch.autograd.functional.jacobian(flow(), x)
    if layers == 1:
        assert torch.equal(jacobian != 0, torch.ones(5, 5, dtype=torch.bool).tril())
    else:
        assert (jacobian != 0).all()


def test_iaf_is_pyros_stable_transform_but_for_where_the_gate_starts() -> None:
    flow = pv.flows.IAF(4, layers=1, hidden=(16,)).double()
    x = torch.randn(20, 4, dtype=torch.float64)
    start = 1e-3 + 0.999 / (1 + math.exp(-2))

    class Scaled(nn.Module):
        def forward(self, v: Tensor) -> Any:
            m, s = flow.nets[0](v * start).unbind(-1)
            gate = 1e-3 + 0.999 * (s + 2).sigmoid()
            return m, gate.logit() - 2

    theirs = pyro_transforms.AffineAutoregressive(Scaled(), stable=True)
    ours = flow()
    y = ours(x)
    assert torch.allclose(theirs(x / start), y)
    expected = theirs.log_abs_det_jacobian(x / start, theirs(x / start)) - 4 * math.log(start)
    assert torch.allclose(ours.log_abs_det_jacobian(x, y), expected)


def _limited(t: Tensor) -> Any:
    shift, raw = t.unbind(-1)
    return shift, 5 * (raw / 5).tanh()


def test_maf_is_the_inverse_of_pyros_affine_autoregressive() -> None:
    flow = pv.flows.MAF(4, layers=1, hidden=(16,)).double()

    class Pyros(nn.Module):
        permutation = torch.arange(4)

        def forward(self, y: Tensor) -> Any:
            shift, log_scale = _limited(flow.nets[0](y))
            return -shift * (-log_scale).exp(), -log_scale

    theirs = pyro_transforms.AffineAutoregressive(Pyros())
    y = torch.randn(20, 4, dtype=torch.float64)
    x = flow().inv(y)
    assert torch.allclose(theirs(y), x)
    assert torch.allclose(-theirs.log_abs_det_jacobian(y, theirs(y)), flow().log_abs_det_jacobian(x, y))


def test_realnvp_is_pyros_affine_coupling() -> None:
    flow = pv.flows.RealNVP(5, layers=1, hidden=(16,)).double()

    def net(kept: Tensor) -> Any:
        return _limited(flow.couplings[0].net(kept, None).unflatten(-1, (3, 2)))

    theirs = pyro_transforms.AffineCoupling(2, net)
    x = torch.randn(20, 5, dtype=torch.float64)
    ours = flow()
    y = ours(x)
    assert torch.allclose(theirs(x), y)
    assert torch.allclose(theirs.log_abs_det_jacobian(x, theirs(x)), ours.log_abs_det_jacobian(x, y))


def test_splines_are_pyros() -> None:
    from torch.nn import functional as F

    from pyrovae.flows._maps import RationalQuadratic

    ours = RationalQuadratic(6, 3.0)
    t = torch.randn(40, 5, ours.outputs, dtype=torch.float64)
    widths, heights, slopes = t.split((6, 6, 5), -1)
    shift = math.log(math.expm1(1 - 1e-3))
    given = (widths.softmax(-1), heights.softmax(-1), F.softplus(slopes + shift), None)
    x = torch.rand(40, 5, dtype=torch.float64)
    theirs = ConditionedSpline(given, bound=3.0, order="quadratic")
    knots_x, knots_y, _ = ours._read(t)
    # In the outermost bins Pyro's slope at the bound is 0.999, where the identity's is 1.
    x, y = (knots[..., 1] + (knots[..., -2] - knots[..., 1]) * x for knots in (knots_x, knots_y))
    for there, move, expected in ((x, ours.push, theirs(x)), (y, ours.pull, theirs.inv(y))):
        moved, log_slope = move(there, t)
        assert torch.allclose(moved, expected)
        pair = (there, expected) if move == ours.push else (expected, there)
        assert torch.allclose(log_slope, theirs.log_abs_det_jacobian(*pair))


def test_planar_is_pyros_at_the_same_directions() -> None:
    flow = pv.flows.Planar(3, layers=1).double()
    with torch.no_grad():
        flow.read.constant += torch.randn(7, dtype=torch.float64)
    ((u, w, b, m),) = flow._by_layer(None)
    # Pyro corrects its u in another way: give it the one whose correction is ours.
    alpha = m - (w * u).sum(-1)
    assert alpha.abs().max() < 1e-9
    x = torch.randn(20, 3, dtype=torch.float64)
    theirs = ConditionedPlanar((b, _uncorrected(u, w), w))
    ours = flow()
    y = ours(x)
    assert torch.allclose(theirs(x), y)
    assert torch.allclose(theirs.log_abs_det_jacobian(x, theirs(x)), ours.log_abs_det_jacobian(x, y))


def _uncorrected(u: Tensor, w: Tensor) -> Tensor:
    """What Pyro's -1 + softplus takes to u."""
    product = (u * w).sum()
    return u + ((product + 1).expm1().log() - product) * w / w.square().sum()


def test_sylvester_is_the_formula_with_reflections_one_by_one() -> None:
    flow = pv.flows.Sylvester(5, layers=1, units=3, reflections=4).double()
    t = flow.read.constant
    with torch.no_grad():
        t += 0.5 * torch.randn_like(t)
    r, r_too = (part.reshape(3, 3) for part in (t[:9], t[9:18]))
    r, r_too = (part.triu(1) + 0.999 * part.diagonal().tanh().diag() for part in (r, r_too))
    b, directions = t[18:21], t[21:].reshape(4, 5)
    q = torch.eye(5, dtype=torch.float64)
    for v in directions:
        q = q @ (torch.eye(5, dtype=torch.float64) - 2 * torch.outer(v, v) / (v @ v))
    q = q[:, :3]
    x = torch.randn(5, dtype=torch.float64)
    h = (r_too @ q.T @ x + b).tanh()
    assert torch.allclose(flow()(x), x + q @ r @ h)


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


def test_nothing_of_a_step_outlives_it() -> None:
    head = pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(3, context=2))
    gc.collect()
    gc.disable()
    try:
        q = head(torch.randn(4, 8))
        y = q.rsample()
        q.log_prob(y).sum().backward()
        alive = weakref.ref(y)
        del q, y
        assert alive() is None
    finally:
        gc.enable()


def _script(flow: Any, prior: Any) -> Any:
    def script(make: Any) -> Iterator[Any]:
        torch.manual_seed(0)
        head = pv.heads.Flowed(pv.heads.normal, flow())
        encoder = pv.nets.MLP(6, 8, 2 * 3 + head.flow.context)
        model = pv.models.VAE(prior(), pv.nets.MLP(3, 8, 6), pv.heads.bernoulli).double()
        guide = pv.guides.Amortized(z=(encoder, head)).double()
        x = torch.bernoulli(torch.full((10, 6), 0.5, dtype=torch.float64))
        svi = make(model, guide, Adam({"lr": 1e-2}), Trace_ELBO(num_particles=3, vectorize_particles=True))
        for _ in range(2):
            yield svi.step(x)
        yield svi.evaluate_loss(x)
        yield model
        yield guide

    return script


@pytest.mark.parametrize(
    ("flow", "prior"),
    [
        (
            lambda: pv.flows.IAF(3, context=4, hidden=(8,)),
            lambda: pv.priors.Flow(pv.flows.MAF(3, hidden=(8,))),
        ),
        (lambda: pv.flows.Sylvester(3, context=4, layers=2), lambda: pv.priors.StandardNormal(3)),
    ],
)
def test_captured_steps_are_eager_ones(flow: Any, prior: Any) -> None:
    both(_script(flow, prior))


def test_an_iaf_posterior_learns_digits(digits: Tensor) -> None:
    head = pv.heads.Flowed(pv.heads.normal, pv.flows.IAF(4, context=8, hidden=(16,)))
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 32, 2 * 4 + 8), head))
    model = pv.models.VAE(pv.priors.StandardNormal(4), pv.nets.MLP(4, 32, 64), pv.heads.bernoulli)
    run = pv.fit(model, guide, digits[:600], epochs=8, batch_size=50, progress=False, seed=0)
    assert run.history[-1].train_loss < 0.85 * run.history[0].train_loss
    log_px = pv.evaluate.log_evidence(run, digits[:20], num_samples=50)
    assert log_px.shape == (20,)
    assert -40 < log_px.mean().item() < -15


def _bent(x: Tensor) -> Tensor:
    return 0.6 * (x.square() - 1)


def _banana(size: int) -> Tensor:
    x = torch.randn(size, 2)
    return torch.stack((x[:, 0], 0.3 * x[:, 1] + _bent(x[:, 0])), -1)


@pytest.mark.parametrize(
    "flow",
    [
        lambda: pv.flows.MAF(2, hidden=(32,)),
        lambda: pv.flows.RealNVP(2, hidden=(32,)),
        lambda: pv.flows.NeuralSpline(2, hidden=(32,)),
        lambda: pv.flows.AutoregressiveSpline(2, layers=1, hidden=(32,)),
    ],
)
def test_a_prior_bends_into_a_banana(flow: Any) -> None:
    x, held_out = _banana(2000), _banana(2000)
    prior = pv.priors.Flow(flow())
    optimiser = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for i in range(150):
        optimiser.zero_grad()
        (-prior().log_prob(x[(200 * i) % 2000 :][:200]).mean()).backward()
        optimiser.step()
    normal = dist.MultivariateNormal(x.mean(0), x.T.cov())
    across, along = held_out.T
    truth = dist.Normal(0.0, 1.0).log_prob(across) + dist.Normal(_bent(across), 0.3).log_prob(along)
    with torch.no_grad():
        ours = prior().log_prob(held_out).mean()
    best, straight = truth.mean(), normal.log_prob(held_out).mean()
    assert ours > straight + 0.8 * (best - straight)
    assert ours < best + 0.05


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
