"""``fit`` trains every kind of pair that Pyro knows, with every kind of optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    config_enumerate,
)
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import pyrovae as pv

LATENT = 3


def _size(x: Tensor | None, size: int | None) -> int:
    return size if x is None else len(x)  # type: ignore[return-value]


def functions() -> tuple[Any, Any]:
    decoder, encoder = nn.Linear(LATENT, 64), nn.Linear(64, LATENT)

    def model(x: Tensor | None = None, size: int | None = None) -> Tensor:
        pyro.module("decoder", decoder)
        with pyro.plate("data", _size(x, size)):
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), 1.0).to_event(1))
            return pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("encoder", encoder)
        scale = pyro.param("scale", torch.full((LATENT,), 0.5), constraint=dist.constraints.positive)
        with pyro.plate("data", _size(x, size)):
            pyro.sample("z", dist.Normal(encoder(x), scale).to_event(1))

    return model, guide


class PyroModel(PyroModule):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.decoder = PyroModule[nn.Linear](LATENT, 64)
        self.width = PyroParam(torch.tensor(1.0), constraint=dist.constraints.positive)

    def forward(self, x: Tensor | None = None, size: int | None = None) -> Tensor:
        with pyro.plate("data", _size(x, size)):
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), self.width).to_event(1))
            return pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)


class PyroGuide(PyroModule):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.encoder = PyroModule[nn.Linear](64, 2 * LATENT)

    def forward(self, x: Tensor | None = None, size: int | None = None) -> None:
        with pyro.plate("data", _size(x, size)):
            pyro.sample("z", pv.heads.normal(self.encoder(x)))


class Methods(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder, self.encoder = nn.Linear(LATENT, 64), nn.Linear(64, 2 * LATENT)

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(self.encoder(x)))


def methods() -> tuple[Any, Any]:
    both = Methods()
    return both.model, both.guide


def parts() -> tuple[Any, Any]:
    model = pv.models.VAE(pv.priors.DiagonalNormal(LATENT), pv.nets.MLP(LATENT, 64), pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(pv.nets.MLP(64, 2 * LATENT), pv.heads.normal))


def pyro_modules() -> tuple[Any, Any]:
    return PyroModel(), PyroGuide()


def autoguide() -> tuple[Any, Any]:
    """Pixel frequencies with a beta prior: a global latent, for which AutoNormal is made."""

    def model(x: Tensor | None = None, size: int | None = None) -> Tensor:
        p = pyro.sample("p", dist.Beta(torch.ones(64), 1.0).to_event(1))
        with pyro.plate("data", _size(x, size)), poutine.scale(scale=1.0):
            return pyro.sample("x", dist.Bernoulli(p).to_event(1), obs=x)

    return model, AutoNormal(model)


def score_function() -> tuple[Any, Any]:
    decoder, encoder = nn.Linear(LATENT, 64), nn.Linear(64, LATENT)

    def model(x: Tensor | None = None, size: int | None = None) -> Tensor:
        pyro.module("decoder", decoder)
        with pyro.plate("data", _size(x, size)):
            z = pyro.sample("z", dist.Bernoulli(torch.full((LATENT,), 0.5)).to_event(1))
            return pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", _size(x, size)):
            pyro.sample("z", dist.Bernoulli(logits=encoder(x)).to_event(1))

    return model, guide


def enumerated() -> tuple[Any, Any]:
    """A mixture of Bernoullis whose component is summed out exactly, on either side."""
    decoder, encoder = nn.Linear(5, 64), nn.Linear(64, 5)

    def model(x: Tensor | None = None, size: int | None = None) -> Tensor:
        pyro.module("decoder", decoder)
        with pyro.plate("data", _size(x, size)):
            k = pyro.sample("k", dist.OneHotCategorical(logits=torch.zeros(5)))
            return pyro.sample("x", dist.Bernoulli(logits=decoder(k)).to_event(1), obs=x)

    @config_enumerate
    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", _size(x, size)):
            pyro.sample("k", dist.OneHotCategorical(logits=encoder(x)))

    return model, guide


@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (parts, Trace_ELBO()),
        (parts, TraceMeanField_ELBO(num_particles=2, vectorize_particles=True)),
        (functions, TraceMeanField_ELBO()),
        (functions, RenyiELBO(alpha=0.0, num_particles=3)),
        (pyro_modules, Trace_ELBO()),
        (methods, TraceGraph_ELBO()),
        (methods, ReweightedWakeSleep(num_particles=3)),
        (autoguide, Trace_ELBO()),
        (score_function, Trace_ELBO()),
        (score_function, TraceGraph_ELBO()),
        (enumerated, TraceEnum_ELBO()),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_every_kind_of_pair_learns(make: Callable[[], tuple[Any, Any]], loss: Any, digits: Tensor) -> None:
    model, guide = make()
    run = pv.fit(
        model,
        guide,
        digits[:600],
        validation=digits[600:700],
        loss=loss,
        optim=partial(torch.optim.Adam, lr=0.02),
        epochs=4,
        batch_size=100,
        progress=False,
    )
    validation = run.history.column("validation_loss")
    assert validation[-1] < validation[0], run.history.rows
    assert len(pyro.get_param_store()) == 0, "the process's store must be left alone"
    assert run.params, "the run has its own"


@pytest.mark.parametrize(
    "optim",
    [
        None,
        pyro.optim.Adam({"lr": 0.01}),
        pyro.optim.ClippedAdam({"lr": 0.01, "clip_norm": 5.0}),
        pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.01}, "gamma": 0.5}),
        torch.optim.AdamW,
        partial(torch.optim.SGD, lr=1e-4, momentum=0.9),
    ],
    ids=["default", "pyro", "pyro-clipped", "pyro-schedule", "class", "partial"],
)
def test_optimisers_of_both_families(optim: Any, digits: Tensor, make_pair: Any) -> None:
    run = pv.fit(*make_pair(), digits[:500], optim=optim, epochs=3, clip_norm=100.0, progress=False)
    losses, rates = run.history.column("train_loss"), run.history.column("learning_rate")
    assert losses[-1] < losses[0]
    assert all(rate > 0 for rate in rates)
    if isinstance(optim, pyro.optim.PyroLRScheduler):
        assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_a_ready_made_torch_optimiser_and_its_schedule(digits: Tensor, make_pair: Any) -> None:
    model, guide = make_pair()
    optim = torch.optim.Adam([*model.parameters(), *guide.parameters()], lr=0.01)
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    run = pv.fit(model, guide, digits[:300], optim=optim, scheduler=schedule, epochs=3, progress=False)
    assert run.history.column("learning_rate") == pytest.approx([1e-2, 1e-3, 1e-4])


def test_a_plateau_is_told_the_validation_loss(digits: Tensor, make_pair: Any) -> None:
    schedule = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, threshold=0.99)
    run = pv.fit(
        *make_pair(),
        digits[:300],
        validation=digits[300:400],
        optim=partial(torch.optim.Adam, lr=0.01),
        scheduler=schedule,
        epochs=3,
        progress=False,
    )
    assert run.history.column("learning_rate") == pytest.approx([0.01, 0.01, 0.001])


class Stream(IterableDataset[Tensor]):
    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __iter__(self) -> Any:
        return iter(self.x)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: x.numpy().astype(np.float64),
        lambda x: (x, torch.arange(len(x))),
        lambda x: TensorDataset(x, torch.arange(len(x))),
        lambda x: DataLoader(TensorDataset(x), batch_size=50, shuffle=True),
        lambda x: DataLoader(Stream(x), batch_size=50),
        Stream,
        lambda x: pv.data.Data(x, transform=pv.data.Binarize()),
    ],
    ids=["tensor", "float64 array", "labelled", "dataset", "loader", "iterable loader", "iterable", "data"],
)
def test_every_kind_of_data(wrap: Any, digits: Tensor, make_pair: Any) -> None:
    run = pv.fit(*make_pair(), wrap(digits[:150]), epochs=3, batch_size=50, kl_warmup=1, progress=False)
    losses = run.history.column("train_loss")
    assert run.history[-1].step == 9
    assert losses[-1] < losses[0]


def test_the_loss_is_per_datum_whatever_the_program_scales(digits: Tensor, make_pair: Any) -> None:
    """A plate of the whole data set, or poutine.scale, changes the loss's unit and not what is reported."""
    x = digits[:200]
    model, guide = make_pair()

    def scaled(program: Any) -> Any:
        def run(x: Tensor | None = None, size: int | None = None) -> Any:
            with poutine.scale(scale=1000 / 100):
                return program(x, size)

        run.__wrapped__ = program  # type: ignore[attr-defined]
        return run

    def losses(model: Any, guide: Any) -> list[float]:
        run = pv.fit(
            model, guide, x, batch_size=100, epochs=1, optim=partial(torch.optim.SGD, lr=0.0), progress=False
        )
        return run.history.column("train_loss")

    assert losses(scaled(model), scaled(guide)) == pytest.approx(losses(model, guide), rel=1e-5)


