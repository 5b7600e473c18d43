"""The hand-written twin: a VAE, its training and its test bound in plain torch, with nothing else.

What somebody who knows both the model and torch would write for this one model: the KL divergence in closed
form, one fused kernel for the likelihood and one for Adam, data in memory, batches by a single index.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class VAE(nn.Module):
    """Tanh networks, a normal posterior q(z | x), a standard normal prior and a Bernoulli likelihood."""

    def __init__(self, inputs: int = 784, hidden: int = 200, latent: int = 50) -> None:
        super().__init__()
        self.encoder = mlp(inputs, hidden, hidden, 2 * latent)
        self.decoder = mlp(latent, hidden, hidden, inputs)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction error, by one draw from q, and KL divergence: nats, both summed over the batch."""
        loc, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = loc + (0.5 * log_variance).exp() * torch.randn_like(loc)
        error = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (loc.square() + log_variance.exp() - 1 - log_variance).sum()
        return error, kl


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with a tanh between each two."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def adam(vae: VAE) -> torch.optim.Optimizer:
    """The optimiser of both twins."""
    return torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True)


def batches(x: Tensor, order: Iterable[Tensor]) -> Iterator[Tensor]:
    """One epoch of gray values ``(n, d)``, each batch binarised by a fresh draw."""
    for index in order:
        gray = x.index_select(0, index)
        # The law of torch.bernoulli(gray), in a third of its time on a CPU.
        yield torch.rand_like(gray).lt_(gray)


def shuffled(count: int, size: int = 128) -> Sequence[Tensor]:
    """The numbers of all data in a random order, batch by batch."""
    return torch.randperm(count).split(size)


def train(vae: VAE, optimiser: torch.optim.Optimizer, epoch: Iterable[Tensor]) -> float:
    """One pass over the data; returns its mean loss in nats per datum."""
    total = count = 0.0
    for x in epoch:
        optimiser.zero_grad()
        error, kl = vae.terms(x)
        loss = error + kl
        loss.backward()
        optimiser.step()
        total, count = total + loss.item(), count + len(x)
    return total / count


@torch.no_grad()
def bound(encoder: nn.Module, decoder: nn.Module, x: Tensor, *, samples: int, seed: int) -> Tensor:
    """The negative ELBO of each binary datum, ``(n,)`` nats: the mean over draws from q, the KL exact."""
    noise = torch.Generator().manual_seed(seed)
    results = []
    for part in x.split(1000):
        loc, log_variance = encoder(part).chunk(2, dim=-1)
        error = torch.zeros(len(part))
        for _ in range(samples):
            z = loc + (0.5 * log_variance).exp() * torch.randn(loc.shape, generator=noise)
            pixels = F.binary_cross_entropy_with_logits(decoder(z), part, reduction="none")
            error += pixels.sum(-1) / samples
        results.append(error + 0.5 * (loc.square() + log_variance.exp() - 1 - log_variance).sum(-1))
    return torch.cat(results)


def load(name: str, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """Gray values in [0, 1] of the training and the test images, ``(n, d)``: "mnist" in full, or "digits"."""
    if name == "digits":
        from sklearn.datasets import load_digits

        x = torch.tensor(load_digits().data, dtype=torch.float32) / 16
        return x[:1500], x[1500:]
    from torchvision.datasets import MNIST

    place = Path(root or os.environ.get("PYROVAE_DATA") or "~/.cache/pyrovae").expanduser()
    train, test = (MNIST(place, train=part, download=True).data for part in (True, False))
    return train.flatten(1) / 255, test.flatten(1) / 255
