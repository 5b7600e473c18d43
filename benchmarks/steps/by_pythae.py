"""The step by pythae: its model with our layers, and what its trainer does with a batch."""

from __future__ import annotations

import torch
from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn

from steps import networks
from steps.problem import Problem
from steps.workloads import LEARNING_RATE, Workload


class Encoder(BaseEncoder):
    def __init__(self, work: Workload) -> None:
        super().__init__()
        self.layers = networks.encoder(work)

    def forward(self, x: Tensor) -> ModelOutput:
        loc, log_scale = self.layers(x).chunk(2, dim=-1)
        return ModelOutput(embedding=loc, log_covariance=2 * log_scale)


class Decoder(BaseDecoder):
    """With a sigmoid behind, as pythae's cross-entropy wants it."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        self.layers = nn.Sequential(*networks.decoder(work), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


class Step:
    """pythae's training step without its DataLoader, progress bar and callbacks."""

    def __init__(self, problem: Problem, device: str) -> None:
        work = problem.work
        kind, config, more = (
            (IWAE, IWAEConfig, {"number_samples": work.particles})
            if work.particles > 1
            else (VAE, VAEConfig, {})
        )
        settings = config(input_dim=(work.inputs,), latent_dim=work.latent, reconstruction_loss="bce", **more)
        self.model = kind(settings, Encoder(work), Decoder(work)).to(device)
        networks.load(self.model.encoder.layers, problem, "encoder.")
        networks.load(self.model.decoder.layers, problem, "decoder.")
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.batches = networks.tensors(problem, device)

    def step(self, x: Tensor) -> float:
        loss = self.model({"data": x}).loss
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item() * len(x)  # pythae divides by the batch

    @torch.no_grad()
    def loss(self, x: Tensor) -> float:
        return self.model({"data": x}).loss.item() * len(x)


def build(problem: Problem, how: str, device: str) -> Step:  # noqa: ARG001  (all sides are built alike)
    return Step(problem, device)
