"""Likelihoods of data with gaps: the marginal of what is seen, exact, and who may have gaps."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from part_checks import Row, rows
from torch import nn

from pyrovae import heads, nets
from pyrovae.distributions import WithMissing

NAN = math.nan
ELEMENTWISE: list[tuple[Any, int]] = [
    (heads.Normal(), 2),
    (heads.Bernoulli(), 1),
    (heads.Poisson(), 1),
    (heads.NegativeBinomial(), 2),
    (heads.ZeroInflatedNegativeBinomial(), 3),
]


@pytest.mark.parametrize(("head", "parts"), ELEMENTWISE)
def test_the_marginal_is_that_without_the_missing_columns(head: Any, parts: int) -> None:
    """In value and in gradient, which is zero exactly where nothing is seen."""
    t = torch.randn(3, parts * 4, dtype=torch.float64)
    x = head(t).sample()
    for gone in ([0], [1, 3], [0, 1, 2, 3]):
        seen = [i for i in range(4) if i not in gone]
        gaps = x.clone()
        gaps[:, gone] = NAN
        whole, part = t.clone().requires_grad_(), t.clone().requires_grad_()
        log_prob = heads.Masked(head)(whole).log_prob(gaps)
        log_prob.sum().backward()
        slope = whole.grad.unflatten(-1, (parts, 4))
        assert (slope[..., gone] == 0).all()
        if not seen:
            assert (log_prob == 0).all()
            continue
        expected = head(part.unflatten(-1, (parts, 4))[..., seen].flatten(-2)).log_prob(x[:, seen])
        expected.sum().backward()
        assert torch.allclose(log_prob, expected)
        assert torch.allclose(whole.grad, part.grad)


def test_the_marginal_is_the_sum_over_what_may_have_been_there() -> None:
    t = torch.randn(4, dtype=torch.float64)
    values = torch.tensor(list(itertools.product([0.0, 1.0], repeat=2)), dtype=torch.float64)
    complete = torch.cat([torch.tensor([[1.0, 0.0]]).double().expand(4, 2), values], 1)
    expected = heads.bernoulli(t).log_prob(complete).logsumexp(0)
    gaps = torch.tensor([1.0, 0.0, NAN, NAN], dtype=torch.float64)
    assert torch.allclose(heads.Masked(heads.bernoulli)(t).log_prob(gaps), expected)


FACTORISE = {
    "Normal",
    "Bernoulli",
    "Poisson",
    "NegativeBinomial",
    "IsotropicNormal",
    "Laplace",
    "Categorical",
}
JOINT = {"Multinomial", "FullNormal", "LowRankNormal", "MADE", "PixelCNN"}


def _every_head() -> list[Any]:
    return [
        pytest.param(name, row, id=f"{name}-{i}")
        for name, cases in rows("HEADS").items()
        for i, row in enumerate(cases)
        if row.features is not None and name not in ("Masked", "Mixed")
    ]


@pytest.mark.parametrize(("name", "row"), _every_head())
def test_every_head_has_its_gaps_left_out_or_refuses(name: str, row: Row) -> None:
    head = row.make()
    if isinstance(head, torch.nn.Module):
        head.eval()  # an OptimalNormal in training scores the batch as a whole
    t = (0.6 * torch.randn(2, *row.features)).requires_grad_()
    fn: Any = head(t)
    falls_apart = isinstance(fn, torch.distributions.Independent) and not fn.base_dist.event_shape
    assert falls_apart or name not in FACTORISE
    assert not falls_apart or name not in JOINT
    if not falls_apart:
        with pytest.raises(ValueError, match="Masked: expected a likelihood whose entries are independent"):
            heads.Masked(head)(t)
        return
    d = heads.Masked(head)(t)
    complete = d.sample()
    x = complete.float() if not complete.is_floating_point() else complete
    assert torch.allclose(d.log_prob(x), head(t).log_prob(complete), atol=1e-4)
    x = x.flatten(1)
    x[0], x[1, ::2] = NAN, NAN
    x = x.reshape(complete.shape)
    assert d.support.check(x).all()
    log_prob = d.log_prob(x)
    assert log_prob[0] == 0
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(t.grad).all()
    assert (t.grad[0] == 0).all()


def test_gradients_stay_finite_where_the_base_would_overflow() -> None:
    """A missing entry far from its loc, at a tiny scale, beside one that is seen."""
    t = torch.tensor([3e6, 0.0, -60.0, 0.0], requires_grad=True)
    log_prob = heads.Masked(heads.Normal())(t).log_prob(torch.tensor([NAN, 0.5]))
    log_prob.backward()
    assert torch.isfinite(t.grad).all()
    assert t.grad.tolist()[0] == t.grad.tolist()[2] == 0.0


@pytest.mark.parametrize(
    ("base", "inside"),
    [
        (dist.Uniform(2.0, 5.0), 3.0),
        (dist.Gamma(2.0, 1.0), 0.5),
        (dist.Beta(2.0, 3.0), 0.4),
        (dist.Cauchy(0.0, 1.0), 0.4),
        (dist.StudentT(1.0), -2.0),
        (dist.Categorical(logits=torch.zeros(3)), 2.0),
        (dist.Geometric(0.3), 4.0),
        (dist.VonMises(0.0, 1.0), 0.3),
    ],
)
def test_pyro_s_distributions_with_gaps(base: Any, inside: float) -> None:
    d = WithMissing(base)
    x = torch.tensor([inside, NAN])
    assert d.support.check(x).all()
    assert d.log_prob(x).tolist() == [pytest.approx(base.log_prob(x[0]).item()), 0.0]
    assert d.expand((3, 2)).log_prob(x).shape == (3, 2)


def test_a_value_that_was_seen_must_lie_in_the_support() -> None:
    d = heads.Masked(heads.bernoulli)(torch.zeros(3))
    assert d.support.check(torch.tensor([1.0, NAN, 0.0]))
    assert not d.support.check(torch.tensor([0.5, NAN, 0.0]))
    with pytest.raises(ValueError, match="support"):
        d.log_prob(torch.tensor([0.5, NAN, 0.0]))


def test_gaps_in_a_mixed_table_are_left_out_column_by_column() -> None:
    columns = {"age": (heads.Normal(), 1), "ill": (heads.bernoulli, 1), "visits": (heads.Poisson(), 2)}
    head, t = heads.Mixed(**columns), torch.randn(5, 5)
    d = heads.Masked(head)(t)
    x = torch.tensor([0.5, NAN, 3.0, NAN])
    expected = heads.normal(t[:, :2]).log_prob(x[:1]) + heads.Poisson()(t[:, 3:4]).log_prob(x[2:3])
    assert torch.allclose(d.log_prob(x), expected)
    assert torch.allclose(d.mean, head(t).mean)
    with pytest.raises(ValueError, match=r"'ill'.*Boolean.*missing"):
        d.log_prob(torch.tensor([0.5, 7.0, 3.0, NAN]))
    some = heads.Mixed(**{**columns, "age": (heads.Masked(heads.Normal()), 1)})(t)
    assert some.support.check(torch.tensor([NAN, 1.0, 3.0, 2.0])).all()
    assert not some.support.check(torch.tensor([NAN, NAN, 3.0, 2.0])).any()
    joint = heads.Masked(heads.Mixed(words=(heads.Multinomial(), 3)))
    with pytest.raises(ValueError, match=r"'words'.*Multinomial"):
        joint(torch.zeros(3))


@pytest.mark.parametrize("make", [lambda: heads.Masked(None), lambda: nets.Filled(3)])  # type: ignore[arg-type]
def test_what_is_no_head_and_no_net_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="expected a"):
        make()


def test_filled_tells_a_gap_from_a_zero() -> None:
    net = nets.Filled(nn.Identity(), event_dim=3)
    x = torch.tensor([2.0, NAN, 0.0, -1.0]).reshape(1, 1, 2, 2)
    assert net(x).shape == (1, 2, 2, 2)
    assert net(x)[0, 0].flatten().tolist() == [2.0, 0.0, 0.0, -1.0]
    assert net(x)[0, 1].flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="event_dim is 1"):
        net(torch.zeros(2))