def test_the_warm_up_weighs_the_kl_term_and_validation_does_not(digits: Tensor, make_pair: Any) -> None:
    """With parameters held still the train loss is -(reconstruction) + weight * KL: linear in the weight."""
    model, guide = make_pair()
    still = partial(torch.optim.SGD, lr=0.0)
    run = pv.fit(
        model,
        guide,
        digits[:400],
        validation=digits[:400],
        optim=still,
        loss=TraceMeanField_ELBO(num_particles=20),
        batch_size=400,
        epochs=5,
        kl_warmup=4,
        progress=False,
    )
    weights, losses = np.array(run.history.column("kl_weight")), np.array(run.history.column("train_loss"))
    assert weights == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    bound = pv.evaluate.elbo(run, digits[:400])
    slope, intercept = np.polyfit(weights, losses, 1)
    assert slope == pytest.approx(bound.kl["z"].mean().item(), rel=0.2)
    assert intercept == pytest.approx(-bound.reconstruction.mean().item(), rel=0.02)
    assert np.ptp(run.history.column("validation_loss")) == 0.0


def test_early_stopping_waits_for_the_warm_up(digits: Tensor, make_pair: Any) -> None:
    """Parameters held still never improve: patience 2 ends 2 epochs after the first, or after the warm-up."""

    def epochs(kl_warmup: float) -> int:
        still = partial(torch.optim.SGD, lr=0.0)
        options: dict[str, Any] = {"optim": still, "patience": 2, "kl_warmup": kl_warmup, "progress": False}
        return len(pv.fit(*make_pair(), digits[:100], validation=digits[:50], epochs=20, **options).history)

    assert epochs(0) == 3
    assert epochs(6) == 8


