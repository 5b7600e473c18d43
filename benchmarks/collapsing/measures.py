"""What is measured on a trained pair: bound, evidence, rate, active units, information."""

from __future__ import annotations

import math
from typing import Any

import pyro
import torch
from torch import Tensor

import pyrovae as pv

ACTIVE = 0.01
"""The variance over data of a posterior mean from which on a dimension counts as active."""


def active_units(loc: Tensor) -> int:
    r"""How many dimensions of z are in use, by the posterior means ``(n, d)``.

    .. math:: A_d = \mathrm{Var}_x\big(\mathbb E_{q(z \mid x)}[z_d]\big) > 0.01

    References:
        Burda, Grosse and Salakhutdinov, 2016, Importance Weighted Autoencoders, section 5.2,
        https://arxiv.org/abs/1509.00519
    """
    return int((loc.var(0) > ACTIVE).sum())


def information(loc: Tensor, scale: Tensor, draws: int = 1000, seed: int = 0) -> float:
    r"""The mutual information of x and z under the guide, nats; of normal posteriors ``(n, d)``.

    .. math:: I_q(x; z) = \mathbb E\big[\log q(z \mid x) - \log q(z)\big], \qquad
        q(z) = \tfrac 1 n \sum_j q(z \mid x_j),

    which is the rate less :math:`\mathrm{KL}(q(z) \| p(z))`. The mean over one draw for each of ``draws``
    data; no more than :math:`\log n` can come out.

    References:
        Hoffman and Johnson, 2016, ELBO surgery.
    """
    noise = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(loc), generator=noise)[:draws]
    z = loc[chosen] + scale[chosen] * torch.randn(len(chosen), loc.shape[1], generator=noise)
    own = _log_density(z[:, None], loc[chosen][:, None], scale[chosen][:, None]).squeeze(1)
    mixture = torch.cat([_log_density(part[:, None], loc, scale).logsumexp(-1) for part in z.split(50)])
    return (own - (mixture - math.log(len(loc)))).mean().item()


def _log_density(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    return torch.distributions.Normal(loc, scale).log_prob(z).sum(-1)


def rate(guide: Any, x: Tensor) -> float:
    """The mean KL divergence of the posteriors from the standard normal prior, nats per datum."""
    q = posterior(guide, x)
    prior = torch.distributions.Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale))
    return torch.distributions.kl_divergence(q, prior).sum(-1).mean().item()


@torch.no_grad()
def posterior(guide: Any, x: Tensor) -> Any:
    """q(z | x) as a normal, ``(n, d)``."""
    return guide.posterior("z", x).base_dist


def evidence(run: pv.Fit, model: Any, x: Tensor, samples: int) -> tuple[float, float]:
    """The mean log evidence by importance sampling, and the median effective sample size.

    Draws come from the guide, and once more from the prior; the larger mean counts, as both are too low. A
    posterior that is away from the prior and tells nothing is a bad proposal, and the prior then a good one.
    """

    def prior(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", model.prior())

    found = [pv.evaluate.evidence(fit, x, num_samples=samples) for fit in (run, pv.Fit(model, prior))]
    best = max(found, key=lambda each: each.log_evidence.mean().item())
    return best.log_evidence.mean().item(), best.effective_sample_size.median().item()


def measure(
    run: pv.Fit, pair: tuple[Any, Any], test: Tensor, *, scored: int = 1000, samples: int = 500
) -> dict[str, float]:
    """All of it: bounds on about ``scored`` of the test data, units and information on all of them."""
    model, guide = pair
    some = test[:: max(1, len(test) // scored)][:scored]
    bound = pv.evaluate.elbo(run, some, num_samples=10)
    log_evidence, effective = evidence(run, model, some, samples)
    q = posterior(guide, test)
    return {
        "elbo": bound.elbo.mean().item(),
        "evidence": log_evidence,
        "reconstruction": bound.reconstruction.mean().item(),
        "rate": bound.kl["z"].mean().item(),
        "active": active_units(q.loc),
        "information": information(q.loc, q.scale),
        "effective": effective,
    }
