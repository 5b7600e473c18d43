"""Guides without, and with half an, amortization go wherever a guide goes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pyro
import pyro.infer
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import nn

import pyrovae as pv

adam = functools.partial(torch.optim.Adam, lr=0.03)


@pytest.fixture
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def per_datum(model: nn.Module, base: nn.Module) -> nn.Module:
    return pv.guides.PerDatum(60, z=(8, pv.heads.normal))


def semi(model: nn.Module, base: nn.Module, **options: object) -> nn.Module:
    return pv.guides.SemiAmortized(base, model, **{"steps": 1, **options})


PROGRAMS: dict[str, Callable[..., nn.Module]] = {
    "PerDatum": per_datum,
    "SemiAmortized": semi,
    "SemiAmortized, first order": functools.partial(semi, second_order=False),
    "SemiAmortized, not clipped": functools.partial(semi, clip=None, rate=0.02, num_particles=1, steps=2),
}
PARTICLES = Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
CAPTURED = {
    "PerDatum": Trace_ELBO(),
    "SemiAmortized": PARTICLES,
    "SemiAmortized, first order": TraceMeanField_ELBO(),
    "SemiAmortized, not clipped": Trace_ELBO(),
}


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_captured_step_is_the_eager_step_of_pyro(name, make_pair, digits):
    x, index = digits.double()[:60], torch.arange(60)

    def script(svi_of):
        pyro.set_rng_seed(0)
        model, base = make_pair()
        guide = PROGRAMS[name](model, base)
        svi = svi_of(model, guide, pyro.optim.Adam({"lr": 0.01}), CAPTURED[name])
        for rows in (slice(0, 20), slice(20, 40), slice(0, 20)):
            yield svi.step(x[rows], index[rows])
            yield [p.detach().clone() for p in guide.parameters()]
        yield svi.evaluate_loss(x[:20], index[:20])

    both(script)


@pytest.mark.parametrize("program", [per_datum, semi])
def test_fit_trains_it_and_evaluation_takes_it(program, make_pair, digits):
    model, base = make_pair()
    guide = program(model, base)
    data = (digits[:60], torch.arange(60))
    run = pv.fit(model, guide, data, optim=adam, epochs=6, batch_size=20, kl_warmup=2, compile=False)
    assert run.history[-1].train_loss < run.history[0].train_loss
    bound = pv.evaluate.elbo(run, data, num_samples=200, compile=False)
    evidence = pv.evaluate.log_evidence(run, data, num_samples=200, compile=False)
    assert bound.closed_form == {"z": True}
    assert (bound.elbo <= evidence + 6 * bound.standard_error).all()
    assert pv.predict.encode(run, data).mean["z"].shape == (60, 4)
    assert pv.predict.sample(run, 3).shape == (3, 64)
