"""Digits read row by row: a deep Markov model, and what its posterior gains by knowing the state before.

    python examples/deep_markov.py --epochs 30

A digit is a sequence of eight rows of eight pixels. A state z walks from row to row and is drawn as pixels:
p(x | z) = prod_t p(x_t | z_t), p(z) = p(z_1) prod_t p(z_t | z_{t-1}). The whole path of the state is one
latent, so the model is an ordinary VAE whose prior is a chain. Three posteriors, each trained with its model:

    mean field    q(z | x) = prod_t q(z_t | x)
    forward       q(z | x) = prod_t q(z_t | z_{t-1}, rows up to t)
    backward      q(z | x) = prod_t q(z_t | z_{t-1}, rows from t on), as the true posterior conditions
"""

from __future__ import annotations

import argparse
from functools import partial

import pyro
import torch
from torch import nn

import pyrovae as pv

ROWS, PIXELS, STATE, HIDDEN = 8, 8, 4, 32


def generative() -> pv.models.VAE:
    """The deep Markov model of Krishnan, Shalit and Sontag (2017)."""
    prior = pv.priors.Markov(STATE, ROWS, net=pv.nets.GatedTransition(STATE, HIDDEN))
    return pv.models.VAE(prior, pv.nets.MLP(STATE, HIDDEN, PIXELS), pv.heads.Steps(pv.heads.bernoulli))


def posterior(kind: str) -> pv.guides.Amortized:
    """A network that reads the rows, and what it is read as: one argument changes."""
    if kind == "mean field":
        rows = pv.nets.Recurrent(PIXELS, HIDDEN, direction="both")
        net = nn.Sequential(rows, pv.nets.MLP(HIDDEN, 2 * STATE))
        return pv.guides.Amortized(z=(net, pv.heads.Steps(pv.heads.normal)))
    rows = pv.nets.Recurrent(PIXELS, HIDDEN, direction=kind)
    return pv.guides.Amortized(z=(rows, pv.heads.Markov(STATE, HIDDEN)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    digits = pv.data.load("digits", transform=pv.data.Binarize())
    train, test = (part.transformed(seed=0).reshape(-1, ROWS, PIXELS) for part in (digits.train, digits.test))
    bounds = {}
    for kind in ("mean field", "forward", "backward"):
        pyro.set_rng_seed(0)
        adam = partial(torch.optim.Adam, lr=0.01)
        run = pv.fit(generative(), posterior(kind), train, optim=adam, epochs=options.epochs, batch_size=128)
        bounds[kind] = pv.evaluate.elbo(run, test, num_samples=100).elbo
        gap = pv.evaluate.log_evidence(run, test, num_samples=200) - bounds[kind]
        print(f"posterior: {kind}")
        print(f"  test bound: {pv.evaluate.Estimate.over_data(bounds[kind])} nats per digit")
        print(f"  below the evidence by {gap.mean():.2f} or more")

    for kind in ("forward", "backward"):
        gain = pv.evaluate.Estimate.over_data(bounds[kind] - bounds["mean field"])
        print(f"{kind} against mean field: {gain} nats, digit by digit")


if __name__ == "__main__":
    main()
