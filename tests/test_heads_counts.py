"""Heads of counts: SciPy's numbers, extremes, draws, and what they refuse."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from pyrovae import heads
from pyrovae.distributions import LogRatePoisson, Mixed, NegativeBinomial, ZeroInflated
from pyrovae.distributions._draws import poisson

X = torch.tensor([0.0, 1.0, 2.0, 7.0, 30.0, 500.0, 10_000.0], dtype=torch.float64)
THETAS = [1e-3, 0.3, 1.0, 16.0, 149.9, 150.1, 1e4]
MEANS = [0.01, 1.0, 30.0, 3000.0]


def log(x: float) -> Tensor:
    return torch.tensor(math.log(x), dtype=torch.float64)


@pytest.mark.parametrize("rate", MEANS)
def test_poisson_is_that_of_scipy(rate: float) -> None:
    expected = stats.poisson(rate).logpmf(X.numpy())
    assert LogRatePoisson(log(rate)).log_prob(X).numpy() == pytest.approx(expected, rel=1e-12)
    softplus = heads.Poisson(link="softplus")(torch.full((1,), math.log(math.expm1(0.7))).double())
    assert softplus.log_prob(X[:, None]).numpy() == pytest.approx(stats.poisson(0.7).logpmf(X.numpy()))


@pytest.mark.parametrize(("theta", "mean"), list(itertools.product(THETAS, MEANS)))
def test_negative_binomial_is_that_of_scipy(theta: float, mean: float) -> None:
    expected = stats.nbinom(theta, theta / (theta + mean))
    ours = NegativeBinomial(log(mean), log(theta))
    assert ours.log_prob(X).numpy() == pytest.approx(expected.logpmf(X.numpy()), rel=1e-8, abs=1e-8)
    assert ours.mean.item() == pytest.approx(expected.mean())
    assert ours.variance.item() == pytest.approx(expected.var())
    at_mode = ours.log_prob(ours.mode)
    assert at_mode >= ours.log_prob(torch.arange(4000.0, dtype=torch.float64)).max() - 1e-9


@pytest.mark.parametrize("theta", [1e6, 1e9, math.exp(50.0)])
def test_negative_binomial_becomes_poisson_in_float32(theta: float) -> None:
    """Torch's own is wrong by 1.2 nats at 1e6 and by hundreds at 1e9."""
    x = torch.tensor([0.0, 1.0, 5.0, 40.0])
    m, r = torch.tensor(math.log(7.0)), torch.tensor(math.log(theta)).requires_grad_()
    ours = NegativeBinomial(m, r).log_prob(x)
    assert torch.allclose(ours, LogRatePoisson(m).log_prob(x), atol=1e-3)
    (slope,) = torch.autograd.grad(ours.sum(), r)
    assert slope.abs() < 1e-2


@pytest.mark.parametrize("theta", [1e-3, 0.3, 5.0, 149.9, 150.1, 400.0])
def test_gradients_are_those_of_differences(theta: float) -> None:
    m, r = (v.clone().requires_grad_() for v in (log(3.0), log(theta)))
    x = X[:5]
    assert torch.autograd.gradcheck(lambda m, r: NegativeBinomial(m, r).log_prob(x), (m, r))


@pytest.mark.parametrize(("gate", "theta"), list(itertools.product([-2.0, 0.0, 3.0], [0.3, 20.0])))
def test_zero_inflation_is_its_definition(gate: float, theta: float) -> None:
    pi = 1 / (1 + math.exp(-gate))
    counts = stats.nbinom(theta, theta / (theta + 4.0))
    expected = np.log(pi * (X.numpy() == 0) + (1 - pi) * counts.pmf(X.numpy()) + 1e-320)
    t = torch.tensor([math.log(4.0), math.log(theta), gate], dtype=torch.float64)
    d = heads.ZeroInflatedNegativeBinomial()(t)
    seen = expected > -700
    assert d.log_prob(X[:, None]).numpy()[seen] == pytest.approx(expected[seen])
    assert d.mean.item() == pytest.approx((1 - pi) * 4.0)
    total = np.arange(4000.0)
    density = d.log_prob(torch.tensor(total)[:, None]).exp().numpy()
    assert d.variance.item() == pytest.approx((density * total**2).sum() - d.mean.item() ** 2)


