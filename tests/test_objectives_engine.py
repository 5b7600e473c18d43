"""Every objective is captured and compiled, and gives what it gives in ``pyro.infer.SVI``."""

from __future__ import annotations

import inspect
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import both
from engine_pairs import guide_of, model_of, net, normal
from pyro.infer import ELBO as PyroELBO
from torch import Tensor

from pyrovae import objectives as o
from pyrovae.engine import SVI

PIXELS, STEPS = 64, 4
_COMPILER = os.environ.get("CXX", "g++")


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def batches(digits: Tensor) -> Tensor:
    return digits[: 12 * STEPS].double().unflatten(0, (STEPS, 12))


def normals() -> tuple[Any, Any]:
    encoder = net(PIXELS, 12, 6)
    return model_of(decoder=net(3, 12, PIXELS)), guide_of(lambda x: normal(encoder(x)), encoder)


def bernoullis() -> tuple[Any, Any]:
    encoder = net(PIXELS, 12, 5)

    def prior() -> Any:
        return dist.Bernoulli(logits=pyro.param("prior", torch.zeros(5))).to_event(1)

    return (
        model_of(prior, net(5, 12, PIXELS)),
        guide_of(lambda x: dist.Bernoulli(logits=encoder(x)).to_event(1), encoder),
    )


def mixed() -> tuple[Any, Any]:
    """A class of three, and a normal vector given the class."""
    classes, encoder, decoder = net(PIXELS, 8, 3), net(PIXELS + 3, 12, 6), net(6, 12, PIXELS)

    def joined(x: Tensor, y: Tensor) -> Tensor:
        x = x.expand(*y.shape[:-1], x.shape[-1])
        return torch.cat([x, y], -1)

    def model(x: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=torch.zeros(3)))
            z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            y = y.expand(*z.shape[:-1], 3) if y.dim() <= z.dim() else y
            logits = decoder(joined(z, y) if z.dim() >= y.dim() else joined(z.expand(*y.shape[:-1], 3), y))
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("classes", classes)
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=classes(x)))
            pyro.sample("z", normal(encoder(joined(x, y))))

    return model, guide


def _network() -> torch.nn.Module:
    return net(PIXELS, 6, 1)


score = o.ScoreFunction
Row = tuple[Callable[[], tuple[Any, Any]], Callable[[], o.Objective]]
ROWS: dict[str, Row] = {
    "ELBO": (normals, lambda: o.ELBO()),
    "ELBO, particles": (normals, lambda: o.ELBO(3, kl="monte carlo")),
    "ELBO, run by run": (normals, lambda: o.ELBO(2, vectorize_particles=False)),
    "ELBO, entropy": (normals, lambda: o.ELBO(kl="entropy")),
    "ELBO, beta rising": (normals, lambda: o.ELBO(beta=o.Sigmoid(0.0, 1.0, steps=3))),
    "ELBO, cyclical": (normals, lambda: o.ELBO(beta=o.Cyclical(0.0, 1.0, steps=4, cycles=2))),
    "ELBO, STL": (normals, lambda: o.ELBO(2, estimators=o.StickingTheLanding())),
    "ELBO, score": (normals, lambda: o.ELBO(estimators=score())),
    "ELBO, bernoulli": (bernoullis, lambda: o.ELBO()),
    "ELBO, bernoulli, neural": (
        bernoullis,
        lambda: o.ELBO(estimators=score(o.NeuralBaseline(_network()), o.DecayingAverage(0.8))),
    ),
    "ELBO, bernoulli, leave one out": (bernoullis, lambda: o.ELBO(3)),
    "ELBO, straight through": (bernoullis, lambda: o.ELBO(2, estimators=o.StraightThrough())),
    "ELBO, Gumbel": (bernoullis, lambda: o.ELBO(estimators=o.GumbelSoftmax(0.7))),
    "ELBO, Gumbel, hard": (bernoullis, lambda: o.ELBO(estimators={"z": o.GumbelSoftmax(0.7, hard=True)})),
    "ELBO, Concrete": (
        bernoullis,
        lambda: o.ELBO(estimators=o.Concrete(o.Exponential(1.0, 0.5, steps=3), prior_temperature=0.5)),
    ),
    "ELBO, mixed": (mixed, lambda: o.ELBO()),
    "ELBO, mixed, particles": (mixed, lambda: o.ELBO(2, estimators={"z": o.StickingTheLanding()})),
    "ELBO, mixed, Concrete": (mixed, lambda: o.ELBO(estimators={"y": o.Concrete(0.6)})),
    "IWAE": (normals, lambda: o.IWAE(4)),
    "IWAE, DReG": (normals, lambda: o.IWAE(4, estimators=o.DoublyReparameterized())),
    "IWAE, VIMCO": (bernoullis, lambda: o.IWAE(4)),
    "IWAE, naive": (bernoullis, lambda: o.IWAE(4, estimators=score(o.DecayingAverage()))),
    "IWAE, mixed": (mixed, lambda: o.IWAE(3)),
    "CIWAE": (normals, lambda: o.CIWAE(0.3, 4)),
    "MIWAE": (bernoullis, lambda: o.MIWAE(2, 2)),
    "PIWAE": (normals, lambda: o.PIWAE(2, 2)),
    "Renyi": (normals, lambda: o.Renyi(0.5, 3)),
    "CUBO": (normals, lambda: o.CUBO(3)),
    "CUBO, bernoulli": (bernoullis, lambda: o.CUBO(3)),
    "ReweightedWakeSleep": (bernoullis, lambda: o.ReweightedWakeSleep(3)),
    "ReweightedWakeSleep, asleep": (normals, lambda: o.ReweightedWakeSleep(3, sleep=0.5)),
    "CapacityELBO": (normals, lambda: o.CapacityELBO(o.Linear(0.0, 3.0, steps=3), gamma=5.0)),
    "FreeBits": (normals, lambda: o.FreeBits(0.05)),
    "FreeBits, per site": (bernoullis, lambda: o.FreeBits(0.5, per="site")),
    "BetaTC": (normals, lambda: o.BetaTC(1797, beta=o.Linear(1.0, 6.0, steps=3))),
    "InfoVAE": (normals, lambda: o.InfoVAE(0.5, 5.0, num_particles=2)),
    "WAE": (normals, lambda: o.WAE(kernel=o.Gaussian())),
    "GECO": (normals, lambda: o.GECO(30.0)),
    "Lagging": (normals, lambda: o.Lagging(1, steps=3)),
}


