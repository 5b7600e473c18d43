"""Parts of sequences that do not fit are refused, each by the name of what is wrong."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import nn

import pyrovae as pv
from pyrovae import kernels
from pyrovae.distributions import GaussianSeries, MarkovChain

NORMAL = dist.Normal(torch.zeros(2), 1.0).to_event(1)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: MarkovChain(dist.Normal(0.0, 1.0), dist.Normal, 3), ValueError, "initial.*vectors"),
        (lambda: MarkovChain(NORMAL, dist.Normal, 0), ValueError, "length.*positive"),
        (
            lambda: MarkovChain(NORMAL, dist.Normal, 4, inputs=torch.zeros(4, 3)),
            ValueError,
            r"\(\.\.\., 3, k\).*\(4, 3\)",
        ),
        (
            lambda: MarkovChain(NORMAL, lambda z: dist.Normal(z[..., :1], 1.0).to_event(1), 3).sample(),
            ValueError,
            r"transition.*\(2,\).*\(1,\)",
        ),
        (
            lambda: MarkovChain(NORMAL, lambda z: dist.Normal(z, 1.0), 3).log_prob(torch.zeros(3, 2)),
            ValueError,
            r"transition.*\(2,\)",
        ),
        (lambda: GaussianSeries(torch.zeros(3, 2), torch.eye(2)), ValueError, r"\(d, T, T\).*\(3, 2\)"),
        (lambda: GaussianSeries(torch.zeros(3), torch.eye(3)), ValueError, "means"),
        (lambda: pv.heads.Steps("normal"), TypeError, "a head"),
        (lambda: pv.heads.Steps(pv.heads.normal)(torch.zeros(4)), ValueError, r"dimension -2.*\(4,\)"),
        (lambda: pv.heads.Steps(pv.heads.normal)(torch.zeros(2, 3)), ValueError, r"even size.*\(2, 3\)"),
        (lambda: pv.heads.Markov(0, 5), ValueError, "dim.*positive"),
        (lambda: pv.heads.Markov(2, 5)(torch.zeros(4, 3, 6)), ValueError, r"T, 5.*\(4, 3, 6\)"),
        (lambda: pv.heads.Markov(2, 5).features(3), ValueError, "own 2 dimensions"),
        (lambda: pv.priors.Markov(2, 0, net=pv.nets.MLP(2, 4)), ValueError, "length"),
        (
            lambda: pv.priors.Markov(2, 3, net=pv.nets.MLP(2, 4), initial=pv.priors.StandardNormal(3)),
            ValueError,
            r"initial.*\(2,\).*\(3,\)",
        ),
        (lambda: pv.priors.Markov(2, 3, net=pv.nets.MLP(2, 2))().sample(), ValueError, r"\(2,\).*\(1,\)"),
        (lambda: pv.nets.Recurrent(0, 5), ValueError, "inputs"),
        (lambda: pv.nets.Recurrent(3, 5, outputs=0), ValueError, "outputs"),
        (lambda: pv.nets.Recurrent(3, 5, direction="back"), ValueError, "Did you mean 'backward'"),
        (lambda: pv.nets.Recurrent(3, 5)(torch.zeros(3)), ValueError, r"T, 3.*\(3,\)"),
        (lambda: pv.nets.GatedTransition(3, 0), ValueError, "hidden"),
        (lambda: kernels.Matern32(0.0), ValueError, "lengthscale.*positive"),
        (lambda: kernels.Matern32([1.0, -1.0]), ValueError, "lengthscale.*positive"),
        (lambda: kernels.Matern32([1.0, 2.0], variance=[1.0, 2.0, 3.0]), ValueError, r"\[2, 3\]"),
        (lambda: kernels.Sum(kernels.Matern32()), TypeError, "two or more"),
        (lambda: kernels.Product(kernels.Matern32(), 2.0), TypeError, "kernels"),
        (lambda: process([0.0, 1.0, 1.0]), ValueError, "times.*different"),
        (lambda: process([]), ValueError, "times"),
        (lambda: process(2.5), ValueError, "times"),
        (lambda: process([0.0, float("nan")]), ValueError, "times.*finite"),
        (lambda: process(3, dim=0), ValueError, "dim"),
        (lambda: process(3, jitter=-1.0), ValueError, "jitter"),
        (lambda: process(3, kernel=kernels.Matern32([1.0, 2.0, 3.0])), ValueError, r"kernel.*\(3, 3, 3\)"),
        (
            lambda: process(50, kernel=kernels.SquaredExponential(100.0), jitter=0.0)(),
            ValueError,
            "positive definite.*jitter=0",
        ),
    ],
)
def test_bad_parameters_are_refused(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def process(times: Any, dim: int = 2, kernel: nn.Module | None = None, **options: Any) -> nn.Module:
    return pv.priors.GaussianProcess(times, dim, kernel=kernel or kernels.Matern32(), **options)
