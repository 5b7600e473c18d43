"""Twenty binary latents: the two programs, the rows that they are trained by, and the exact evidence."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import pyrovae as pv
from pyrovae import objectives as o

LATENT = 20
PARTICLES = 5
"""Of the estimators that compare particles with each other."""


def pair(decoder: nn.Module, encoder: nn.Module) -> tuple[Any, Any]:
    """p(x | z) p(z) with 20 independent bits, and q(z | x): independent bits given the picture."""

    def model(x: Tensor | None = None, size: int = 1) -> Tensor:
        pyro.module("decoder", decoder)
        prior = pyro.param("prior", lambda: torch.zeros(LATENT))
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Bernoulli(logits=prior).to_event(1))
            return pyro.sample("x", dist.Bernoulli(logits=decoder(2 * z - 1)).to_event(1), obs=x)

    def guide(x: Tensor, size: int | None = None) -> None:  # noqa: ARG001 (as the model)
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Bernoulli(logits=encoder(x)).to_event(1))

    return model, guide


def rows(inputs: int, epochs: int) -> dict[str, o.Objective]:
    """The objectives of the rows, by name."""
    score, average = o.ScoreFunction, o.DecayingAverage
    cooling = o.Exponential(1.0, 0.2, epochs=epochs)
    return {
        "score function, no baseline": o.ELBO(estimators=score()),
        "score function, decaying average": o.ELBO(estimators=score(average())),
        "score function, neural baseline": o.ELBO(
            estimators=score(average(), o.NeuralBaseline(pv.nets.MLP(inputs, 100, 1)))
        ),
        "score function, leave-one-out": o.ELBO(PARTICLES, estimators=score(o.LeaveOneOut())),
        "VIMCO": o.IWAE(PARTICLES),
        "straight-through": o.ELBO(estimators=o.StraightThrough()),
        "Gumbel-softmax, annealed": o.ELBO(estimators=o.GumbelSoftmax(cooling)),
        "Concrete, annealed": o.ELBO(estimators=o.Concrete(cooling)),
    }


@torch.no_grad()
def log_evidence(decoder: nn.Module, prior: Tensor, x: Tensor, *, chunk: int = 4096) -> Tensor:
    r"""The exact evidence of binary data, ``(n,)`` nats, all values of z summed out.

    .. math:: \log p(x) = \log \sum_{z \in \{0, 1\}^{20}} p(z)\, p(x \mid z), \qquad
        \log p(x \mid z) = x \cdot l(z) - \sum_j \log\big(1 + e^{l_j(z)}\big)

    with the decoder's logits l: they are computed once for each z, and one product of matrices joins them
    with all data.
    """
    total = x.new_full((len(x),), -torch.inf)
    for numbers in torch.arange(2 ** len(prior)).split(chunk):
        z = (numbers[:, None] >> torch.arange(len(prior)) & 1).to(x.dtype)
        logits = decoder(2 * z - 1)
        log_prior = -F.binary_cross_entropy_with_logits(prior.expand_as(z), z, reduction="none").sum(-1)
        joint = torch.addmm(log_prior - F.softplus(logits).sum(-1), x, logits.T)
        total = torch.logaddexp(total, joint.logsumexp(-1))
    return total
