"""The step by Pyro: model and guide as its tutorials write them, trained by ``pyro.infer.SVI``."""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, RenyiELBO, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO, config_enumerate
from torch import Tensor

from steps.networks import Networks, load, tensors
from steps.problem import Problem
from steps.workloads import LEARNING_RATE, Workload

Likelihood = Callable[[Tensor], dist.Distribution]


def by_probs(logits: Tensor) -> dist.Distribution:
    """As the tutorial has it: the network ends in a sigmoid."""
    return dist.Bernoulli(probs=logits.sigmoid()).to_event(1)


def by_logits(logits: Tensor) -> dist.Distribution:
    """The stable and the faster way."""
    return dist.Bernoulli(logits=logits).to_event(1)


class VAE(Networks):
    """A normal latent for each datum; also the IWAE's pair, whose particles the objective brings."""

    def __init__(self, work: Workload, likelihood: Likelihood) -> None:
        super().__init__(work)
        self.likelihood = likelihood

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            loc = x.new_zeros(len(x), self.work.latent)
            z = pyro.sample("z", dist.Normal(loc, torch.ones_like(loc)).to_event(1))
            pyro.sample("x", self.likelihood(self.decoder(z)), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, log_scale = self.encoder(x).chunk(2, dim=-1)
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


class M2(VAE):
    """A class and a normal latent for each datum; the guide's class is enumerated."""

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=x.new_zeros(len(x), self.work.classes)))
            loc = x.new_zeros(len(x), self.work.latent)
            z = pyro.sample("z", dist.Normal(loc, torch.ones_like(loc)).to_event(1))
            pyro.sample("x", self.likelihood(self.decoder(beside(z, y))), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("classifier", self.classifier)
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=self.classifier(x)))
            loc, log_scale = self.encoder(beside(x, y)).chunk(2, dim=-1)
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


def beside(a: Tensor, b: Tensor) -> Tensor:
    """Two batches, one of them perhaps enumerated, joined along the last dimension."""
    shape = torch.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    return torch.cat([a.expand(*shape, -1), b.expand(*shape, -1)], -1)


def pair(problem: Problem, likelihood: Likelihood, device: str) -> tuple[Callable, Callable]:
    """Model and guide of a workload, with the common weights."""
    work = problem.work
    programs = (M2 if work.classes else VAE)(work, likelihood)
    load(programs, problem)
    programs.to(device)
    return programs.model, config_enumerate(programs.guide) if work.classes else programs.guide


def objective(work: Workload, *, closed_form: bool) -> pyro.infer.ELBO:
    """The objective that the workload asks for."""
    if work.particles > 1:
        return RenyiELBO(alpha=0, num_particles=work.particles, vectorize_particles=True, max_plate_nesting=1)
    if work.classes:
        return TraceEnum_ELBO(max_plate_nesting=1)
    return TraceMeanField_ELBO() if closed_form else Trace_ELBO()


class Step:
    """An SVI object and the batches that it is stepped through."""

    def __init__(self, svi: SVI, batches: list[Tensor]) -> None:
        self.svi, self.batches, self.step = svi, batches, svi.step

    def loss(self, x: Tensor) -> float:
        return self.svi.evaluate_loss(x)


def build(problem: Problem, how: str, device: str) -> Step:
    """``how``: tutorial (probs, validation, Monte Carlo KL) or best (logits, no validation, exact KL)."""
    tutorial = how == "tutorial"
    pyro.enable_validation(tutorial)
    model, guide = pair(problem, by_probs if tutorial else by_logits, device)
    loss = objective(problem.work, closed_form=not tutorial)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": LEARNING_RATE}), loss)
    return Step(svi, tensors(problem, device))
