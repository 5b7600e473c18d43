"""``benchmarks/truths``: what is called exact agrees with Pyro's estimators and with importance sampling."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    config_enumerate,
)
from torch import Tensor

NORMAL = ["conjugate normal", "two-level normal, bottom-up", "two-level normal, top-down", "ppca"]
VECTORS = ["bernoulli", "two-level bernoulli, bottom-up", "discrete"]
ENUMERABLE = ["categorical", "one-hot categorical", "two-level categorical, bottom-up", "nested plates"]
MIXED = ["mixed, y then z", "mixed, z then y"]
FINITE = VECTORS + ENUMERABLE
ALL = NORMAL + FINITE + MIXED


@pytest.fixture
def truths(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package, from its place among the benchmarks."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import truths

    return truths


def _log_weights(truths: ModuleType, truth: Any, particles: int) -> Tensor:
    with torch.no_grad():
        log_p, log_q = truths.log_densities(truth, truth.make(), particles)
    return log_p - log_q


def _agree(samples: Tensor, exact: Tensor, errors: float = 4.0) -> None:
    error = samples.std(0) / len(samples) ** 0.5
    assert (error > 0).all()
    assert ((samples.mean(0) - exact).abs() < errors * error).all()


def _worst(scores: dict[str, Tensor]) -> float:
    return max(score.abs().max().item() for score in scores.values())


def _spread(samples: dict[str, Tensor]) -> float:
    return sum(drawn.var(0).sum().item() for drawn in samples.values())


def test_every_truth_is_tested_here(truths: ModuleType) -> None:
    assert set(truths.TRUTHS) == set(ALL)
    assert all(name == truth.name for name, truth in truths.TRUTHS.items())


@pytest.mark.parametrize("name", ALL)
def test_the_programs_hold_the_named_parameters(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    model, guide, parameters = truth.make()

    Trace_ELBO().loss_and_grads(model, guide, truth.data)

    store = dict(pyro.get_param_store().named_parameters())
    assert set(store) == set(parameters) == {*truth.model_names, *truth.guide_names}
    assert not set(truth.model_names) & set(truth.guide_names)
    assert all(store[key] is leaf and leaf.dtype == torch.float64 for key, leaf in parameters.items())
    sites = poutine.trace(guide).get_trace(truth.data)
    assert {key for key in sites.stochastic_nodes if key not in {"data", "entries"}} == set(truth.kinds)
    other = truth.make().parameters
    assert all(other[key].data_ptr() != leaf.data_ptr() for key, leaf in parameters.items())


@pytest.mark.parametrize("name", ALL)
def test_the_elbo_is_that_of_trace_elbo(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    model, guide, parameters = truth.make()
    loss = Trace_ELBO(num_particles=500, vectorize_particles=True, max_plate_nesting=truth.max_plate_nesting)

    losses = torch.tensor([loss.loss(model, guide, truth.data) for _ in range(40)])

    _agree(-losses, truth.exact_elbo(parameters, truth.data).sum().detach())


@pytest.mark.parametrize("name", ALL)
def test_elbo_and_evidence_agree_with_importance_weights(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    parameters = truth.make().parameters
    elbo, evidence = (
        exact(parameters, truth.data).detach() for exact in (truth.exact_elbo, truth.exact_evidence)
    )

    weights = _log_weights(truths, truth, 40_000)

    _agree(weights, elbo)  # each datum's own
    _agree((weights - evidence).exp(), torch.ones_like(evidence))
    assert (evidence > elbo + 0.01).all(), "no guide is exact, so that bounds differ"


@pytest.mark.parametrize("name", NORMAL + VECTORS)
def test_chosen_latents_give_elbo_and_gradient_to_the_last_digits(truths: ModuleType, name: str) -> None:
    """Where no draw is needed: a quadratic function of two normals, or a sum over states."""
    truth = truths.TRUTHS[name]
    pair = truth.make()
    if name in NORMAL:  # the mean of these four is exact for every polynomial of degree two or three
        noise = 2**0.5 * torch.cat([torch.eye(2), -torch.eye(2)]).double().unsqueeze(1)
        columns = {"z": noise} if "z" in truth.kinds else {"z1": noise[..., 0], "z2": noise[..., 1]}
        choices = {site: lambda fn, e=e: fn.mean + fn.variance.sqrt() * e for site, e in columns.items()}
        log_p, log_q = truths.log_densities(truth, pair, 4, choices=choices)
        elbo = (log_p - log_q).mean(0)
    else:
        sizes = {"h1": 3, "h2": 2} if "h1" in truth.kinds else {"z": 5 if name == "discrete" else 3}
        bits = torch.cartesian_prod(*[torch.arange(2.0)] * sum(sizes.values())).double().unsqueeze(1)
        parts = dict(zip(sizes, bits.split(list(sizes.values()), -1), strict=True))
        choices = {site: lambda fn, states=states: states for site, states in parts.items()}
        log_p, log_q = truths.log_densities(truth, pair, len(bits), choices=choices)
        elbo = (log_q.exp() * (log_p - log_q)).sum(0)
        torch.testing.assert_close(log_p.logsumexp(0), truth.exact_evidence(pair.parameters, truth.data))

    torch.testing.assert_close(elbo, truth.exact_elbo(pair.parameters, truth.data), rtol=1e-10, atol=1e-10)
    gradients = torch.autograd.grad(-elbo.sum(), list(pair.parameters.values()))
    for gradient, exact in zip(gradients, truths.exact_gradient(truth).values(), strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FINITE)
def test_the_bound_of_many_particles_agrees_with_draws(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    parameters = truth.make().parameters
    with torch.no_grad():
        elbo, one, two, three = (
            truth.exact_elbo(parameters, truth.data),
            *(truth.exact_iwae(parameters, truth.data, count) for count in (1, 2, 3)),
        )
    torch.testing.assert_close(one, elbo, rtol=1e-12, atol=1e-12)
    assert (elbo < two).all()
    assert (two < three).all()
    assert (three < truth.exact_evidence(parameters, truth.data)).all()

    groups = _log_weights(truths, truth, 30_000).reshape(10_000, 3, -1)

    _agree(groups.logsumexp(1) - math.log(3), three)
    _agree(groups[:, :2].logsumexp(1) - math.log(2), two)


def test_no_sum_gives_a_normals_bound(truths: ModuleType) -> None:
    truth = truths.TRUTHS["ppca"]
    assert not truth.has_exact_bound
    with pytest.raises(TypeError, match="'ppca': only finite latents"):
        truth.exact_iwae(truth.make().parameters, truth.data, 2)


@pytest.mark.parametrize("name", NORMAL)
def test_pathwise_gradients_agree(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    samples = truths.sampled_gradients(truth, Trace_ELBO(), 60, 0, repeats=300)
    assert _worst(truths.z_scores(samples, truths.exact_gradient(truth))) < 4.5


@pytest.mark.parametrize("name", ENUMERABLE)
def test_enumeration_gives_the_gradient_itself(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    exact = truths.exact_gradient(truth)
    loss = TraceEnum_ELBO(max_plate_nesting=truth.max_plate_nesting)

    samples = truths.sampled_gradients(truth, loss, 2, 0, handler=config_enumerate)

    for key, drawn in samples.items():
        torch.testing.assert_close(drawn[0], exact[key], rtol=1e-10, atol=1e-10)
    assert _worst(truths.z_scores(samples, exact)) == 0.0


@pytest.mark.parametrize("name", MIXED)
def test_enumeration_beside_a_pathwise_site_agrees(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    loss = TraceEnum_ELBO(max_plate_nesting=1)
    samples = truths.sampled_gradients(truth, loss, 60, 0, repeats=300, handler=config_enumerate)
    assert _worst(truths.z_scores(samples, truths.exact_gradient(truth))) < 4.5


@pytest.mark.parametrize("name", FINITE + MIXED)
def test_score_functions_agree(truths: ModuleType, name: str) -> None:
    truth = truths.TRUTHS[name]
    samples = truths.sampled_gradients(truth, TraceGraph_ELBO(), 60, 0, repeats=300)
    assert _worst(truths.z_scores(samples, truths.exact_gradient(truth))) < 4.5


def test_local_costs_matter_in_nested_plates(truths: ModuleType) -> None:
    """A score function with every entry's cost is right in mean, and much noisier than with its own."""
    truth = truths.TRUTHS["nested plates"]

    class AllCosts:
        """No Rao-Blackwellisation at all: the datum's whole log weight at every site."""

        def loss_and_grads(self, model: Any, guide: Any, x: Tensor) -> float:
            drawn = poutine.trace(guide).get_trace(x)
            played = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(x)
            played.compute_log_prob()
            drawn.compute_log_prob()
            log_p, log_q = (
                sum(trace.nodes[site]["log_prob"].sum(-1) for site in ("y", "b", "x") if site in trace)
                for trace in (played, drawn)
            )
            loss = -(log_p + log_q * (log_p - log_q).detach()).sum()
            loss.backward()
            return loss.item()

    local, whole = (
        truths.sampled_gradients(truth, loss, 60, 0, repeats=300) for loss in (TraceGraph_ELBO(), AllCosts())
    )

    exact = truths.exact_gradient(truth)
    assert _worst(truths.z_scores(local, exact)) < 4.5
    assert _worst(truths.z_scores(whole, exact)) < 4.5
    of_entries = ("q_gain", "q_local", "q_slope")
    assert _spread({key: local[key] for key in of_entries}) < 0.5 * _spread(
        {key: whole[key] for key in of_entries}
    )


