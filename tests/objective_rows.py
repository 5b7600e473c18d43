"""The table of the gradient contract: truths, objectives, and the bounds whose gradients they must have."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor

import pyrovae as pv
from pyrovae import objectives as o

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import truths

sys.path.pop(0)

TRUTHS = truths.TRUTHS
NORMAL = ["conjugate normal", "two-level normal, bottom-up", "two-level normal, top-down", "ppca"]
VECTORS = ["bernoulli", "two-level bernoulli, bottom-up", "discrete"]
ENUMERABLE = ["categorical", "one-hot categorical", "two-level categorical, bottom-up", "nested plates"]
MIXED = ["mixed, y then z", "mixed, z then y"]
FINITE = VECTORS + ENUMERABLE
ALL = NORMAL + FINITE + MIXED
ONE_SITE = ["conjugate normal", "ppca", "bernoulli", "discrete", "categorical", "one-hot categorical"]

SITES = {
    "two-level normal, bottom-up": ("z1", "z2"),
    "two-level normal, top-down": ("z2", "z1"),
    "two-level bernoulli, bottom-up": ("h1", "h2"),
    "two-level categorical, bottom-up": ("y1", "y2"),
    "nested plates": ("y", "b"),
    "mixed, y then z": ("y", "z"),
    "mixed, z then y": ("z", "y"),
}
"""The latent sites of the truths that have two, in the order of the guide."""

LIMIT = 4.0
Gradients = Mapping[str, Tensor]


@dataclass(frozen=True)
class Bound:
    r"""``sign`` times :math:`\beta \overline{\log w} + (1 - \beta) \frac1s \log \frac1K \sum_k w_k^s`."""

    particles: int
    power: float = 1.0
    beta: float = 0.0
    sign: float = 1.0

    def __call__(self, weights: Tensor) -> Tensor:
        """From log weights ``(particles, ..., n)`` to ``(..., n)``."""
        mean = weights.mean(0)
        if self.power == 0.0:
            return self.sign * mean
        means = ((self.power * weights).logsumexp(0) - math.log(len(weights))) / self.power
        return self.sign * (self.beta * mean + (1 - self.beta) * means)


ELBO = Bound(1)
ZERO = Bound(1, sign=0.0)


class Row(NamedTuple):
    """An objective for a truth; its two sides have the gradients of these bounds.

    Attributes:
        label: what it is, for the test's name.
        make: a new objective, as baselines keep averages.
    """

    truth: str
    label: str
    make: Callable[[], o.Objective]
    model: Bound = ELBO
    guide: Bound = ELBO

    def __str__(self) -> str:
        return f"{self.truth}, {self.label}"


def network(truth: str) -> o.NeuralBaseline:
    """A baseline of a network that is anything but right, and the same at each call."""
    size = TRUTHS[truth].data.shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return o.NeuralBaseline(pv.nets.MLP(size, 8, 1).double())


def elbo_rows() -> Iterator[Row]:
    """Every unbiased way to the gradient of the ELBO."""
    for truth in ALL:
        for label, make in _of_one(truth).items():
            yield Row(truth, label, make)
        for label, sites in _of_two(truth).items():
            yield Row(truth, label, functools.partial(o.ELBO, 2, estimators=sites))


def _of_one(truth: str) -> dict[str, Callable[[], o.Objective]]:
    score, others = o.ScoreFunction, o.LeaveOneOut()
    rows: dict[str, Callable[[], o.Objective]] = {
        "default": lambda: o.ELBO(),
        "3 particles": lambda: o.ELBO(3),
        "monte carlo": lambda: o.ELBO(2, kl="monte carlo"),
        "entropy": lambda: o.ELBO(2, kl="entropy"),
        "one by one": lambda: o.ELBO(2, vectorize_particles=False),
        "score": lambda: o.ELBO(estimators=score()),
        "score, average": lambda: o.ELBO(estimators=score(o.DecayingAverage(0.8))),
        "score, monte carlo": lambda: o.ELBO(2, kl="monte carlo", estimators=score(others)),
        "score, network": lambda: o.ELBO(2, estimators=score(network(truth))),
        "score, others": lambda: o.ELBO(3, estimators=score(others)),
        "score, others, one by one": lambda: o.ELBO(2, estimators=score(others), vectorize_particles=False),
        "score, all": lambda: o.ELBO(2, estimators=score(others, network(truth), o.DecayingAverage())),
        "score, entropy": lambda: o.ELBO(2, kl="entropy", estimators=score(o.DecayingAverage())),
    }
    if "bottom-up" not in truth:
        rows["closed"] = lambda: o.ELBO(2, kl="closed")
        rows["score, closed"] = lambda: o.ELBO(2, kl="closed", estimators=score())
    if truth in NORMAL:
        rows["pathwise"] = lambda: o.ELBO(2, estimators=o.Pathwise(), kl="monte carlo")
        rows["sticking the landing"] = lambda: o.ELBO(2, estimators=o.StickingTheLanding())
        rows["doubly reparameterized"] = lambda: o.ELBO(estimators=o.DoublyReparameterized())
    if truth in ENUMERABLE:
        rows["enumerate"] = lambda: o.ELBO(estimators=o.Enumerate())
    return rows


def _of_two(truth: str) -> dict[str, dict[str, o.Estimator]]:
    """Two estimators in one program, in the order of the guide."""
    score, path, cut = o.ScoreFunction(o.LeaveOneOut()), o.Pathwise(), o.StickingTheLanding()
    if truth not in SITES or truth in VECTORS:
        return {}
    first, second = SITES[truth]
    pairs: list[tuple[o.Estimator, o.Estimator]] = []
    if truth in NORMAL:
        pairs = [(path, score), (score, path), (cut, path), (path, cut), (cut, score), (score, cut)]
    elif truth in ENUMERABLE:
        pairs = [(o.Enumerate(), score), (score, o.Enumerate())]
    else:
        real = (path, cut, o.DoublyReparameterized(), score)
        pairs = [(y, z) if first == "y" else (z, y) for y in (o.Enumerate(), score) for z in real]
    return {f"{a!r} then {b!r}": {first: a, second: b} for a, b in pairs}


def bound_rows(names: list[str]) -> Iterator[Row]:
    """Every bound of several particles, and IWAE with each estimator that it has."""
    for truth in names:
        most = 3 if truth in ("discrete", "two-level bernoulli, bottom-up") else 4
        for count in (3,) if truth in MIXED else range(2, most + 1):
            for label, estimators in _of_many(truth).items():
                make = functools.partial(o.IWAE, count, estimators=estimators)
                yield Row(truth, f"IWAE {count}, {label}", make, Bound(count), Bound(count))
        if truth in NORMAL:
            double = functools.partial(_row, truth, estimators=o.DoublyReparameterized())
            yield double(o.CIWAE, 0.3, 3, both=Bound(3, beta=0.3))
            yield double(o.MIWAE, 2, 2, both=Bound(2))
            yield double(o.Renyi, -1.0, 3, both=Bound(3, power=2.0))
            yield double(o.Renyi, 0.5, 3, both=Bound(3, power=0.5))
        yield _row(truth, o.CIWAE, 0.3, 3, both=Bound(3, beta=0.3))
        yield _row(truth, o.MIWAE, 2, 2, both=Bound(2))
        yield _row(truth, o.MIWAE, 3, 1, both=ELBO)
        for alpha in (0.5,) if truth in MIXED else (-1.0, 0.0, 0.5, 1.0, 2.0):
            yield _row(truth, o.Renyi, alpha, 3, both=Bound(3, power=1 - alpha))
        for order in (2.0,) if truth in MIXED else (1.5, 2.0):
            upper = Bound(3, power=order, sign=-1.0)
            yield Row(truth, f"CUBO {order}", functools.partial(o.CUBO, 3, order=order), ZERO, upper)
        groups = (3, 1) if most == 3 else (2, 2)
        yield Row(
            truth, f"PIWAE {groups}", functools.partial(o.PIWAE, *groups), Bound(most), Bound(groups[1])
        )


def _row(truth: str, kind: Any, *arguments: float, both: Bound, **options: Any) -> Row:
    label = f"{kind.__name__} {arguments}{''.join(f', {value!r}' for value in options.values())}"
    return Row(truth, label, functools.partial(kind, *arguments, **options), both, both)


def _of_many(truth: str) -> dict[str, Any]:
    vimco, double = o.ScoreFunction(o.LeaveOneOut()), o.DoublyReparameterized()
    if truth in FINITE:
        return {
            "VIMCO": None,
            "score": o.ScoreFunction(),
            "score, average": o.ScoreFunction(o.DecayingAverage(0.8)),
            "VIMCO, network": o.ScoreFunction(o.LeaveOneOut(), network(truth)),
        }
    if truth in MIXED:
        return {"default": None, "doubly": {"y": vimco, "z": double}, "VIMCO": vimco}
    rows = {"pathwise": None, "doubly": double, "VIMCO": vimco}
    if truth in SITES:
        first, second = SITES[truth]
        rows["VIMCO then doubly"] = {first: vimco, second: double}
        rows["doubly then VIMCO"] = {first: double, second: vimco}
    return rows


def sampled(row: Row, *, draws: int, repeats: int, seed: int = 0) -> dict[str, Tensor]:
    return truths.sampled_gradients(TRUTHS[row.truth], row.make(), draws, seed, repeats=repeats)


@functools.cache
def exact(name: str, bound: Bound) -> dict[str, Tensor]:
    """The exact gradient of a negative bound, where it is known."""
    truth = TRUTHS[name]
    if bound == ELBO:
        return truths.exact_gradient(truth)
    return truths.exact_gradient(truth, lambda p, x: truth.exact_bound(p, x, bound.particles, bound))


@functools.cache
def by_hand(name: str, bound: Bound, *, draws: int, groups: int) -> dict[str, Tensor]:
    """Draws of the gradient of a negative bound by plain autograd; by the score of all latents if not normal.

    Each is a mean over ``groups`` sets of particles.
    """
    truth = TRUTHS[name]
    pair, score = truth.make(), name not in NORMAL
    shape = (bound.particles * groups, *[1] * truth.max_plate_nesting)

    def fixed(fn: Any) -> Tensor:
        with torch.no_grad():
            return fn.expand(torch.broadcast_shapes(shape, fn.batch_shape)).sample()  # type: ignore[no-any-return]

    choices = dict.fromkeys(truth.kinds, fixed) if score else None
    found: dict[str, list[Tensor]] = {key: [] for key in pair.parameters}
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        torch.manual_seed(11)
        for _ in range(draws):
            log_p, log_q = truths.log_densities(truth, pair, shape[0], choices=choices)
            values = bound((log_p - log_q).reshape(bound.particles, groups, -1))
            if score:
                values = values + values.detach() * log_q.reshape(bound.particles, groups, -1).sum(0)
            gradients = torch.autograd.grad(-values.mean(0).sum(), list(pair.parameters.values()))
            for key, gradient in zip(found, gradients, strict=True):
                found[key].append(gradient)
    return {key: torch.stack(gradients) for key, gradients in found.items()}


def of(gradients: Gradients, names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: gradients[name] for name in names}


def worst(samples: Gradients, exact: Gradients) -> float:
    """The largest distance of a mean from its exact value, in standard errors."""
    return max(score.abs().max().item() for score in truths.z_scores(samples, exact).values())


def apart(samples: Gradients, others: Gradients) -> float:
    """The largest difference of two means, in standard errors of the difference."""
    scores = []
    for name, drawn in samples.items():
        error = (drawn.var(0) / len(drawn) + others[name].var(0) / len(others[name])).sqrt()
        difference = (drawn.mean(0) - others[name].mean(0)).abs()
        scores.append(torch.where(difference == 0, 0.0, difference / error).max().item())
    return max(scores)


def spread(samples: Gradients) -> float:
    """The total variance of some gradients."""
    return sum(drawn.var(0).sum().item() for drawn in samples.values())
