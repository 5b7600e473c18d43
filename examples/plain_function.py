"""A variational autoencoder as it would stand on a blackboard: one Pyro function for p(x, z), one guide.

    python examples/plain_function.py --epochs 100

The model is an ordinary function: no base class, nothing to register. It tells how a digit comes to be, and
given data it tells how likely they are. The guide inverts it: for every latent site a network and a head.
"""

from __future__ import annotations

import argparse

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrovae as pv

LATENT = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=100)
    epochs = parser.parse_args().epochs
    pyro.set_rng_seed(0)

    # Scanned digits of 8 x 8 pixels. Gray is read as the probability of ink: a fresh 0 or 1 at every use.
    digits = pv.data.load("digits", flatten=True, transform=pv.data.Binarize())
    decoder = pv.nets.MLP(LATENT, 200, 64)

    def model(x: Tensor | None = None, size: int = 1) -> Tensor:
        pyro.module("decoder", decoder)  # by this Pyro knows the decoder's weights, and they are trained
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), 1.0).to_event(1))
            return pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 200, 2 * LATENT), pv.heads.normal))

    run = pv.fit(model, guide, digits.train, validation=digits.validation, epochs=epochs)

    test = digits.test.transformed(seed=0)
    bound = pv.evaluate.elbo(run, test, num_samples=100)
    evidence = pv.evaluate.evidence(run, test, num_samples=1000)
    print(f"Best of {len(run.history)} epochs on held-out digits: epoch {run.history.best.epoch}.")
    print(f"test bound: {bound.mean()} nats per digit")
    gap = (evidence.log_evidence - bound.elbo).mean()
    print(f"log evidence: {evidence.mean()} nats per digit, {gap:.2f} above the bound")
    informative = (bound.kl_per_dimension["z"].mean(0) > 0.1).sum()
    print(f"{informative} of {LATENT} latent dimensions carry information about the digit")

    print("\nDigits that nobody has written:\n")
    show(pv.predict.sample(run, 4, mean=True))


def show(images: Tensor) -> None:
    """Prints images ``(n, 64)`` of values in [0, 1] side by side, the darker the more certain the ink."""
    for row in images.reshape(-1, 8, 8).transpose(0, 1):
        print("   ".join("".join(" .:*#"[int(4.99 * pixel)] * 2 for pixel in line) for line in row))


if __name__ == "__main__":
    main()