@pytest.mark.parametrize("name", ["bernoulli", "discrete"])
def test_trap_renyi_at_0_gives_a_bernoulli_guide_no_gradient(truths: ModuleType, name: str) -> None:
    """A fact of Pyro 1.9 (pyro-ppl/pyro#3289): an IWAE of discrete latents silently trains no guide."""
    truth = truths.TRUTHS[name]
    exact = truths.exact_gradient(truth, lambda p, x: truth.exact_iwae(p, x, 3))
    loss = RenyiELBO(alpha=0, num_particles=3, vectorize_particles=True, max_plate_nesting=1)

    samples = truths.sampled_gradients(truth, loss, 60, 0, repeats=300)

    for key in truth.guide_names:
        assert (samples[key] == 0).all(), "Pyro has mended the trap: this test can go"
        assert exact[key].abs().max() > 0.1
    scores = truths.z_scores(samples, exact)
    assert all(scores[key].isinf().all() for key in truth.guide_names), "a wrong constant is not forgiven"
    assert _worst({key: scores[key] for key in truth.model_names}) < 4.5  # the model's are right


def test_trap_mean_field_elbo_is_wrong_for_a_guide_against_the_models_order(truths: ModuleType) -> None:
    """A fact of Pyro 1.9: it only warns, and adds KL(q(z1 | x) || p(z1 | z2)) though z2 depends on z1."""
    loss = TraceMeanField_ELBO(num_particles=500, vectorize_particles=True, max_plate_nesting=1)

    def drawn(name: str) -> tuple[Tensor, Tensor]:
        truth = truths.TRUTHS[name]
        model, guide, parameters = truth.make()
        exact = truth.exact_elbo(parameters, truth.data).sum().detach()
        with pyro.get_param_store().scope():
            return -torch.tensor([loss.loss(model, guide, truth.data) for _ in range(40)]), exact

    _agree(*drawn("two-level normal, top-down"))
    with pytest.warns(UserWarning, match="mean field restriction"):
        samples, exact = drawn("two-level normal, bottom-up")
    off = (samples.mean() - exact).abs() / (samples.std() / len(samples) ** 0.5)
    assert off > 20, "Pyro has mended the trap: this test can go"


def test_z_scores_tell_rounding_from_error(truths: ModuleType) -> None:
    constant, noisy = torch.full((4, 1), 2.0, dtype=torch.float64), torch.tensor([[1.0], [3.0], [1.0], [3.0]])
    samples = {"right": constant, "wrong": constant, "noisy": noisy.double()}
    exact = {"right": constant[0] + 1e-13, "wrong": constant[0] + 1e-6, "noisy": constant[0] - 1}

    scores = truths.z_scores(samples, exact)

    assert scores["right"] == 0
    assert scores["wrong"] == -math.inf
    assert scores["noisy"].item() == pytest.approx(1 / (math.sqrt(4 / 3) / 2))


def test_sampling_leaves_the_process_as_it_was(truths: ModuleType) -> None:
    pyro.param("kept", torch.ones(1))
    before = torch.get_rng_state()
    truth = truths.TRUTHS["conjugate normal"]
    first, again, other = (
        truths.sampled_gradients(truth, Trace_ELBO(), 2, seed)["q_weight"] for seed in (3, 3, 4)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert set(pyro.get_param_store().keys()) == {"kept"}
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
