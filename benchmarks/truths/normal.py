"""Normal latents under linear maps: every answer in closed form."""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from truths.densities import Draws, entropy_normal, expected_log_normal, log_gaussian, real
from truths.truth import Answers, Body, Kind, Parameters, Programs, Truth, Values


def linear_normal(name: str, *, size: int, latents: int, seed: int) -> Truth:
    """Probabilistic PCA, z ~ N(0, I), x | z ~ N(W z + b, s^2 I), under a diagonal q(z | x) of affine mean."""

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(p["weight"][0]), 1.0).to_event(1))
            mean = z @ p["weight"].T + p["bias"]
            pyro.sample("x", dist.Normal(mean, p["log_noise"].exp()).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            mean = x @ p["q_weight"].T + p["q_bias"]
            pyro.sample("z", dist.Normal(mean, p["q_log_scale"].exp()).to_event(1))

    def elbo(p: Parameters, x: Tensor) -> Tensor:
        mean, variance = x @ p["q_weight"].T + p["q_bias"], (2 * p["q_log_scale"]).exp()
        residual = x - mean @ p["weight"].T - p["bias"]
        likelihood = expected_log_normal(residual, p["weight"].square() @ variance, p["log_noise"])
        prior = expected_log_normal(mean, variance, real(0.0))
        return likelihood.sum(-1) + prior.sum(-1) + entropy_normal(p["q_log_scale"]).sum()

    def evidence(p: Parameters, x: Tensor) -> Tensor:
        noise = (2 * p["log_noise"]).exp() * torch.eye(size, dtype=x.dtype)
        return log_gaussian(x, p["bias"], p["weight"] @ p["weight"].T + noise)

    draws = Draws(seed)
    weight, bias = draws.normal(size, latents, scale=0.8), draws.normal(size, scale=0.3)
    # Near the posterior, for usable importance weights, and wider, for weights of finite variance.
    precision = torch.eye(latents, dtype=torch.float64) + weight.T @ weight / 0.7**2
    encoder = torch.linalg.solve(precision, weight.T) / 0.7**2
    widest = torch.linalg.eigvalsh(precision).min().rsqrt()
    values = Values(
        {"weight": weight, "bias": bias, "log_noise": real(0.7).log()},
        {
            "q_weight": 0.9 * encoder + draws.normal(latents, size, scale=0.03),
            "q_bias": -encoder @ bias + draws.normal(latents, scale=0.1),
            "q_log_scale": (1.15 * widest).log() + draws.normal(latents, scale=0.1).abs(),
        },
    )
    data = draws.normal(4, latents) @ weight.T + bias + draws.normal(4, size, scale=0.7)
    answers = Answers(elbo, evidence)
    return Truth(name, data, {"z": "reparameterized"}, Programs(model, guide), values, answers)


def two_level(name: str, guide: Body, moments: Callable[..., tuple[Tensor, ...]], extra: Values) -> Truth:
    """z2 ~ N(0, 1), z1 | z2 ~ N(a z2, 1), x | z1 ~ N(w z1 + b, s^2 I); the latents are scalars of the plate.

    Args:
        moments: Under the guide, mean and variance of z1, of z2 and of z1 - a z2.
        extra: The guide's parameters.
    """

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z2 = pyro.sample("z2", dist.Normal(torch.zeros_like(p["slope"]), 1.0))
            z1 = pyro.sample("z1", dist.Normal(p["slope"] * z2, 1.0))
            mean = z1.unsqueeze(-1) * p["weight"] + p["bias"]
            pyro.sample("x", dist.Normal(mean, p["log_noise"].exp()).to_event(1), obs=x)

    def elbo(p: Parameters, x: Tensor) -> Tensor:
        mean1, variance1, mean2, variance2, mean_step, variance_step = moments(p, x)
        residual = x - mean1.unsqueeze(-1) * p["weight"] - p["bias"]
        spread = variance1.unsqueeze(-1) * p["weight"].square()
        likelihood = expected_log_normal(residual, spread, p["log_noise"]).sum(-1)
        step = expected_log_normal(mean_step, variance_step, real(0.0))
        top = expected_log_normal(mean2, variance2, real(0.0))
        return likelihood + step + top + entropy_normal(p["q1_log_scale"]) + entropy_normal(p["q2_log_scale"])

    def evidence(p: Parameters, x: Tensor) -> Tensor:
        noise = (2 * p["log_noise"]).exp() * torch.eye(len(p["bias"]), dtype=x.dtype)
        covariance = (1 + p["slope"].square()) * torch.outer(p["weight"], p["weight"])
        return log_gaussian(x, p["bias"], covariance + noise)

    draws = Draws(3)
    own = {"slope": real(0.8), "weight": real(0.9, -0.6), "bias": real(0.2, -0.1), "log_noise": real(-0.2)}
    values = Values(own, extra.guide)
    kinds: dict[str, Kind] = {"z1": "reparameterized", "z2": "reparameterized"}
    return Truth(name, draws.normal(4, 2), kinds, Programs(model, guide), values, Answers(elbo, evidence))


def bottom_up() -> Truth:
    """q(z1 | x) q(z2 | z1), against the model's order.

    KL(q(z1 | x) || p(z1 | z2)) is *not* this ELBO's term: z2 depends on z1 under the guide.
    """

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z1 = pyro.sample("z1", dist.Normal(x @ p["q1_weight"] + p["q1_bias"], p["q1_log_scale"].exp()))
            pyro.sample("z2", dist.Normal(p["q2_slope"] * z1 + p["q2_bias"], p["q2_log_scale"].exp()))

    def moments(p: Parameters, x: Tensor) -> tuple[Tensor, ...]:
        mean1, variance1 = x @ p["q1_weight"] + p["q1_bias"], (2 * p["q1_log_scale"]).exp()
        own2 = (2 * p["q2_log_scale"]).exp()
        mean2, variance2 = p["q2_slope"] * mean1 + p["q2_bias"], p["q2_slope"].square() * variance1 + own2
        mean_step = mean1 - p["slope"] * mean2
        variance_step = (1 - p["slope"] * p["q2_slope"]).square() * variance1 + p["slope"].square() * own2
        return mean1, variance1, mean2, variance2, mean_step, variance_step

    first = {"q1_weight": real(0.5, -0.2), "q1_bias": real(0.1), "q1_log_scale": real(-0.1)}
    second = {"q2_slope": real(0.4), "q2_bias": real(-0.1), "q2_log_scale": real(0.0)}
    return two_level("two-level normal, bottom-up", guide, moments, Values({}, first | second))


def top_down() -> Truth:
    """q(z2 | x) q(z1 | x, z2), in the model's order: its KL terms are those of its sites."""

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z2 = pyro.sample("z2", dist.Normal(x @ p["q2_weight"] + p["q2_bias"], p["q2_log_scale"].exp()))
            mean = x @ p["q1_weight"] + p["q1_bias"] + p["q1_slope"] * z2
            pyro.sample("z1", dist.Normal(mean, p["q1_log_scale"].exp()))

    def moments(p: Parameters, x: Tensor) -> tuple[Tensor, ...]:
        mean2, variance2 = x @ p["q2_weight"] + p["q2_bias"], (2 * p["q2_log_scale"]).exp()
        base, own1 = x @ p["q1_weight"] + p["q1_bias"], (2 * p["q1_log_scale"]).exp()
        mean1, variance1 = base + p["q1_slope"] * mean2, own1 + p["q1_slope"].square() * variance2
        gap = p["q1_slope"] - p["slope"]
        return mean1, variance1, mean2, variance2, base + gap * mean2, own1 + gap.square() * variance2

    first = {"q1_weight": real(0.4, -0.2), "q1_bias": real(0.1), "q1_slope": real(0.3)}
    second = {"q2_weight": real(0.2, -0.1), "q2_bias": real(-0.1), "q2_log_scale": real(0.0)}
    extra = Values({}, first | second | {"q1_log_scale": real(-0.1)})
    return two_level("two-level normal, top-down", guide, moments, extra)
