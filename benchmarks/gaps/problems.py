"""Three small models whose posteriors are a banana, two modes, and a thin slanted ellipse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

LATENT = 2


@dataclass(frozen=True)
class Problem:
    """Two standard normal latents, and two observations of functions of them.

    Attributes:
        story: what is observed, as it is written.
        mean: of x given z, from ``(..., 2)`` to ``(..., 2)``.
        noise: the standard deviations of x.
        at_least: data whose first entry is smaller are left out, so that every posterior has the shape.
        shown: the datum of the picture.
    """

    name: str
    story: str
    mean: Callable[[Tensor], Tensor]
    noise: tuple[float, float]
    shown: tuple[float, float]
    at_least: float | None = None

    def model(self, x: Tensor | None = None, *given: Any, size: int | None = None) -> Tensor:
        """p(x | z) p(z): without parameters, so that the guide alone is trained."""
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), 1.0).to_event(1))
            x_drawn: Tensor = pyro.sample(
                "x", dist.Normal(self.mean(z), torch.tensor(self.noise)).to_event(1), obs=x
            )
        return x_drawn

    def data(self, count: int, seed: int) -> Tensor:
        """So many data of the model, ``(count, 2)``."""
        noise, found, kept = torch.Generator().manual_seed(seed), [torch.empty(0, 2)], 0
        while kept < count:
            z = torch.randn(count, LATENT, generator=noise)
            x = self.mean(z) + torch.tensor(self.noise) * torch.randn(count, 2, generator=noise)
            found.append(x if self.at_least is None else x[x[:, 0] > self.at_least])
            kept += len(found[-1])
        return torch.cat(found)[:count]


def _banana(z: Tensor) -> Tensor:
    z1, z2 = z.unbind(-1)
    return torch.stack((z2 + z1.square() / 2, z1), -1)


def _bimodal(z: Tensor) -> Tensor:
    z1, z2 = z.unbind(-1)
    return torch.stack((z1.square(), z2), -1)


def _correlated(z: Tensor) -> Tensor:
    z1, z2 = z.unbind(-1)
    return torch.stack((z1 + z2, z1 - z2), -1)


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("banana", "x1 ~ N(z2 + z1² / 2, 0.1), x2 ~ N(z1, 1)", _banana, (0.1, 1.0), (0.5, 0.0)),
        Problem(
            "bimodal",
            "x1 ~ N(z1², 0.5) above 1, x2 ~ N(z2, 0.5)",
            _bimodal,
            (0.5, 0.5),
            (1.5, 0.5),
            at_least=1.0,
        ),
        Problem(
            "correlated", "x1 ~ N(z1 + z2, 0.08), x2 ~ N(z1 - z2, 1)", _correlated, (0.08, 1.0), (0.5, 0.0)
        ),
    )
}
