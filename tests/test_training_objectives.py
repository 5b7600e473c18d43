"""``fit`` with the objectives: what is logged, resumed, refused; and the model that lags behind its guide."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pairs import vae
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import objectives as o
from pyrovae.training.history import Epoch, History

_STILL: dict[str, Any] = {"progress": False, "batch_size": 64, "seed": 3}


def _fit(x: Tensor, loss: Any, **options: Any) -> pv.Fit:
    pair = vae()
    return pv.fit(pair.model, pair.guide, x, loss=loss, **{**_STILL, **options})


@pytest.fixture(scope="module")
def x(digits: Tensor) -> Tensor:
    return digits[:256]


def learned(x: Tensor) -> o.Objective:
    """An objective that keeps everything that one can keep."""
    network = pv.nets.MLP(64, 8, 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.01)
    baselines = o.NeuralBaseline(network), o.DecayingAverage(0.8)
    return o.ELBO(beta=o.Sigmoid(0.0, 1.0, epochs=3), estimators=o.ScoreFunction(*baselines))


RESUMED: dict[str, Callable[[Tensor], Any]] = {
    "schedule and baselines": learned,
    "multiplier": lambda x: o.GECO(28.0, decay=0.9),
    "capacity": lambda x: o.CapacityELBO(o.Linear(0.0, 5.0, epochs=3)),
    "phase": lambda x: o.Lagging(2, epochs=1.5),
    "temperature": lambda x: o.IWAE(3, estimators=o.DoublyReparameterized()),
}


@pytest.mark.parametrize("compile", [False, "capture"])
@pytest.mark.parametrize("name", RESUMED)
def test_a_run_put_down_and_taken_up_is_one_run(name: str, compile: Any, x: Tensor, tmp_path: Path) -> None:
    options = {"compile": compile, "validation": x[:50]}
    whole = _fit(x, RESUMED[name](x), epochs=4, **options)
    _fit(x, RESUMED[name](x), epochs=2, run_dir=tmp_path, **options)
    resumed = _fit(x, RESUMED[name](x), epochs=4, run_dir=tmp_path, resume=True, **options)
    assert resumed.history == whole.history
    for one, other in zip(whole.params.items(), resumed.params.items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1]), one[0]


def test_another_objective_is_not_the_run_that_was_left(x: Tensor, tmp_path: Path) -> None:
    _fit(x, o.FreeBits(0.1), epochs=1, run_dir=tmp_path)
    with pytest.raises(
        ValueError, match=r"settings.loss: expected .FreeBits\(nats=0.1, .*got .FreeBits\(nats=0.2"
    ):
        _fit(x, o.FreeBits(0.2), epochs=2, run_dir=tmp_path, resume=True)


def test_the_unweighted_elbo_is_logged_beside(x: Tensor) -> None:
    rows: list[dict[str, float]] = []

    class Logger:
        def log_metrics(self, metrics: dict[str, float], step: int) -> None:
            rows.append(metrics)

    beta = o.Linear(0.0, 1.0, epochs=2, every="epoch")
    run = _fit(x, o.ELBO(beta=beta), epochs=3, loggers=[Logger()])
    assert run.history.column("kl_weight") == [0.0, 0.5, 1.0]
    first, *_, last = run.history
    assert -first.train_elbo > first.train_loss
    assert -last.train_elbo == pytest.approx(last.train_loss)
    assert [row["train_elbo"] for row in rows] == run.history.column("train_elbo")
    assert [row["beta"] for row in rows] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "make", [lambda: o.WAE(), lambda: o.IWAE(5), lambda: o.GECO(25.0), lambda: o.FreeBits(1.0)]
)
def test_whatever_is_minimised_the_elbo_is_told(make: Callable[[], o.Objective], x: Tensor) -> None:
    run = _fit(x, make(), epochs=2, validation=x[:64])
    for row in run.history:
        assert math.isfinite(row.train_elbo)
        assert -row.train_elbo != row.train_loss
    assert run.history[-1].validation_loss < run.history[0].validation_loss


def test_of_pyros_own_elbo_it_is_the_loss_and_under_a_warm_up_unknown(x: Tensor) -> None:
    plain, warmed = _fit(x, Trace_ELBO(), epochs=1), _fit(x, Trace_ELBO(), epochs=1, kl_warmup=2)
    assert plain.history[0].train_elbo == -plain.history[0].train_loss
    assert math.isnan(warmed.history[0].train_elbo)


def test_an_objective_that_trained_one_pair_begins_anew_with_the_next(x: Tensor) -> None:
    loss = learned(x)
    first, second = _fit(x, loss, epochs=2), _fit(x, loss, epochs=2)
    assert first.history == second.history
    assert loss.state_dict() == {}


def test_patience_waits_for_the_schedules(x: Tensor) -> None:
    beta = o.Linear(0.0, 1.0, epochs=4)
    frozen = partial(torch.optim.SGD, lr=0.0)
    run = _fit(x, o.ELBO(beta=beta), epochs=9, validation=x[:64], patience=2, optim=frozen)
    assert len(run.history) == 6


def test_a_history_of_before_can_be_read() -> None:
    old = "epoch,step,train_loss,validation_loss,kl_weight,learning_rate\r\n1,4,2.5,2.25,1.0,0.001\r\n"
    (row,) = History.from_csv(old)
    assert row[:6] == Epoch(1, 4, 2.5, 2.25, 1.0, 0.001)[:6]
    assert math.isnan(row.train_elbo)


@pytest.mark.parametrize("loss", [o.IWAE(3), o.Renyi(0.5, 3), o.CUBO(3), o.ReweightedWakeSleep(3)], ids=repr)
def test_a_warm_up_of_what_has_no_kl_term_is_refused(loss: Any, x: Tensor) -> None:
    with pytest.raises(ValueError, match=f"kl_warmup: .*{type(loss).__name__}"):
        _fit(x, loss, epochs=2, kl_warmup=1)


def test_a_warm_up_by_fit_is_a_warm_up_by_beta(x: Tensor) -> None:
    """Both sides of the site are scaled, closed forms included."""
    one = _fit(x, o.ELBO(), epochs=3, kl_warmup=2)
    other = _fit(x, o.ELBO(beta=o.Linear(0.0, 1.0, epochs=2)), epochs=3)
    for a, b in zip(one.history, other.history, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)


def test_epochs_of_unknown_length_are_refused(x: Tensor) -> None:
    class Stream(torch.utils.data.IterableDataset[Tensor]):
        def __iter__(self) -> Any:
            return iter(x[:128])

    loader = torch.utils.data.DataLoader(Stream(), batch_size=64)
    with pytest.raises(ValueError, match=r"Linear\(0.0, 1.0, epochs=2\): expected to know how many steps"):
        _fit(loader, o.ELBO(beta=o.Linear(0.0, 1.0, epochs=2)), epochs=1)


@pytest.mark.parametrize(
    "make", [pyro.infer.SVI, partial(pv.SVI, compile=False), partial(pv.SVI, compile="capture")]
)
def test_while_the_model_lags_nothing_of_it_moves(make: Any, x: Tensor) -> None:
    """Not by momentum either; then it moves, and the phase ends."""
    pyro.set_rng_seed(0)
    encoder, decoder = pv.nets.MLP(64, 4), pv.nets.MLP(2, 64)
    model = pv.models.VAE(pv.priors.StandardNormal(2), decoder, pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(encoder, pv.heads.normal))
    svi = make(model, guide, pyro.optim.Adam({"lr": 0.01}), o.Lagging(2, steps=6))

    def moved(network: nn.Module, before: list[Tensor]) -> bool:
        return any(not torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))

    found = []
    for _ in range(8):
        before = [[p.detach().clone() for p in network.parameters()] for network in (encoder, decoder)]
        svi.step(x[:32])
        found.append((moved(encoder, before[0]), moved(decoder, before[1])))
    guide_alone, both = (True, False), (True, True)
    assert found == [guide_alone, guide_alone, both, guide_alone, guide_alone, both, both, both]


def test_geco_reaches_what_it_is_asked_for(digits: Tensor) -> None:
    """The reconstruction error comes to the tolerance, from above, and stays."""
    pair = vae(dim=4)
    run = pv.fit(pair.model, pair.guide, digits, loss=o.GECO(21.0, rate=0.02), epochs=80, **_STILL)
    error = -pv.evaluate.elbo(run, digits[:500], num_samples=4).reconstruction.mean().item()
    assert error == pytest.approx(21.0, abs=1.0)


def test_another_observed_site_does_not_change_the_unit(x: Tensor) -> None:
    """A weighed loss stated before the data, as in semi-supervised learning: a datum still counts once."""
    pair = vae()

    def model(x: Tensor) -> None:
        with pyro.plate("labels", len(x)), pyro.poutine.scale(scale=50.0):
            pyro.sample(
                "label", pyro.distributions.Bernoulli(torch.full((len(x),), 0.5)), obs=x[:, 0].round()
            )
        pair.model(x)

    plain = _fit(x, o.ELBO(), epochs=1)
    run = pv.fit(model, pair.guide, x, loss=o.ELBO(), epochs=1, **_STILL)
    assert run.history[0].train_loss == pytest.approx(
        plain.history[0].train_loss + 50 * math.log(2), rel=1e-4
    )
