"""The gradients of bounds of several particles, and of wake-sleep, against enumeration and plain autograd."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import objective_rows as table
import pyro
import pytest
import torch
from objective_rows import ELBO, FINITE, LIMIT, MIXED, NORMAL, TRUTHS, Bound, Row
from pyro.infer import RenyiELBO
from torch import Tensor
from truths import exact_gradient

from pyrovae import objectives as o


def _off(row: Row, distance: Callable[[dict[str, Tensor]], float]) -> float:
    """The distance of a first sample or, where chance may have a part in it, of a larger second."""
    off = distance(table.sampled(row, draws=16, repeats=200))
    return off if off < LIMIT else distance(table.sampled(row, draws=100, repeats=200, seed=1))


@pytest.mark.parametrize("row", list(table.bound_rows(FINITE)), ids=str)
def test_the_mean_gradient_is_that_of_enumeration(row: Row) -> None:
    truth = TRUTHS[row.truth]
    exact = table.of(table.exact(row.truth, row.model), truth.model_names)
    exact |= table.of(table.exact(row.truth, row.guide), truth.guide_names)
    assert _off(row, lambda samples: table.worst(samples, exact)) < LIMIT


@pytest.mark.parametrize("row", list(table.bound_rows(NORMAL + MIXED)), ids=str)
def test_the_mean_gradient_is_that_of_plain_autograd(row: Row) -> None:
    truth = TRUTHS[row.truth]
    reference = table.of(table.by_hand(row.truth, row.model, draws=60, groups=400), truth.model_names)
    reference |= table.of(table.by_hand(row.truth, row.guide, draws=60, groups=400), truth.guide_names)
    assert _off(row, lambda samples: table.apart(samples, reference)) < LIMIT


@pytest.mark.parametrize("name", NORMAL)
def test_sticking_the_landing_is_biased_in_iwae_and_says_so(name: str) -> None:
    truth = TRUTHS[name]
    row = Row(name, "", lambda: o.IWAE(8, estimators=o.StickingTheLanding()))
    with pyro.get_param_store().scope():
        explained = row.make().explain(*truth.make()[:2], truth.data)
    assert not any(site.unbiased for site in explained.rows)

    samples = table.sampled(row, draws=60, repeats=300)

    reference = table.by_hand(name, Bound(8), draws=60, groups=300)
    assert table.apart(table.of(samples, truth.guide_names), reference) > 10
    assert table.apart(table.of(samples, truth.model_names), reference) < LIMIT + 0.5


@pytest.mark.parametrize("name", ["bernoulli", "discrete"])
def test_an_iwae_of_bernoulli_latents_trains_its_guide(name: str) -> None:
    """Pyro's bound of the same name gives the guide a gradient of exactly 0."""
    guide = TRUTHS[name].guide_names
    pyros = RenyiELBO(alpha=0, num_particles=3, vectorize_particles=True, max_plate_nesting=1)
    zero = table.sampled(Row(name, "", lambda: pyros), draws=2, repeats=1)
    assert all((zero[key] == 0).all() for key in guide), "Pyro has mended the trap: this half can go"

    samples = table.sampled(Row(name, "", lambda: o.IWAE(3)), draws=60, repeats=300)

    exact = table.exact(name, Bound(3))
    assert max(exact[key].abs().max().item() for key in guide) > 0.1
    assert table.worst(table.of(samples, guide), exact) < LIMIT + 0.5


def _towards(weight: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of value zero, whose gradient is the mean of weights times those of the log weights."""

    def function(weights: Tensor) -> Tensor:
        return (weight(weights.detach()) * (weights - weights.detach())).sum(0)

    return function


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("particles", [2, 3])
def test_wake_phi_follows_the_weighted_scores(name: str, particles: int) -> None:
    r"""The guide's is :math:`-\sum_k \tilde w_k \nabla \log q(z_k)` in mean, the model's that of IWAE."""
    truth = TRUTHS[name]
    shares = _towards(lambda weights: weights.softmax(0))
    wake = exact_gradient(truth, lambda p, x: truth.exact_bound(p, x, particles, shares))
    # log q is in the log weights with a minus sign.
    exact = table.exact(name, Bound(particles)) | {key: -wake[key] for key in truth.guide_names}
    for key in truth.model_names:
        torch.testing.assert_close(wake[key], exact[key])
    row = Row(name, "", lambda: o.ReweightedWakeSleep(particles))
    with pyro.get_param_store().scope():
        explained = row.make().explain(*truth.make()[:2], truth.data)
    assert not any(site.unbiased for site in explained.rows), "of the bound's own gradient"

    assert _off(row, lambda samples: table.worst(samples, exact)) < LIMIT


@pytest.mark.parametrize("name", ["bernoulli", "discrete"])
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_sleep_phi_follows_the_scores_of_dreams(name: str, share: float) -> None:
    truth = TRUTHS[name]
    size = truth.data.shape[-1]
    worlds = torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)), dtype=torch.float64)
    parameters = truth.make().parameters
    # One particle, weighed by p(x, z) / q(z | x): the sum over all x and z is an expectation under the model.
    joint = _towards(torch.exp)
    dreams = truth.exact_bound(parameters, worlds, 1, joint).sum() * len(truth.data)
    guide = [parameters[key] for key in truth.guide_names]
    asleep = dict(zip(truth.guide_names, torch.autograd.grad(dreams, guide), strict=True))
    shares = _towards(lambda weights: weights.softmax(0))
    wake = exact_gradient(truth, lambda p, x: truth.exact_bound(p, x, 2, shares))
    exact = dict(table.exact(name, Bound(2)))
    exact |= {key: -(1 - share) * wake[key] + share * asleep[key] for key in truth.guide_names}

    row = Row(name, "", lambda: o.ReweightedWakeSleep(2, sleep=share))

    assert _off(row, lambda samples: table.worst(samples, exact)) < LIMIT


@pytest.mark.parametrize("name", ["bernoulli", "two-level categorical, bottom-up"])
def test_what_the_bound_would_be_without_a_particle_is_a_good_baseline(name: str) -> None:
    guide = TRUTHS[name].guide_names

    def spread(*baselines: o.Baseline) -> float:
        row = Row(name, "", lambda: o.IWAE(4, estimators=o.ScoreFunction(*baselines)))
        return table.spread(table.of(table.sampled(row, draws=60, repeats=100), guide))

    assert spread(o.LeaveOneOut()) < 0.3 * spread()


def test_one_particle_is_the_elbo() -> None:
    for name in FINITE:
        row = Row(name, "", lambda: o.IWAE(1, estimators=o.ScoreFunction(o.DecayingAverage())))
        exact = table.exact(name, ELBO)
        assert _off(row, lambda samples, exact=exact: table.worst(samples, exact)) < LIMIT
