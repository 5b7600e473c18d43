"""Ten classes of which few data are labelled: the two programs, and the rows that they are trained by.

The model is "M2" of Kingma, Mohamed, Rezende and Welling, 2014, Semi-Supervised Learning with Deep Generative
Models, https://arxiv.org/abs/1406.5298.
"""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.nn import functional as F

import pyrovae as pv
from pyrovae import objectives as o

CLASSES = 10
LATENT = 20
PARTICLES = 5
"""Of the leave-one-out baseline; they cost what the enumeration costs."""
UNKNOWN = -1
ALPHA = 50.0
"""The weight of what the classifier says of a known label."""


class Joint(nn.Module):
    """A network of two inputs, either of which may have leading dimensions that the other lacks."""

    def __init__(self, first: int, second: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(first, hidden), nn.Linear(second, hidden, bias=False)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(a) + self.second(b)))


def pair(inputs: int, hidden: int) -> tuple[Any, Any, nn.Module]:
    r"""p(x | y, z) p(z) p(y) and q(z | x, y) q(y | x), and the classifier that q(y | x) is.

    Labels are an argument, -1 where unknown. Where a label is known, the guide is certain of it, and the
    datum's bound is that of :math:`\log p(x, y)`; the classifier learns the label by a term of its own, since
    that bound is without q(y | x):

    .. math:: \alpha \sum_{\text{labelled}} \log q(y \mid x)
    """
    decoder = Joint(LATENT, CLASSES, hidden, inputs)
    encoder = Joint(inputs, CLASSES, hidden, 2 * LATENT)
    classifier = pv.nets.MLP(inputs, hidden, CLASSES)

    def model(x: Tensor, label: Tensor) -> None:
        pyro.module("decoder", decoder)
        pyro.module("classifier", classifier)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=torch.zeros(CLASSES)))
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z, y)).to_event(1), obs=x)
            with poutine.mask(mask=label != UNKNOWN), poutine.scale(scale=ALPHA):
                guess = dist.Categorical(logits=classifier(x))
                pyro.sample("label", guess, obs=label.clamp(min=0))

    def guide(x: Tensor, label: Tensor) -> None:
        pyro.module("encoder", encoder)
        pyro.module("classifier", classifier)
        certain = 100.0 * F.one_hot(label.clamp(min=0), CLASSES)
        with pyro.plate("data", len(x)):
            logits = torch.where((label == UNKNOWN)[:, None], classifier(x), certain)
            y = pyro.sample("y", dist.OneHotCategorical(logits=logits))
            pyro.sample("z", pv.heads.normal(encoder(x, y)))

    return model, guide, classifier


def classification(inputs: int, hidden: int) -> tuple[Any, Any, nn.Module]:
    """The classifier without a model of the pictures: no latents, the likelihood of the labels."""
    classifier = pv.nets.MLP(inputs, hidden, CLASSES)

    def model(x: Tensor, label: Tensor) -> None:
        pyro.module("classifier", classifier)
        with pyro.plate("data", len(x)):
            pyro.sample("label", dist.Categorical(logits=classifier(x)), obs=label)

    def guide(x: Tensor, label: Tensor) -> None:
        """Nothing is latent."""

    return model, guide, classifier


def rows() -> dict[str, o.Objective]:
    """The objectives of the rows, by name; z is always differentiated pathwise."""
    score = o.ScoreFunction
    return {
        "y enumerated": o.ELBO(estimators={"y": o.Enumerate()}),
        "y by score function, decaying average": o.ELBO(estimators={"y": score(o.DecayingAverage())}),
        "y by score function, leave-one-out": o.ELBO(PARTICLES, estimators={"y": score(o.LeaveOneOut())}),
    }


def hidden_labels(y: Tensor, *, known: int, seed: int = 0) -> Tensor:
    """Labels of which as many of each class are known, ``known`` in all, and the others are -1."""
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[y[order] == label][: known // CLASSES] for label in range(CLASSES)])
    labels = torch.full_like(y, UNKNOWN)
    labels[chosen] = y[chosen]
    return labels
