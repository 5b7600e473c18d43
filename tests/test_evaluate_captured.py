"""Evaluation by graphs: the same numbers from the same seed, and the same errors; else by the programs."""

from __future__ import annotations

import dataclasses
import logging
import math

import pairs
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import nn

import pyrovae as pv
from pyrovae.engine import Refusal
from pyrovae.engine.captured import Captured
from pyrovae.evaluate._repeated import Repeated
from pyrovae.training.parameters import Parameters


def convolutional():
    """A decoder that takes one batch dimension only, so that particles are copies of the data."""
    pyro.set_rng_seed(0)
    decoder = nn.Sequential(
        nn.Linear(2, 4 * 4 * 4), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Flatten()
    )
    model = pv.models.VAE(pv.priors.StandardNormal(2), decoder, pv.heads.bernoulli)
    return pv.Fit(model, pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal)))


def loops():
    """Programs for eight data, neither more nor less, that nothing but a loop can draw."""

    def model(x):
        with pyro.plate("data", 8):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z.reshape(8, 1).expand(8, 64), 1.0).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", 8):
            pyro.sample("z", dist.Normal(x.mean(-1), 0.5))

    return pv.Fit(model, guide)


PAIRS = {
    "house": pairs.vae,
    "tutorial": pairs.tutorial,
    "functions": pairs.functions,
    "two latents": lambda: pairs.ladder()[0],
    "two observed": lambda: pairs.labelled()[0],
    "discrete": lambda: pairs.mixture()[0],
    "copies": convolutional,
    "one by one": loops,
}
# Thirteen rows at a time: of three data 4, 4, 4 and 1 particles, of the last two 6, 6 and 1.
MEMORY = {
    "house": 13_000,
    "tutorial": 13_000,
    "functions": 37_000,
    "two latents": 17_500,
    "two observed": 46_000,
    "discrete": 36_000,
    "copies": 23_000,
    "one by one": 1,
}


@pytest.fixture
def by_programs(monkeypatch):
    """The sizes of the draws that the programs themselves have made, the probing ones left out."""
    drawn = []
    eager = Repeated.eager

    def noted(self, chunk, particles):
        drawn.append((len(chunk[0]), particles))
        return eager(self, chunk, particles)

    monkeypatch.setattr(Repeated, "eager", noted)
    return drawn


def both(function, run, x, by_programs, mode="capture", **options):
    """What evaluation gives with and without graphs, and the draws that graphs have made."""
    function(
        run, x, compile=False, **options | {"num_samples": 1}
    )  # makes the parameters, where none are yet
    by_programs.clear()
    eager = function(run, x, compile=False, **options)
    everything = list(by_programs)
    by_programs.clear()
    captured = function(run, x, compile=mode, **options)
    made = everything.copy()
    for size in by_programs:
        made.remove(size)
    return eager, captured, made


def fields(result):
    """All that a result says, by name."""
    return {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}