def test_zero_inflation_is_the_same_before_and_after_a_draw() -> None:
    """Pyro's class changes over to probabilities once one is asked for."""
    d = heads.ZeroInflatedNegativeBinomial()(torch.tensor([1.0, 0.0, 50.0]))
    x = torch.tensor([[0.0], [3.0]])
    before = d.log_prob(x)
    d.sample()
    assert torch.equal(d.log_prob(x), before)
    counts = NegativeBinomial(torch.tensor(1.0), torch.tensor(0.0))
    assert before[1].item() == pytest.approx(-50 + counts.log_prob(x[1]).item())


def test_multinomial_is_that_of_scipy_for_each_row_s_own_total() -> None:
    t = torch.randn(4, 5, dtype=torch.float64)
    x = torch.tensor([[0, 0, 0, 0, 0], [1, 0, 0, 2, 0], [3, 4, 0, 1, 9], [100, 20, 0, 3, 1]])
    ours = heads.Multinomial()(t).log_prob(x)
    p = t.softmax(-1).numpy()
    expected = [
        stats.multinomial(n=int(row.sum()), p=q).logpmf(row) for row, q in zip(x.numpy(), p, strict=True)
    ]
    assert ours.numpy() == pytest.approx(np.array(expected))
    assert ours[0] == 0
    known = heads.Multinomial(17)(t)
    assert torch.allclose(known.mean, 17 * t.softmax(-1))
    assert (known.sample((50,)).sum(-1) == 17).all()


