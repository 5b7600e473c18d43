"""A finite and a normal latent in one pair, each after the other: sums of closed forms, and a quadrature."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from truths.densities import (
    Draws,
    entropy_normal,
    expected_log_normal,
    log_bernoulli,
    log_gaussian,
    log_normal,
    real,
)
from truths.truth import Answers, Kind, Parameters, Programs, Truth, Values

KINDS: dict[str, Kind] = {"y": "finite", "z": "reparameterized"}


def mixture() -> Truth:
    """y ~ Categorical(3), z | y ~ N(m_y, s_y), x | z, y ~ N(W z + d_y, s^2 I), under q(y | x) q(z | x, y).

    Tables are indexed by y, so y may have enumerated dimensions to the left of the plate, and particles too.
    """

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.Categorical(logits=p["prior"]))
            z = pyro.sample("z", dist.Normal(p["loc"][y], p["log_scale"][y].exp()).to_event(1))
            mean = z @ p["weight"].T + p["shift"][y]
            pyro.sample("x", dist.Normal(mean, p["log_noise"].exp()).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.Categorical(logits=x @ p["qy_weight"].T + p["qy_bias"]))
            mean = x @ p["qz_weight"].T + p["qz_shift"][y]
            pyro.sample("z", dist.Normal(mean, p["qz_log_scale"][y].exp()).to_event(1))

    def elbo(p: Parameters, x: Tensor) -> Tensor:
        log_q = (x @ p["qy_weight"].T + p["qy_bias"]).log_softmax(-1).T  # (3, n)
        mean = x @ p["qz_weight"].T + p["qz_shift"].unsqueeze(1)  # (3, n, 2)
        variance = (2 * p["qz_log_scale"]).exp().unsqueeze(1)
        prior = expected_log_normal(mean - p["loc"].unsqueeze(1), variance, p["log_scale"].unsqueeze(1))
        residual = x - mean @ p["weight"].T - p["shift"].unsqueeze(1)
        likelihood = expected_log_normal(residual, variance @ p["weight"].square().T, p["log_noise"])
        entropy = entropy_normal(p["qz_log_scale"]).sum(-1, keepdim=True)
        categories = p["prior"].log_softmax(-1).unsqueeze(-1) - log_q
        inner = categories + entropy + prior.sum(-1) + likelihood.sum(-1)
        return (log_q.exp() * inner).sum(0)

    def evidence(p: Parameters, x: Tensor) -> Tensor:
        noise = (2 * p["log_noise"]).exp() * torch.eye(x.shape[-1], dtype=x.dtype)
        parts = []
        for log_prior, loc, log_scale, shift in zip(
            p["prior"].log_softmax(-1), p["loc"], p["log_scale"], p["shift"], strict=True
        ):
            spread = p["weight"] * log_scale.exp()
            parts.append(log_prior + log_gaussian(x, p["weight"] @ loc + shift, spread @ spread.T + noise))
        return torch.stack(parts).logsumexp(0)

    draws = Draws(9)
    loc, weight, shift = draws.normal(3, 2), draws.normal(3, 2, scale=0.6), draws.normal(3, 3, scale=0.5)
    # Near the posterior of z, for usable importance weights, and wider.
    encoder = torch.linalg.solve(torch.eye(2, dtype=torch.float64) + weight.T @ weight, weight.T)
    values = Values(
        {
            "prior": draws.normal(3, scale=0.5),
            "loc": loc,
            "log_scale": draws.normal(3, 2, scale=0.2),
            "weight": weight,
            "shift": shift,
            "log_noise": real(0.0),
        },
        {
            "qy_weight": draws.normal(3, 3, scale=0.5),
            "qy_bias": draws.normal(3, scale=0.4),
            "qz_weight": encoder + draws.normal(2, 3, scale=0.1),
            "qz_shift": loc - (loc @ weight.T + shift) @ encoder.T + draws.normal(3, 2, scale=0.2),
            "qz_log_scale": draws.normal(3, 2, scale=0.1) + 0.1,
        },
    )
    programs = Programs(model, guide)
    return Truth("mixed, y then z", draws.normal(4, 3), KINDS, programs, values, Answers(elbo, evidence))


def downstream() -> Truth:
    """z ~ N(0, 1), y | z ~ Bernoulli, x | z, y normal; the guide is q(z | x) q(y | x, z).

    The finite site depends on the reparameterized one, in both programs: a pathwise gradient must also
    go through q(y | x, z). The integrals over z are sums on a fine grid, which for smooth integrands that
    vanish at both ends err by less than 1e-9.
    """

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(p["slope"]), 1.0))
            y = pyro.sample("y", dist.Bernoulli(logits=p["slope"] * z + p["prior"]))
            mean = z.unsqueeze(-1) * p["weight"] + y.unsqueeze(-1) * p["shift"] + p["bias"]
            pyro.sample("x", dist.Normal(mean, p["log_noise"].exp()).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x @ p["qz_weight"] + p["qz_bias"], p["qz_log_scale"].exp()))
            logits = x @ p["qy_weight"] + p["qy_bias"] + p["qy_slope"] * z
            pyro.sample("y", dist.Bernoulli(logits=logits))

    y = torch.arange(2.0, dtype=torch.float64)[:, None, None]
    grid = torch.linspace(-12, 12, 1201, dtype=torch.float64)  # the step is 0.02

    def log_joint(p: Parameters, x: Tensor, z: Tensor) -> Tensor:
        prior = log_normal(z, real(0.0), real(0.0)) + log_bernoulli(y, p["slope"] * z + p["prior"])
        mean = z.unsqueeze(-1) * p["weight"] + y.unsqueeze(-1) * p["shift"] + p["bias"]
        return prior + log_normal(x, mean, p["log_noise"]).sum(-1)  # (2, grid, n)

    def elbo(p: Parameters, x: Tensor) -> Tensor:
        # On the grid of the noise: nodes that move with q, as a pathwise draw does.
        z = x @ p["qz_weight"] + p["qz_bias"] + p["qz_log_scale"].exp() * grid[:, None]
        density = log_normal(grid, real(0.0), real(0.0)).exp()[:, None] * (grid[1] - grid[0])
        log_q = log_bernoulli(y, x @ p["qy_weight"] + p["qy_bias"] + p["qy_slope"] * z)
        inner = (log_q.exp() * (log_joint(p, x, z) - log_q)).sum(0)
        return (density * inner).sum(0) + entropy_normal(p["qz_log_scale"])

    def evidence(p: Parameters, x: Tensor) -> Tensor:
        return log_joint(p, x, grid[:, None]).logsumexp((0, 1)) + (grid[1] - grid[0]).log()

    model_values = {"slope": real(0.9), "prior": real(-0.2), "weight": real(0.8, -0.5)}
    model_values |= {"shift": real(-0.9, 0.6), "bias": real(0.2, 0.1), "log_noise": real(0.0)}
    guide_values = {"qz_weight": real(0.3, -0.2), "qz_bias": real(0.1), "qz_log_scale": real(0.0)}
    guide_values |= {"qy_weight": real(-0.5, 0.4), "qy_bias": real(-0.2), "qy_slope": real(0.6)}
    values, programs = Values(model_values, guide_values), Programs(model, guide)
    return Truth("mixed, z then y", Draws(10).normal(4, 2), KINDS, programs, values, Answers(elbo, evidence))
