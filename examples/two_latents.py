"""A model of your own with two latents, under two guides: what does it cost to assume independence?

    python examples/two_latents.py --epochs 100

The story has two chapters. A digit's gist z2 is drawn first, then its details z1 about what the gist leads
one to expect, then the pixels:

    p(x | z1) p(z1 | z2) p(z2)

The first guide treats the two latents as independent given the picture, q(z1 | x) q(z2 | x). The second lets
the gist follow from the details, q(z1 | x) q(z2 | z1), which is how the model itself hangs together. The
model stays as it is: only the guide is another.
"""

from __future__ import annotations

import argparse

import pyro
from torch import Tensor, nn

import pyrovae as pv

DETAILS, GIST = 8, 2


class GistAndDetails(nn.Module):
    """p(x | z1) p(z1 | z2) p(z2); a plain module, which Pyro needs no more than a function."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = pv.priors.StandardNormal(GIST)
        self.details = pv.nets.MLP(GIST, 50, 2 * DETAILS)
        self.pixels = pv.nets.MLP(DETAILS, 200, 64)

    def forward(self, x: Tensor | None = None, size: int = 1) -> Tensor:
        pyro.module("gist_and_details", self)
        with pyro.plate("data", size if x is None else len(x)):
            z2 = pyro.sample("z2", self.prior())
            z1 = pyro.sample("z1", pv.heads.normal(self.details(z2)))
            return pyro.sample("x", pv.heads.bernoulli(self.pixels(z1)), obs=x)


class BottomUp(nn.Module):
    """q(z1 | x) q(z2 | z1): the gist is read off the details, not off the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.details = pv.nets.MLP(64, 200, 2 * DETAILS)
        self.gist = pv.nets.MLP(DETAILS, 50, 2 * GIST)

    def forward(self, x: Tensor, size: int | None = None) -> None:
        pyro.module("bottom_up", self)
        with pyro.plate("data", len(x)):
            z1 = pyro.sample("z1", pv.heads.normal(self.details(x)))
            pyro.sample("z2", pv.heads.normal(self.gist(z1)))


def independent() -> nn.Module:
    """q(z1 | x) q(z2 | x): one network and one head for each latent, by its name."""
    return pv.guides.Amortized(
        z1=(pv.nets.MLP(64, 200, 2 * DETAILS), pv.heads.normal),
        z2=(pv.nets.MLP(64, 50, 2 * GIST), pv.heads.normal),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=100)
    epochs = parser.parse_args().epochs

    digits = pv.data.load("digits", flatten=True, transform=pv.data.Binarize())
    test = digits.test.transformed(seed=0)
    bounds = {}
    for name, make in {"q(z1 | x) q(z2 | x)": independent, "q(z1 | x) q(z2 | z1)": BottomUp}.items():
        pyro.set_rng_seed(0)
        run = pv.fit(GistAndDetails(), make(), digits.train, validation=digits.validation, epochs=epochs)
        bound = pv.evaluate.elbo(run, test, num_samples=100)
        bounds[name] = bound.elbo
        details, gist = bound.kl["z1"].mean(), bound.kl["z2"].mean()
        print(f"guide {name}")
        print(f"  test bound: {bound.mean()} nats per digit")
        print(f"  spent on the details {details:.2f}, on the gist {gist:.2f}")

    first, second = bounds.values()
    gain = pv.evaluate.Estimate.over_data(second - first)
    print(f"\nThe second guide gains {gain} nats, digit by digit; what is within twice the error is noise.")


if __name__ == "__main__":
    main()
