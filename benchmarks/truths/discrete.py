"""Finite latents: every answer is a sum over the states, bounds of many particles included."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from truths.densities import Draws, binary_states, enumerated, log_bernoulli, log_normal, real
from truths.truth import Kind, Parameters, Programs, Truth, Values


def bernoulli(name: str, *, size: int, latents: int, seed: int) -> Truth:
    """z a vector of Bernoullis with a learned prior, x | z Bernoulli through a tanh layer."""
    hidden = 3

    def decode(p: Parameters, z: Tensor) -> Tensor:
        return torch.tanh(z @ p["weight1"].T + p["bias1"]) @ p["weight2"].T + p["bias2"]

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Bernoulli(logits=p["prior"]).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decode(p, z)).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            logits = x @ p["q_weight"].T + p["q_bias"]
            pyro.sample("z", dist.Bernoulli(logits=logits).to_event(1))

    states = binary_states(latents)

    def log_joint(p: Parameters, x: Tensor) -> Tensor:
        prior = log_bernoulli(states, p["prior"]).sum(-1)
        return prior.unsqueeze(-1) + log_bernoulli(x, decode(p, states).unsqueeze(1)).sum(-1)

    def log_guide(p: Parameters, x: Tensor) -> Tensor:
        return log_bernoulli(states.unsqueeze(1), x @ p["q_weight"].T + p["q_bias"]).sum(-1)

    draws = Draws(seed)
    values = Values(
        {
            "prior": draws.normal(latents, scale=0.7),
            "weight1": draws.normal(hidden, latents),
            "bias1": draws.normal(hidden, scale=0.5),
            "weight2": draws.normal(size, hidden),
            "bias2": draws.normal(size, scale=0.5),
        },
        {"q_weight": draws.normal(latents, size, scale=0.6), "q_bias": draws.normal(latents, scale=0.4)},
    )
    answers = enumerated(log_joint, log_guide)
    programs = Programs(model, guide)
    return Truth(name, draws.binary(4, size), {"z": "bernoulli vector"}, programs, values, answers)


def categorical(name: str, *, one_hot: bool) -> Truth:
    """y ~ Categorical over four, by number or as a one-hot vector; x | y ~ N(mean of y, s^2 I)."""
    family = dist.OneHotCategorical if one_hot else dist.Categorical

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", family(logits=p["prior"]))
            mean = y @ p["means"] if one_hot else p["means"][y]
            pyro.sample("x", dist.Normal(mean, p["log_noise"].exp()).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("y", family(logits=x @ p["q_weight"].T + p["q_bias"]))

    def log_joint(p: Parameters, x: Tensor) -> Tensor:
        likelihood = log_normal(x, p["means"].unsqueeze(1), p["log_noise"]).sum(-1)
        return p["prior"].log_softmax(-1).unsqueeze(-1) + likelihood

    def log_guide(p: Parameters, x: Tensor) -> Tensor:
        return (x @ p["q_weight"].T + p["q_bias"]).log_softmax(-1).T

    draws = Draws(5)
    values = Values(
        {"prior": draws.normal(4, scale=0.5), "means": draws.normal(4, 2), "log_noise": real(0.1)},
        {"q_weight": draws.normal(4, 2, scale=0.6), "q_bias": draws.normal(4, scale=0.4)},
    )
    answers = enumerated(log_joint, log_guide)
    return Truth(name, draws.normal(4, 2), {"y": "finite"}, Programs(model, guide), values, answers)


def two_layers() -> Truth:
    """Vectors of Bernoullis h2 -> h1 -> x, and a guide the other way: q(h1 | x) q(h2 | h1)."""
    size, size1, size2 = 3, 3, 2

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            h2 = pyro.sample("h2", dist.Bernoulli(logits=p["prior"]).to_event(1))
            h1 = pyro.sample("h1", dist.Bernoulli(logits=h2 @ p["weight1"].T + p["bias1"]).to_event(1))
            mean = h1 @ p["weight"].T + p["bias"]
            pyro.sample("x", dist.Normal(mean, p["log_noise"].exp()).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            logits = x @ p["q1_weight"].T + p["q1_bias"]
            h1 = pyro.sample("h1", dist.Bernoulli(logits=logits).to_event(1))
            pyro.sample("h2", dist.Bernoulli(logits=h1 @ p["q2_weight"].T + p["q2_bias"]).to_event(1))

    both = binary_states(size1 + size2)
    h1, h2 = both[:, :size1], both[:, size1:]

    def log_joint(p: Parameters, x: Tensor) -> Tensor:
        prior = log_bernoulli(h2, p["prior"]).sum(-1)
        prior = prior + log_bernoulli(h1, h2 @ p["weight1"].T + p["bias1"]).sum(-1)
        mean = (h1 @ p["weight"].T + p["bias"]).unsqueeze(1)
        return prior.unsqueeze(-1) + log_normal(x, mean, p["log_noise"]).sum(-1)

    def log_guide(p: Parameters, x: Tensor) -> Tensor:
        lower = log_bernoulli(h1.unsqueeze(1), x @ p["q1_weight"].T + p["q1_bias"]).sum(-1)
        return lower + log_bernoulli(h2, h1 @ p["q2_weight"].T + p["q2_bias"]).sum(-1, keepdim=True)

    draws = Draws(6)
    values = Values(
        {
            "prior": draws.normal(size2, scale=0.5),
            "weight1": draws.normal(size1, size2),
            "bias1": draws.normal(size1, scale=0.5),
            "weight": draws.normal(size, size1),
            "bias": draws.normal(size, scale=0.5),
            "log_noise": real(0.1),
        },
        {
            "q1_weight": draws.normal(size1, size, scale=0.6),
            "q1_bias": draws.normal(size1, scale=0.4),
            "q2_weight": draws.normal(size2, size1, scale=0.6),
            "q2_bias": draws.normal(size2, scale=0.4),
        },
    )
    kinds: dict[str, Kind] = {"h1": "bernoulli vector", "h2": "bernoulli vector"}
    answers = enumerated(log_joint, log_guide)
    name = "two-level bernoulli, bottom-up"
    return Truth(name, draws.normal(4, size), kinds, Programs(model, guide), values, answers)