HEADS: dict[str, tuple[Callable[[], Any], int]] = {
    "poisson": (heads.Poisson, 1),
    "poisson of softplus": (lambda: heads.Poisson(link="softplus"), 1),
    "negative binomial": (heads.NegativeBinomial, 2),
    "shared": (lambda: heads.SharedNegativeBinomial(1), 1),
    "zero inflated": (heads.ZeroInflatedNegativeBinomial, 3),
    "zero inflated, shared": (
        lambda: heads.ZeroInflatedNegativeBinomial(counts=heads.SharedNegativeBinomial(1)),
        2,
    ),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("count", [0.0, 1.0, 16.0, 1e4, 1e6])
def test_extremes_are_finite_in_value_and_gradient(name: str, count: float) -> None:
    make, size = HEADS[name]
    head = make()
    for corner in itertools.product([-50.0, 0.0, 50.0], repeat=size):
        t = torch.tensor(corner, requires_grad=True)
        log_prob = head(t).log_prob(torch.tensor([count]))
        assert torch.isfinite(log_prob), corner
        assert log_prob <= 1e-4, corner
        log_prob.backward()
        assert torch.isfinite(t.grad).all(), corner
    if isinstance(head, nn.Module):
        assert all(torch.isfinite(p.grad).all() for p in head.parameters())


@pytest.mark.parametrize("name", HEADS)
def test_draws_of_extreme_features_are_counts(name: str) -> None:
    make, size = HEADS[name]
    for corner in itertools.product([-50.0, 50.0], repeat=size):
        d = make()(torch.tensor(corner))
        draws = d.sample((200,))
        assert torch.isfinite(draws).all(), corner
        assert d.support.check(draws).all(), corner


def test_multinomial_extremes_are_finite() -> None:
    t = torch.tensor([[50.0, -50.0, 0.0], [-50.0, -50.0, 50.0]], requires_grad=True)
    log_prob = heads.Multinomial()(t).log_prob(torch.tensor([[0.0, 1e4, 2.0], [0.0, 0.0, 1e6]]))
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(t.grad).all()
    assert log_prob[1].item() == pytest.approx(0.0, abs=1e-3)


def test_a_rate_that_underflows_has_a_gradient() -> None:
    t = torch.tensor([-200.0], requires_grad=True)
    for link in ("log", "softplus"):
        log_prob = heads.Poisson(link=link)(t).log_prob(torch.tensor([3.0]))
        assert log_prob.item() == pytest.approx(-600 - math.log(6))
        assert torch.autograd.grad(log_prob, t)[0].item() == pytest.approx(3.0)


@pytest.mark.parametrize("rate", [1e-3, 50.0, 9e7, 1.1e8, 1e12])
def test_poisson_draws_of_any_rate_have_its_mean_and_variance(rate: float) -> None:
    draws = poisson(torch.full((100_000,), rate, dtype=torch.float64))
    assert (draws == draws.round()).all()
    assert draws.mean().item() == pytest.approx(rate, abs=5 * math.sqrt(rate / 1e5))
    assert draws.var().item() == pytest.approx(rate, rel=0.03 + 5 * math.sqrt(1 / (rate * 1e5)))


@pytest.mark.parametrize("theta", [0.001, 0.05, 40.0])
def test_negative_binomial_draws_of_any_dispersion_follow_it(theta: float) -> None:
    d = NegativeBinomial(torch.tensor(math.log(3.0)), torch.tensor(math.log(theta)))
    draws = d.sample((200_000,))
    for count in (0.0, 1.0, 2.0):
        p = d.log_prob(torch.tensor(count)).exp().item()
        assert (draws == count).float().mean().item() == pytest.approx(p, abs=4 * math.sqrt(p / 2e5))


def test_integers_are_counts_as_floats_are() -> None:
    x = torch.tensor([[0, 3], [16, 1]])
    for head, size in [(make(), n) for name, (make, n) in HEADS.items() if "shared" not in name]:
        d = head(torch.randn(2, 2 * size).double())
        assert torch.equal(d.log_prob(x), d.log_prob(x.double()))
        assert d.log_prob(x).dtype == torch.float64


@pytest.mark.parametrize("bad", [-1.0, 0.5, math.nan])
def test_what_is_no_count_is_outside_the_support(bad: float) -> None:
    for head in (heads.Poisson(), heads.NegativeBinomial(), heads.Multinomial()):
        d = head(torch.zeros(head.features(2)))
        assert not d.support.check(torch.tensor([bad, 1.0]))
        assert d.support.check(torch.tensor([0.0, 16.0]))
        with pytest.raises(ValueError, match="support"):
            d.log_prob(torch.tensor([bad, 1.0]))


def test_counts_of_another_total_are_outside_the_support() -> None:
    d = heads.Multinomial(4)(torch.zeros(3))
    assert d.support.check(torch.tensor([[1.0, 1.0, 2.0], [1.0, 1.0, 1.0], [5.0, -1.0, 0.0]])).tolist() == [
        True,
        False,
        False,
    ]
    with pytest.raises(ValueError, match="counts that add up to 4"):
        d.log_prob(torch.tensor([1.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: heads.Poisson(link="logg"), ValueError, "Did you mean 'log'"),
        (lambda: heads.Poisson(event_dim=0), ValueError, "event_dim"),
        (lambda: heads.NegativeBinomial()(torch.zeros(2, 3)), ValueError, r"log mean.*\(2, 3\)"),
        (lambda: heads.SharedNegativeBinomial(), ValueError, r"SharedNegativeBinomial\(64\)"),
        (lambda: heads.SharedNegativeBinomial(3)(torch.zeros(4)), ValueError, r"\(\.\.\., 3\).*\(4,\)"),
        (lambda: heads.SharedNegativeBinomial(1, 8, 8)(torch.zeros(8)), ValueError, r"\(\.\.\., 1, 8, 8\)"),
        (lambda: heads.SharedNegativeBinomial(3).features(4), ValueError, "size of the data"),
        (lambda: heads.ZeroInflatedNegativeBinomial(counts=heads.Poisson()), TypeError, "counts"),  # type: ignore[arg-type]
        (
            lambda: heads.ZeroInflatedNegativeBinomial(counts=heads.SharedNegativeBinomial(1, 8, 8)),
            ValueError,
            "event_dim=3",
        ),
        (lambda: heads.ZeroInflatedNegativeBinomial()(torch.zeros(4)), ValueError, "multiple of 3"),
        (lambda: heads.Multinomial(0), ValueError, "total_count"),
        (lambda: heads.Multinomial()(torch.zeros(3)).sample(), ValueError, r"total_count=N"),
        (lambda: heads.Multinomial()(torch.zeros(3)).mean, ValueError, "total_count=None"),
        (lambda: heads.Multinomial()(torch.tensor(0.0)), ValueError, "logit for each word"),
        (lambda: heads.Mixed(), ValueError, "at least one"),
        (lambda: heads.Mixed(age=heads.normal), TypeError, "'age'.*pair"),  # type: ignore[arg-type]
        (lambda: heads.Mixed(age=(heads.normal, 0)), ValueError, "'age'.*positive"),
        (lambda: heads.Mixed(age=(heads.Normal(event_dim=3), 1)), ValueError, "'age'.*event_dim=1"),
        (lambda: heads.Mixed(age=(heads.normal, 2)).features(3), ValueError, "2 for 'age'"),
        (lambda: heads.Mixed(age=(heads.normal, 2))(torch.zeros(5)), ValueError, "4 for 'age'"),
        (lambda: heads.Mixed(age=(heads.normal, 2)).cut(torch.zeros(3)), ValueError, "2 for 'age'"),
        (lambda: Mixed({}), ValueError, "one or more"),
        (lambda: ZeroInflated(heads.Poisson()(torch.zeros(3)), torch.zeros(3)), ValueError, "to_event"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()