def _script(row: Row, batches: Tensor) -> Callable[[Any], Iterator[Any]]:
    def script(make: Any) -> Iterator[Any]:
        model, guide = row[0]()
        objective = row[1]()
        svi = make(model, guide, pyro.optim.Adam({"lr": 1e-2, "eps": 1e-3}), objective)
        for x in batches:
            yield svi.step(x)
            yield {name: value.detach().clone() for name, value in pyro.get_param_store().items()}
        yield svi.evaluate_loss(batches[0])
        yield objective.state_dict()

    return script


def test_the_table_holds_every_objective() -> None:
    kinds = {
        name
        for name, kind in vars(o).items()
        if inspect.isclass(kind) and issubclass(kind, PyroELBO) and not inspect.isabstract(kind)
    }
    assert {type(make()).__name__ for _, make in ROWS.values()} == kinds


@pytest.mark.parametrize("name", ROWS)
def test_captured_it_is_what_plain_pyro_runs(name: str, batches: Tensor) -> None:
    svi = both(_script(ROWS[name], batches))
    report = svi.explain()
    assert "capture" in str(report), report


@pytest.mark.skipif(shutil.which(_COMPILER) is None, reason=f"no C++ compiler ({_COMPILER})")
@pytest.mark.parametrize(
    "name",
    ["ELBO, bernoulli, neural", "IWAE, DReG", "IWAE, VIMCO", "GECO", "BetaTC", "ELBO, Concrete", "FreeBits"],
)
def test_compiled_it_is_what_plain_pyro_runs(name: str, batches: Tensor) -> None:
    both(_script(ROWS[name], batches), rtol=1e-8, compile=True)


@pytest.mark.parametrize("name", ["ELBO, beta rising", "ELBO, Concrete", "CapacityELBO", "GECO"])
def test_no_schedule_makes_a_graph_anew(name: str, batches: Tensor) -> None:
    model, guide = ROWS[name][0]()
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-3}), ROWS[name][1](), compile="capture")
    for x in batches.repeat(3, 1, 1):
        svi.step(x)
    (entry,) = svi._steps.entries.values()
    assert entry.rebuilt == []


@pytest.mark.parametrize("name", ROWS)
def test_it_can_be_sent_to_another_process(name: str, batches: Tensor) -> None:
    model, guide = ROWS[name][0]()
    objective = ROWS[name][1]()
    pyro.set_rng_seed(1)
    objective.loss(model, guide, batches[0])
    copied = pickle.loads(pickle.dumps(objective))
    losses = []
    for each in (objective, copied):
        pyro.set_rng_seed(2)
        losses.append(each.loss(model, guide, batches[1]))
    assert losses[0] == losses[1]
