"""The evidence by importance sampling from the guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyrovae.engine.policy import Mode
from pyrovae.evaluate._estimate import Estimate
from pyrovae.evaluate._measure import LOG_WEIGHT
from pyrovae.evaluate._sampling import sampling
from pyrovae.evaluate._streams import LogMeanExp, double
from pyrovae.training import Fit


@dataclass(frozen=True, repr=False)
class Evidence:
    """The log evidence of each datum as importance sampling sees it, in nats.

    All tensors are float64 on the CPU.

    Attributes:
        log_evidence: the estimate, ``(n,)``.
        standard_error: its Monte Carlo standard error by the delta method, ``(n,)``; NaN for one sample. It
            is to be believed only where the effective sample size is not small.
        effective_sample_size: of the weights (Kong), ``(n,)``, between 1 and ``num_samples``.
        num_samples: the number of particles for each datum.
    """

    log_evidence: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    num_samples: int

    def mean(self) -> Estimate:
        """The mean over data, with the standard error over data."""
        return Estimate.over_data(self.log_evidence)

    def __repr__(self) -> str:
        return (
            f"Evidence({self.mean()!r} nats per datum, {len(self.log_evidence)} data, "
            f"samples: {self.num_samples}, effective: {self.effective_sample_size.min().item():.1f} at least)"
        )


def evidence(
    run: Fit,
    x: Any,
    *,
    num_samples: int = 5000,
    batch_size: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    compile: Mode = "auto",
) -> Evidence:
    r"""The log evidence of each datum, by importance sampling from the guide, in bounded memory.

    .. math::
        \log \hat p(x) = \log \frac 1 K \sum_{k=1}^K w_k, \qquad
        w_k = \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    :math:`\hat p(x)` is unbiased; its log is a lower bound in expectation, tighter with every K. Particles
    and data are taken in chunks that fit the memory, and the weights are summed as they come, in float64.

    Arguments:
        run: a fitted pair whose latents all lie in one data plate.
        x: data as :func:`pyrovae.fit` takes them.
        num_samples: K, particles for each datum. For 100 data of MNIST's size and a 784-200-200-50 VAE the
            process peaks at 919 MB with K = 100,000, at 900 MB with 10,000, 200 MB of which are torch's
            compiler, and at 609 MB before it begins (``python benchmarks/evidence_memory.py``).
        batch_size: how many data the programs see at a time; by default as many as suit the memory. Programs
            with parameters for each datum need all of them at once.
        memory: the budget for tensors, in bytes; by default 64 MiB on a CPU, 1 GiB elsewhere. What the pair
            takes for one particle is measured at first; one particle of one datum is the least that is drawn.
        seed: of the random numbers. The process's own generators are left as they were.
        compile: how the draws after each datum's first are run, as in :class:`pyrovae.SVI`: the same numbers.
            "auto" captures, and compiles, where that many are planned that it pays.

    Raises:
        TypeError: when ``run`` is not a :class:`pyrovae.Fit`.
        Refusal: with ``compile=True`` or "capture", where the programs can't be captured.
        ValueError: naming the site, for a latent outside the data plate, latents that only one side has, data
            outside the likelihood's support, or a log-probability that is NaN.

    References:
        Burda, Grosse and Salakhutdinov, 2016, Importance Weighted Autoencoders, https://arxiv.org/abs/1509.00519
        Kong, 1992, A Note on Importance Sampling using Standardized Weights.

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> pyro.set_rng_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> result = pv.evaluate.evidence(pv.Fit(model, guide), torch.ones(5, 64), num_samples=1000)
        >>> result.log_evidence.shape, result.log_evidence.dtype
        (torch.Size([5]), torch.float64)
    """
    found: list[LogMeanExp] = []
    with sampling(
        run,
        x,
        LOG_WEIGHT,
        num_samples=num_samples,
        batch_size=batch_size,
        memory=memory,
        seed=seed,
        compile=compile,
    ) as pieces:
        for piece in pieces:
            found.append(LogMeanExp())
            for log_weight in piece:
                found[-1].add(log_weight)
    return Evidence(
        log_evidence=torch.cat([chunk.value for chunk in found]),
        standard_error=torch.cat([chunk.standard_error for chunk in found]),
        effective_sample_size=torch.cat([chunk.effective_sample_size for chunk in found]),
        num_samples=num_samples,
    )


def log_evidence(
    run: Fit,
    x: Any,
    num_samples: int = 5000,
    *,
    memory: int | None = None,
    seed: int = 0,
    compile: Mode = "auto",
) -> Tensor:
    """The log evidence alone, ``(n,)`` nats: :func:`evidence` without its standard errors.

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> pyro.set_rng_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> pv.evaluate.log_evidence(pv.Fit(model, guide), torch.ones(5, 64), num_samples=100).shape
        torch.Size([5])
    """
    found = evidence(run, x, num_samples=num_samples, memory=memory, seed=seed, compile=compile)
    return found.log_evidence


def log_weights(
    run: Fit,
    x: Any,
    *,
    num_samples: int,
    batch_size: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    compile: Mode = "auto",
) -> Tensor:
    r"""The log importance weights themselves, :math:`\log p(x, z_k) - \log q(z_k \mid x)`.

    Returns: ``(num_samples, n)``, float64 on the CPU. The result itself is outside the memory budget.

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> pyro.set_rng_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> pv.evaluate.log_weights(pv.Fit(model, guide), torch.ones(5, 64), num_samples=10).shape
        torch.Size([10, 5])
    """
    with sampling(
        run,
        x,
        LOG_WEIGHT,
        num_samples=num_samples,
        batch_size=batch_size,
        memory=memory,
        seed=seed,
        compile=compile,
    ) as pieces:
        return torch.cat([torch.cat([double(log_weight) for log_weight in piece]) for piece in pieces], dim=1)
