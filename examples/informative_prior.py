"""Domain knowledge as a prior: the first latent of turned digits becomes the angle by which they were turned.

    python examples/informative_prior.py --epochs 30

Every digit is turned by an angle between -60 and 60 degrees. Of one in five the angle is known, as if
someone had measured it. That goes into the prior of the first latent, in units of the angles' spread,

    p(z_1 | angle known) = N(angle, 0.1^2),    p(z_1 | angle not known) = N(0, 1),

and the other latents have a standard normal. Nothing else changes. The guide reads the picture alone, so it
must learn to see the angle; on new pictures, whose angles nobody has measured, z_1 tells it. With a standard
normal prior the angle may end up in another latent, or in several; nothing says in which.
"""

from __future__ import annotations

import argparse

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

import pyrovae as pv

LARGEST = np.deg2rad(60)
SPREAD = LARGEST / np.sqrt(3)  # of a uniform distribution
STYLE = 7


def turned(images: Tensor, angle: Tensor) -> Tensor:
    """Images ``(n, 1, 8, 8)``, each turned by its angle in radians, binarised, ``(n, 64)``."""
    cos, sin = angle.cos(), angle.sin()
    zero = torch.zeros_like(angle)
    turns = torch.stack([torch.stack([cos, -sin, zero], -1), torch.stack([sin, cos, zero], -1)], 1)
    grid = affine_grid(turns, list(images.shape), align_corners=False)
    return (grid_sample(images, grid, align_corners=False) > 0.4).float().flatten(1)


def angle_if_known(y: Tensor) -> dist.Distribution:
    """The prior of the first latent; y are angles and whether they are known (1 or 0), ``(n, 2)``."""
    angle, known = y[:, :1], y[:, 1:]
    return dist.Normal(known * angle / SPREAD, 0.1 * known + 1.0 * (1 - known)).to_event(1)


PRIORS = {
    "informative": lambda: pv.priors.Joint(angle=angle_if_known, style=pv.priors.StandardNormal(STYLE)),
    "standard normal": lambda: pv.priors.StandardNormal(1 + STYLE),
}


def correlations(latents: Tensor, angle: Tensor) -> np.ndarray:
    """Of each latent with the angle, without sign."""
    return np.abs(np.corrcoef(torch.cat([latents, angle[:, None]], 1).T.numpy())[-1, :-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--known", type=float, default=0.2, help="the share of the training digits")
    options = parser.parse_args()

    digits = pv.data.load("digits")
    pyro.set_rng_seed(0)
    data = {}
    for name in ("train", "validation", "test"):
        images = getattr(digits, name).transformed()
        copies = 4 if name == "train" else 1  # each turned by an angle of its own
        images = images.repeat(copies, 1, 1, 1)
        angle = LARGEST * (2 * torch.rand(len(images)) - 1)
        share = options.known if name == "train" else 0.0
        known = (torch.rand(len(images)) < share).float()
        data[name] = (turned(images, angle), torch.stack([angle, known], 1))
    test_angle = data["test"][1][:, 0]

    for name, make in PRIORS.items():
        pyro.set_rng_seed(0)
        model = pv.models.VAE(make(), pv.nets.MLP(1 + STYLE, 200, 64), pv.heads.bernoulli)
        guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 200, 2 * (1 + STYLE)), pv.heads.normal))
        run = pv.fit(model, guide, data["train"], validation=data["validation"], epochs=options.epochs)
        bound = pv.evaluate.elbo(run, data["test"], num_samples=50)
        found = correlations(pv.predict.embed(run, data["test"]), test_angle)
        print(f"prior: {name}")
        print(f"  test bound: {bound.mean()} nats per digit")
        print(
            f"  correlation of z_1 with the angle: {found[0]:.3f}, of any other latent: {found[1:].max():.3f}"
        )


if __name__ == "__main__":
    main()