def equal(one, other):
    """Whether two results are the same to the last bit."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return one == other


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, pv.evaluate.evidence) for name in PAIRS]
    + [(name, pv.evaluate.elbo) for name in ("house", "two latents", "discrete")],
)
def test_captured_draws_are_the_programs(name, function, digits, by_programs):
    x = pairs.data_for("labelled" if name == "two observed" else name, digits[:8])
    options = {"num_samples": 13, "memory": MEMORY[name], "batch_size": 8 if name == "one by one" else 3}
    eager, captured, made = both(function, PAIRS[name](), x, by_programs, **options)
    assert equal(fields(eager), fields(captured))
    if name == "one by one":
        assert by_programs == [(8, 1)]  # the first of each chunk, which is validated
        assert made == [(8, 1)] * 12
    else:
        assert [data for data, _ in by_programs] == [3, 3, 2]
        assert {data for data, _ in made} == {3, 2}
        assert len(set(made)) >= 3


def test_weights_in_chunks_of_every_size(digits, by_programs):
    run = pairs.vae()
    options = {"num_samples": 300, "memory": 270_000}
    eager, captured, made = both(pv.evaluate.log_weights, run, digits[:10], by_programs, **options)
    assert torch.equal(eager, captured)
    assert eager.unique(dim=0).shape == (300, 10)
    assert len({data for data, _ in made}) == 2
    assert len({particles for _, particles in made}) >= 2


def test_compiled_draws_are_the_programs(digits, by_programs):
    options = {"num_samples": 60, "memory": 50_000}
    eager, compiled, made = both(
        pv.evaluate.evidence, pairs.vae(), digits[:6], by_programs, mode=True, **options
    )
    assert len(made) > 2
    assert torch.allclose(eager.log_evidence, compiled.log_evidence, rtol=1e-6, atol=0)
    for name in ("standard_error", "effective_sample_size"):
        assert torch.allclose(getattr(eager, name), getattr(compiled, name), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("num_samples", "captures"), [(101, True), (100, False)])
def test_auto_captures_what_is_planned_to_pay(num_samples, captures, digits, by_programs):
    """One particle at a time: the first is validated, a hundred are left."""
    _, _, made = both(
        pv.evaluate.evidence,
        pairs.vae(),
        digits[:1],
        by_programs,
        mode="auto",
        num_samples=num_samples,
        memory=1,
    )
    assert len(made) == (100 if captures else 0)


def test_auto_counts_the_chunks_of_all_data(digits, by_programs):
    options = {"num_samples": 11, "memory": 1}
    _, _, made = both(pv.evaluate.elbo, pairs.vae(), digits[:10], by_programs, mode="auto", **options)
    assert len(made) == 100
    loader = torch.utils.data.DataLoader(Stream(digits[:10]), batch_size=5)  # of a length that nobody tells
    _, _, made = both(pv.evaluate.elbo, pairs.vae(), loader, by_programs, mode="auto", **options)
    assert len(made) == 1  # the hundredth


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, x):
        self.x = x

    def __iter__(self):
        return iter(self.x)


def rare(bad):
    """A pair whose log-probabilities are wrong for the few particles far out."""

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.factor("x", torch.where(z > 2.5, bad, -z) + 0.0 * x.sum(-1))

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    return pv.Fit(model, guide)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("mode", ["capture", False])
def test_the_first_wrong_number_is_laid_to_its_site(bad, mode, digits):
    options = {"num_samples": 2000, "memory": 1000, "seed": 3}
    message = f"model, site 'x': expected log-probabilities that are numbers, got {bad} for 1 of the data"
    with pytest.raises(ValueError) as raised:
        pv.evaluate.evidence(rare(bad), digits[:3], compile=mode, **options)
    assert message in str(raised.value)


@pytest.mark.parametrize("mode", ["capture", False])
def test_the_first_wrong_term_of_the_bound_is_laid_to_its_site(mode, digits, by_programs):
    options = {"num_samples": 2000, "memory": 1000, "seed": 3}
    with pytest.raises(ValueError, match=r"model, site 'x'.*got nan for 1 of the data"):
        pv.evaluate.elbo(rare(math.nan), digits[:3], compile=mode, **options)
    assert (len(by_programs) == 2) is (mode == "capture")  # the first draw, and the one that went wrong


def test_a_weight_of_zero_is_no_error(digits, by_programs):
    eager, captured, made = both(
        pv.evaluate.evidence, rare(-math.inf), digits[:3], by_programs, num_samples=500, memory=1000
    )
    assert equal(fields(eager), fields(captured))
    assert made


def reads_values(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        scale = 1.0 if z.mean() > 0 else 2.0
        pyro.sample("x", dist.Normal(z.unsqueeze(-1).expand(*z.shape, 64), scale).to_event(1), obs=x)


def test_what_cannot_be_captured(digits, caplog):
    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    run, options = pv.Fit(reads_values, guide), {"num_samples": 150, "batch_size": 1, "memory": 1}
    with pytest.raises(Refusal, match=r"read in Python.*z\.mean\(\) > 0"):
        pv.evaluate.evidence(run, digits[:1], compile="capture", **options)
    caplog.set_level(logging.INFO, "pyrovae.engine")
    found = pv.evaluate.evidence(run, digits[:1], **options)
    assert caplog.text.count("eager from here on") == 1
    eager = pv.evaluate.evidence(run, digits[:1], compile=False, **options)
    assert equal(fields(found), fields(eager))


def test_handlers_around_the_call_see_nothing(digits, by_programs):
    run = pairs.vae()
    with poutine.trace() as seen, poutine.scale(scale=3.0):
        inside = pv.evaluate.elbo(run, digits[:3], num_samples=20, memory=20_000, compile="capture")
    captured = len(by_programs) == 3
    assert captured
    assert not seen.trace.nodes
    assert equal(
        fields(inside),
        fields(pv.evaluate.elbo(run, digits[:3], num_samples=20, memory=20_000, compile=False)),
    )


def test_parameters_that_wait_in_a_file(digits, by_programs):
    """They are put in their places by a handler, which a captured draw is hidden from."""
    source = pairs.functions()

    def loaded():
        parameters = Parameters()
        parameters.waiting = {"weight": torch.ones(2, 64), "encoder": torch.zeros(64, 2)}
        return pv.Fit(source.model, source.guide, parameters=parameters)

    options = {"num_samples": 20, "memory": 20_000}
    found = pv.evaluate.evidence(loaded(), digits[:3], compile="capture", **options)
    assert len(by_programs) == 3
    assert equal(fields(found), fields(pv.evaluate.evidence(loaded(), digits[:3], compile=False, **options)))


@pytest.mark.parametrize("mode", [False, "capture"])
def test_the_process_is_left_as_it_was(mode, digits):
    run = pairs.vae()
    run.model.train()
    tiny = torch.tensor([1e-40])
    before = torch.get_rng_state()
    with pyro.validation_enabled(True):
        pv.evaluate.evidence(run, digits[:3], num_samples=20, memory=20_000, compile=mode)
        assert torch.distributions.Distribution._validate_args
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in run.model.modules())
    assert (tiny * 0.5).item() > 0  # denormal numbers are numbers again


@pytest.mark.parametrize("mode", [False, "capture"])
def test_denormal_numbers_are_zero_inside(mode, digits):
    found = []

    def guide(x):
        found.append((torch.tensor([1e-40]) * 0.5).item())
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x.mean(-1), 0.5))

    pv.evaluate.evidence(pv.Fit(loops().model, guide), digits[:8], num_samples=3, batch_size=8, compile=mode)
    assert set(found[:3]) == {0.0}


def test_an_unknown_mode():
    with pytest.raises(ValueError, match='compile: expected "auto", True, False or "capture"'):
        pv.evaluate.elbo(pairs.vae(), torch.zeros(3, 64), compile="fast")


class Constant:
    """The smallest function that can be captured."""

    layout = None

    def __call__(self, x):
        return [2 * x]

    def learn(self, footprint):
        return False

    def programs(self):
        return []


def test_captured_works_within_the_handler_that_it_was_told():
    hidden, x = poutine.block(), torch.ones(3)
    captured = Captured(Constant(), "capture", within=hidden)
    with poutine.trace(), hidden:
        assert torch.equal(captured((x,), {})[0], 2 * x)
    assert torch.equal(captured((x,), {})[0], 2 * x)
    with hidden, poutine.trace(), pytest.raises(Refusal, match="effect handlers are active"):
        captured((x,), {})
    with poutine.block(), pytest.raises(Refusal, match="effect handlers are active"):
        captured((x,), {})
