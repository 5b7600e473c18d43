"""Finite sites that depend on each other, or lie in a plate of their own: enumerable one by one."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from truths.densities import Draws, binary_states, enumerated, log_bernoulli, log_normal, real
from truths.truth import Kind, Parameters, Programs, Truth, Values


def nested() -> Truth:
    """A Bernoulli y of each datum, a Bernoulli b of each of its three entries, x | y, b normal by entry.

    The plate "data" is at dim -2, "entries" at dim -1; the guide is q(y | x) q(b | x, y). What an entry's b
    costs is in its own entry alone: a score function that adds the others' is right in mean, and noisier.
    """
    entries = 3

    def local_prior(p: Parameters, y: Tensor) -> Tensor:
        return p["local"] + p["slope"] * y

    def mean(p: Parameters, y: Tensor, b: Tensor) -> Tensor:
        return p["bias"] + p["weight"] * b + p["shift"] * y

    def local_guide(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return p["q_gain"] * x + p["q_local"] + p["q_slope"] * y

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-2):
            y = pyro.sample("y", dist.Bernoulli(logits=p["prior"]))
            with pyro.plate("entries", entries, dim=-1):
                b = pyro.sample("b", dist.Bernoulli(logits=local_prior(p, y)))
                pyro.sample("x", dist.Normal(mean(p, y, b), p["log_noise"].exp()), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-2):
            y = pyro.sample("y", dist.Bernoulli(logits=(x @ p["q_weight"] + p["q_bias"]).unsqueeze(-1)))
            with pyro.plate("entries", entries, dim=-1):
                pyro.sample("b", dist.Bernoulli(logits=local_guide(p, x, y)))

    both = binary_states(1 + entries)
    y, b = both[:, None, :1], both[:, None, 1:]  # (S, 1, 1), (S, 1, entries)

    def log_joint(p: Parameters, x: Tensor) -> Tensor:
        top = log_bernoulli(y, p["prior"]).squeeze(-1)
        locals_ = log_bernoulli(b, local_prior(p, y)) + log_normal(x, mean(p, y, b), p["log_noise"])
        return top + locals_.sum(-1)

    def log_guide(p: Parameters, x: Tensor) -> Tensor:
        top = log_bernoulli(y.squeeze(-1), x @ p["q_weight"] + p["q_bias"])
        return top + log_bernoulli(b, local_guide(p, x, y)).sum(-1)

    draws = Draws(7)
    values = Values(
        {
            "prior": real(0.3),
            "local": draws.normal(entries, scale=0.5),
            "slope": real(0.7),
            "bias": draws.normal(entries, scale=0.5),
            "weight": draws.normal(entries),
            "shift": real(-0.8),
            "log_noise": real(0.1),
        },
        {
            "q_weight": draws.normal(entries, scale=0.5),
            "q_bias": real(0.1),
            "q_gain": draws.normal(entries, scale=0.5),
            "q_local": draws.normal(entries, scale=0.4),
            "q_slope": real(0.5),
        },
    )
    kinds: dict[str, Kind] = {"y": "finite", "b": "finite"}
    answers = enumerated(log_joint, log_guide)
    programs = Programs(model, guide)
    return Truth("nested plates", draws.normal(4, entries), kinds, programs, values, answers, 2)


def chain() -> Truth:
    """y2 -> y1 -> x with scalar categories, three of y1 and two of y2; the guide is q(y1 | x) q(y2 | y1)."""

    def model(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            y2 = pyro.sample("y2", dist.Categorical(logits=p["prior"]))
            y1 = pyro.sample("y1", dist.Categorical(logits=p["table"][y2]))
            pyro.sample("x", dist.Normal(p["means"][y1], p["log_noise"].exp()).to_event(1), obs=x)

    def guide(p: Parameters, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            y1 = pyro.sample("y1", dist.Categorical(logits=x @ p["q1_weight"].T + p["q1_bias"]))
            pyro.sample("y2", dist.Categorical(logits=p["q2_table"][y1]))

    y1, y2 = torch.cartesian_prod(torch.arange(3), torch.arange(2)).T

    def log_joint(p: Parameters, x: Tensor) -> Tensor:
        prior = p["prior"].log_softmax(-1)[y2] + p["table"].log_softmax(-1)[y2, y1]
        likelihood = log_normal(x, p["means"][y1].unsqueeze(1), p["log_noise"]).sum(-1)
        return prior.unsqueeze(-1) + likelihood

    def log_guide(p: Parameters, x: Tensor) -> Tensor:
        lower = (x @ p["q1_weight"].T + p["q1_bias"]).log_softmax(-1).T[y1]
        return lower + p["q2_table"].log_softmax(-1)[y1, y2].unsqueeze(-1)

    draws = Draws(14)
    values = Values(
        {
            "prior": draws.normal(2, scale=0.5),
            "table": draws.normal(2, 3),
            "means": draws.normal(3, 2),
            "log_noise": real(0.1),
        },
        {
            "q1_weight": draws.normal(3, 2, scale=0.6),
            "q1_bias": draws.normal(3, scale=0.4),
            "q2_table": draws.normal(3, 2, scale=0.6),
        },
    )
    kinds: dict[str, Kind] = {"y1": "finite", "y2": "finite"}
    answers = enumerated(log_joint, log_guide)
    name = "two-level categorical, bottom-up"
    return Truth(name, draws.normal(4, 2), kinds, Programs(model, guide), values, answers)
