"""Digits of which few have a label: the class is a latent where it is unknown, and data where it is known.

    python examples/semi_supervised.py --epochs 60

A digit's class y is drawn, then its style z, then the pixels from both: p(x | y, z) p(z) p(y). The guide
reads the class off the picture, then the style: q(z | x, y) q(y | x). A class has ten values, so it isn't
guessed: the objective runs all ten at once and weighs them by q(y | x), which is exact. It does so unasked.
"""

from __future__ import annotations

import argparse

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.nn import functional as F

import pyrovae as pv

STYLE, CLASSES, UNKNOWN = 8, 10, -1


class Joint(nn.Module):
    """A network of two inputs; one may have leading dimensions that the other lacks, as all classes do."""

    def __init__(self, first: int, second: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(first, 200), nn.Linear(second, 200, bias=False)
        self.last = nn.Linear(200, outputs)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(a) + self.second(b)))


pyro.set_rng_seed(0)
decoder, encoder = Joint(STYLE, CLASSES, 64), Joint(64, CLASSES, 2 * STYLE)
classifier = pv.nets.MLP(64, 200, CLASSES)


def model(x: Tensor, label: Tensor) -> None:
    pyro.module("decoder", decoder)
    pyro.module("classifier", classifier)
    with pyro.plate("data", len(x)):
        y = pyro.sample("y", dist.OneHotCategorical(logits=torch.zeros(CLASSES)))
        z = pyro.sample("z", dist.Normal(torch.zeros(STYLE), 1.0).to_event(1))
        pyro.sample("x", dist.Bernoulli(logits=decoder(z, y)).to_event(1), obs=x)
        # What teaches the classifier the labels: the bound of a datum whose class is known does without it.
        with poutine.mask(mask=label != UNKNOWN), poutine.scale(scale=50.0):
            pyro.sample("label", dist.Categorical(logits=classifier(x)), obs=label.clamp(min=0))


def guide(x: Tensor, label: Tensor) -> None:
    pyro.module("encoder", encoder)
    pyro.module("classifier", classifier)
    certain = 100.0 * F.one_hot(label.clamp(min=0), CLASSES)
    with pyro.plate("data", len(x)):
        logits = torch.where((label == UNKNOWN)[:, None], classifier(x), certain)
        y = pyro.sample("y", dist.OneHotCategorical(logits=logits))
        pyro.sample("z", pv.heads.normal(encoder(x, y)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--labels", type=int, default=50, help="how many digits keep theirs")
    options = parser.parse_args()

    digits = pv.data.load("digits", flatten=True, transform=pv.data.Binarize())
    train, test = digits.train, digits.test
    labels = train.y.clone()
    labels[options.labels :] = UNKNOWN
    data = pv.data.Data(train.x, labels, train.transform)

    objective = pv.objectives.ELBO()
    pv.fit(model, guide, data, loss=objective, epochs=options.epochs, batch_size=64)

    x, nothing = test.transformed(seed=0), torch.full_like(test.y, UNKNOWN)
    print(objective.explain(model, guide, x, nothing))
    bound = objective.per_datum(model, guide, x, nothing)
    print(f"\ntest bound: {pv.evaluate.Estimate.over_data(bound)} nats per digit")
    with torch.no_grad():
        right = (classifier(x).argmax(-1) == test.y).double().mean()
    print(f"{right:.1%} of {len(x)} test digits are read right, after {options.labels} labels")


if __name__ == "__main__":
    main()