def test_the_returned_weights_are_those_of_the_best_epoch(digits: Tensor, make_pair: Any) -> None:
    """A schedule that climbs the loss after epoch 2 must not be what the user gets."""
    schedule = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1.0 if epoch < 2 else -30.0)
    run = pv.fit(
        *make_pair(),
        digits[:500],
        validation=digits[500:700],
        loss=TraceMeanField_ELBO(),
        optim=partial(torch.optim.Adam, lr=1e-3),
        scheduler=schedule,
        epochs=4,
        progress=False,
    )
    best, last = run.history.best, run.history[-1]
    assert best.epoch == 2
    assert last.validation_loss > best.validation_loss + 1
    elbo = pv.evaluate.elbo(run, digits[500:700], num_samples=20).elbo.mean().item()
    assert -elbo == pytest.approx(best.validation_loss, abs=0.5)


def test_loggers_of_fabric_are_fed(digits: Tensor, make_pair: Any, tmp_path: Any) -> None:
    from lightning_fabric.loggers import CSVLogger, TensorBoardLogger

    loggers = [CSVLogger(tmp_path / "csv"), TensorBoardLogger(tmp_path / "board")]
    pv.fit(*make_pair(), digits[:100], epochs=2, loggers=loggers, progress=False)
    table = next((tmp_path / "csv").rglob("metrics.csv")).read_text().splitlines()
    assert "train_loss" in table[0]
    assert len(table) == 3
    assert list((tmp_path / "board").rglob("events.out.*"))


def test_samples_of_a_bayesian_module_are_latents_too(digits: Tensor) -> None:
    """A PyroSample weight is a global latent; nats per datum stay nats per datum."""

    class Model(PyroModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.bias = PyroSample(dist.Normal(0.0, 1.0).expand([64]).to_event(1))

        def forward(self, x: Tensor | None = None, size: int | None = None) -> Tensor:
            bias = self.bias
            with pyro.plate("data", _size(x, size)):
                return pyro.sample("x", dist.Bernoulli(logits=bias).to_event(1), obs=x)

    model = Model()
    run = pv.fit(model, AutoNormal(model), digits[:500], batch_size=500, epochs=50, progress=False)
    assert math.isfinite(run.history[-1].train_loss)
    assert run.history[-1].train_loss < run.history[0].train_loss
