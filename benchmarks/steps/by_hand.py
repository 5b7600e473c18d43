"""The step by hand: the three losses as a torch user writes them, eager or through torch.compile.

KL divergences in closed form where the estimator allows them, one fused kernel for the likelihood, sums over
the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steps.networks import Networks, load, tensors
from steps.problem import Problem
from steps.workloads import LEARNING_RATE


class VAE(Networks):
    """The negative ELBO by one draw from q, the KL exact."""

    def forward(self, x: Tensor) -> Tensor:
        loc, log_scale = self.encoder(x).chunk(2, dim=-1)
        scale = log_scale.exp()
        z = loc + scale * torch.randn_like(loc)
        error = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        return error + (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum()


class IWAE(Networks):
    """The importance-weighted bound of each datum, by K draws (Burda et al. 2016, arXiv:1509.00519)."""

    def forward(self, x: Tensor) -> Tensor:
        particles = self.work.particles
        loc, log_scale = self.encoder(x).chunk(2, dim=-1)
        noise = torch.randn(particles, *loc.shape, device=x.device)
        z = loc + log_scale.exp() * noise
        logits = self.decoder(z)
        log_likelihood = -F.binary_cross_entropy_with_logits(
            logits, x.expand_as(logits), reduction="none"
        ).sum(-1)
        # The constants of log p(z) and log q(z | x) cancel.
        log_weight = log_likelihood - (0.5 * (z.square() - noise.square()) - log_scale).sum(-1)
        return -(torch.logsumexp(log_weight, 0) - math.log(particles)).sum()


class M2(Networks):
    """Unlabelled data, the class summed out (Kingma et al. 2014, arXiv:1406.5298), all classes at once."""

    def forward(self, x: Tensor) -> Tensor:
        classes, batch = self.work.classes, len(x)
        log_q = self.classifier(x).log_softmax(-1).T
        y = torch.eye(classes, device=x.device)[:, None].expand(classes, batch, classes)
        x = x.expand(classes, *x.shape)
        loc, log_scale = self.encoder(torch.cat([x, y], -1)).chunk(2, dim=-1)
        scale = log_scale.exp()
        z = loc + scale * torch.randn_like(loc)
        logits = self.decoder(torch.cat([z, y], -1))
        error = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
        kl = (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum(-1)
        return (log_q.exp() * (error + kl + math.log(classes) + log_q)).sum()


def loss_of(problem: Problem, device: str) -> Networks:
    """The workload's loss as a module, with the common weights."""
    work = problem.work
    kind = IWAE if work.particles > 1 else M2 if work.classes else VAE
    module = kind(work)
    load(module, problem)
    return module.to(device)


class Step:
    """Forward, backward, update, and the loss as a float."""

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Tensor], Tensor],
        optimiser: torch.optim.Optimizer,
        batches: list[Tensor],
    ) -> None:
        self.module, self.compute, self.optimiser, self.batches = module, loss, optimiser, batches

    def step(self, x: Tensor) -> float:
        self.optimiser.zero_grad()
        loss = self.compute(x)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    @torch.no_grad()
    def loss(self, x: Tensor) -> float:
        return self.compute(x).item()


def build(problem: Problem, how: str, device: str) -> Step:
    """``how``: eager or compile, either with "-fused" behind."""
    module = loss_of(problem, device)
    fused = True if how.endswith("-fused") else None  # None is torch's default
    optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=fused)
    loss = torch.compile(module) if how.startswith("compile") else module
    return Step(module, loss, optimiser, tensors(problem, device))
