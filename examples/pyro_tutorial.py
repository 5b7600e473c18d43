"""The VAE of Pyro's own tutorial, a class with a ``model`` and a ``guide``, trained by ``pyrovae.fit``.

    python examples/pyro_tutorial.py --epochs 100                        on the embedded digits
    python examples/pyro_tutorial.py --data mnist --root DIR --epochs 20

The pair knows nothing of pyrovae: softplus networks of 400 hidden units, 50 latent dimensions, images that
are flattened inside. Two things differ from the tutorial. The decoder returns logits, which are no slower and
keep their precision near 0 and 1. And pixels are drawn as 0 or 1: for the gray in between a Bernoulli has no
density, and a bound on it would be a bound on nothing.

Reference: https://pyro.ai/examples/vae.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyro
import pyro.distributions as dist
from torch import Tensor, nn

import pyrovae as pv


class Encoder(nn.Module):
    """From an image to the loc and the scale of its latent."""

    def __init__(self, pixels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.Softplus())
        self.loc, self.log_scale = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return self.loc(features), self.log_scale(features).exp()


class VAE(nn.Module):
    """Generative process and posterior in one object that owns both networks."""

    def __init__(self, pixels: int, hidden: int = 400, latent: int = 50) -> None:
        super().__init__()
        self.encoder = Encoder(pixels, hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.Softplus(), nn.Linear(hidden, pixels))
        self.latent = latent

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            zeros = x.new_zeros(len(x), self.latent)
            z = pyro.sample("latent", dist.Normal(zeros, 1.0).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x.flatten(1))

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, scale = self.encoder(x)
            pyro.sample("latent", dist.Normal(loc, scale).to_event(1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--data", default="digits", help="digits, mnist, fashionmnist, ...")
    parser.add_argument("--root", type=Path, help="where the data set lies or is downloaded to")
    options = parser.parse_args()

    pyro.set_rng_seed(0)
    images = pv.data.load(options.data, root=options.root, transform=pv.data.Binarize())
    vae = VAE(pixels=images.train.shape.numel())
    run = pv.fit(vae.model, vae.guide, images.train, validation=images.validation, epochs=options.epochs)

    for row in (run.history[0], run.history.best):
        print(f"validation after epoch {row.epoch}: loss {row.validation_loss:.2f} nats per image")
    bound = pv.evaluate.elbo(run, images.test.transformed(seed=0), num_samples=10)
    print(f"test bound: {bound.mean()} nats per image")
    kl = bound.kl_per_dimension["latent"].mean(0)
    print(
        f"{(kl > 0.1).sum()} of {len(kl)} latent dimensions are in use, the others are as the prior has them"
    )


if __name__ == "__main__":
    main()
