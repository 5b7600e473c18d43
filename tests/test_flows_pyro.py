"""Flows beside those of Pyro at the same parameters, or beside the formula of the paper."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions.transforms as pyro_transforms
import torch
from pyro.distributions.transforms.planar import ConditionedPlanar
from pyro.distributions.transforms.spline import ConditionedSpline
from torch import Tensor, nn

import pyrovae as pv


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
