"""The evidence: exact values, memory, weights, errors, and a world left as it was found."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch.overrides import TorchFunctionMode

import pyrovae as pv
from pyrovae.evaluate._streams import LogMeanExp, Mean
from pyrovae.training.parameters import Parameters


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return pv.data.load("digits").test.x.flatten(1).round()[:30]


@pytest.fixture
def run() -> pv.Fit:
    pyro.set_rng_seed(0)
    model = pv.models.VAE(pv.priors.StandardNormal(3), pv.nets.MLP(3, 16, 64), pv.heads.bernoulli)
    return pv.Fit(model, pv.guides.Amortized(z=(pv.nets.MLP(64, 16, 6), pv.heads.normal)))


def test_streamed_weights_are_the_weights():
    torch.manual_seed(0)
    log_weight = 30 * torch.randn(1000, 8, dtype=torch.float64) - 500
    log_weight[:300, 0] = -math.inf  # the first chunks see nothing but zeros
    log_weight[:, 1] = -math.inf
    stream = LogMeanExp()
    for chunk in log_weight.split(77):
        stream.add(chunk)
    weight = (log_weight - log_weight.amax(0)).exp()
    direct = log_weight.logsumexp(0) - math.log(1000)
    assert torch.allclose(stream.value, direct, rtol=0, atol=1e-10)
    error = weight.std(0) / math.sqrt(1000) / weight.mean(0)
    size = weight.sum(0) ** 2 / weight.square().sum(0)
    finite = torch.arange(8) != 1
    assert torch.allclose(stream.standard_error[finite], error[finite], rtol=1e-10)
    assert torch.allclose(stream.effective_sample_size[finite], size[finite], rtol=1e-10)


def test_streamed_moments_are_the_moments():
    torch.manual_seed(0)
    values = 1e6 + torch.randn(1000, 4, dtype=torch.float64)
    stream = Mean()
    for chunk in values.split(77):
        stream.add(chunk)
    assert torch.allclose(stream.value, values.mean(0), rtol=1e-14)
    assert torch.allclose(stream.standard_error, values.std(0) / math.sqrt(1000), rtol=1e-8)


def test_discrete_latents_sum_up(digits):
    """A mixture with a hidden switch: every state enumerated by hand."""
    pyro.set_rng_seed(0)
    logits = torch.randn(3, 64)

    def model(x):
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
            b = pyro.sample("b", dist.Bernoulli(0.25))
            loc = logits[k] * (1 - 0.1 * b.unsqueeze(-1))
            pyro.sample("x", dist.Bernoulli(logits=loc).to_event(1), obs=x)

    def guide(x):
        # Near the posterior, not the posterior.
        scores = 0.7 * torch.stack([dist.Bernoulli(logits=row).log_prob(x).sum(-1) for row in logits], -1)
        with pyro.plate("data", len(x)):
            pyro.sample("k", dist.Categorical(logits=scores))
            pyro.sample("b", dist.Bernoulli(0.5))

    exact = torch.stack(
        [
            math.log(pk * pb) + dist.Bernoulli(logits=logits[k] * (1 - 0.1 * b)).log_prob(digits).sum(-1)
            for k, pk in enumerate([0.5, 0.3, 0.2])
            for b, pb in enumerate([0.75, 0.25])
        ]
    ).logsumexp(0)
    found = pv.evaluate.evidence(pv.Fit(model, guide), digits, num_samples=4000)
    standardised = (found.log_evidence - exact) / found.standard_error
    assert (standardised.abs() < 3).float().mean() > 0.9
    assert abs(standardised.mean()) < 3 / math.sqrt(len(digits))


@pytest.mark.parametrize("memory", [1, 30_000, 2**20])
def test_chunks_change_nothing_but_the_noise(run, digits, memory):
    reference = pv.evaluate.evidence(run, digits[:5], num_samples=20_000, seed=1)
    few = {1: 50, 30_000: 1000}.get(memory, 5000)
    found = pv.evaluate.evidence(run, digits[:5], num_samples=few, memory=memory)
    error = (reference.standard_error**2 + found.standard_error**2).sqrt()
    assert ((found.log_evidence - reference.log_evidence).abs() < 4 * error).all()


def test_chunks_of_weights_make_the_evidence(run, digits):
    weights = pv.evaluate.log_weights(run, digits, num_samples=300, memory=500_000, seed=3)
    found = pv.evaluate.evidence(run, digits, num_samples=300, memory=500_000, seed=3)
    assert weights.shape == (300, len(digits))
    assert weights.dtype == torch.float64
    direct = weights.logsumexp(0) - math.log(300)
    assert torch.allclose(found.log_evidence, direct, rtol=0, atol=1e-10)
    assert torch.equal(pv.evaluate.log_evidence(run, digits, 300, memory=500_000, seed=3), found.log_evidence)
    assert "30 data, samples: 300" in repr(found)


def test_memory_is_bounded_by_the_budget(run, digits):
    """The largest tensor that an evaluation makes grows with the budget, not with the particles."""

    class Live(TorchFunctionMode):
        largest = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.largest = max(self.largest, result.untyped_storage().nbytes())
            return result

    def largest(num_samples, memory):
        with Live() as live:
            pv.evaluate.evidence(run, digits, num_samples=num_samples, memory=memory)
        return live.largest

    assert largest(1000, 200_000) == largest(300, 200_000) < 200_000
    assert largest(1000, 2_000_000) > 200_000


def test_any_kind_of_data(run, digits):
    labelled = torch.utils.data.TensorDataset(digits, torch.arange(len(digits)))
    kinds = [digits, digits.numpy(), (digits, torch.arange(len(digits))), pv.data.Data(digits), labelled]
    found = [pv.evaluate.log_evidence(run, x, 50) for x in kinds]
    assert all(torch.equal(values, found[0]) for values in found)


def test_seeds(run, digits):
    first, again, other = (pv.evaluate.log_evidence(run, digits, 50, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("fails", [False, True])
def test_the_world_is_left_as_it_was(run, digits, fails):
    """Random state, training mode, Pyro's validation and parameters, outer handlers, gradients: trap 9."""
    run.model.train()
    run = pv.Fit(run.model, run.guide, parameters=Parameters())
    pyro.param("stranger", torch.tensor(1.0))
    state, weights = torch.get_rng_state(), [p.detach().clone() for p in run.model.parameters()]
    x = digits + 0.5 if fails else digits
    with pyro.validation_enabled(False), poutine.trace() as seen:
        if fails:
            with pytest.raises(ValueError, match="site 'x'"):
                pv.evaluate.evidence(run, x, num_samples=10)
        else:
            pv.evaluate.evidence(run, x, num_samples=10)
            pv.evaluate.elbo(run, x)
            pv.evaluate.log_weights(run, x, num_samples=3)
        assert not torch.distributions.Distribution._validate_args
    assert not seen.trace.nodes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in run.model.modules())
    assert list(pyro.get_param_store().keys()) == ["stranger"]
    assert all(map(torch.equal, weights, run.model.parameters()))
    assert all(p.grad is None for p in run.model.parameters())
    pyro.get_param_store().clear()


def latent(name, fn=None, **infer):
    return pyro.sample(name, fn or dist.Normal(0.0, 1.0), infer=infer)


def model(x):
    with pyro.plate("data", len(x)):
        z = latent("z")
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide(x):
    with pyro.plate("data", len(x)):
        latent("z")


def global_model(x):
    theta = latent("theta")
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(theta, 1.0), obs=x)


def global_guide(x):
    latent("theta")


def extra_guide(x):
    with pyro.plate("data", len(x)):
        latent("z"), latent("w")


def greedy_guide(x):
    with pyro.plate("data", len(x)):
        latent("z"), latent("x")


def random_auxiliary(x):
    with pyro.plate("data", len(x)):
        a = latent("a", is_auxiliary=True)
        latent("z", dist.Normal(a, 1.0))


def unobserved(x):
    with pyro.plate("data", len(x)):
        latent("z")


def wrong_size(x):
    with pyro.plate("data", 100):
        latent("z")


def no_event(x):
    with pyro.plate("data", len(x), dim=-1):
        z = latent("z")
        pyro.sample("x", dist.Normal(z, 1.0).expand([2, len(x)]), obs=x.expand(2, -1))


def two_plates(x):
    with pyro.plate("rows", len(x), dim=-1), pyro.plate("columns", len(x), dim=-2):
        latent("z")
        pyro.sample("x", dist.Normal(0.0, 1.0), obs=x.expand(len(x), -1))


def two_plates_guide(x):
    with pyro.plate("rows", len(x), dim=-1), pyro.plate("columns", len(x), dim=-2):
        latent("z")


def other_dim(x):
    with pyro.plate("data", len(x), dim=-2):
        latent("z")


MISTAKES = [
    (global_model, global_guide, "guide, site 'theta'.*inside the data plate"),
    (model, extra_guide, "guide, site 'w'.*a name that the model does not sample"),
    (model, lambda x: None, "model, latent site 'z'.*same name in the guide"),
    (model, greedy_guide, "guide, site 'x'.*the model observes"),
    (model, random_auxiliary, "guide, auxiliary site 'a'"),
    (unobserved, guide, "model: expected at least one observed site"),
    (model, wrong_size, "guide, site 'z'.*plate of size 3.*'data': 100"),
    (no_event, guide, "site 'x'.*to_event"),
    (model, other_dim, "same dimension at every site"),
    (two_plates, two_plates_guide, "one plate for the data.*Call the one"),
]


@pytest.mark.parametrize(("model", "guide", "message"), MISTAKES)
def test_mistakes_are_named(model, guide, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        pv.evaluate.evidence(pv.Fit(model, guide), torch.randn(12), num_samples=10)


def test_weights_that_diverged_are_named(run, digits):
    with torch.no_grad():
        run.model.decoder.layers[0].bias[0] = math.nan
    for function in (pv.evaluate.evidence, pv.evaluate.elbo):
        with pytest.raises(ValueError, match=r"^model: .*parameter logits .* of distribution LogitBernoulli"):
            function(run, digits)


@pytest.mark.parametrize(("loc", "side"), [(math.nan, "model, site 'x'"), (math.inf, "model, site 'x'")])
def test_log_probabilities_that_are_no_numbers_are_named(loc, side):
    """A distribution that checks nothing of itself."""

    class Unchecked(dist.Normal):
        def log_prob(self, value):
            return super().log_prob(value) + loc

    def model(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", Unchecked(z, 1.0), obs=x)

    with pytest.raises(ValueError, match=f"{side}.*got {loc} for 2 of the data"):
        pv.evaluate.evidence(pv.Fit(model, guide), torch.zeros(2), num_samples=3)


def test_wrong_arguments(run, digits):
    with pytest.raises(TypeError, match=r"pyrovae\.Fit\(model, guide\)"):
        pv.evaluate.evidence(run.model, digits)
    for name in ("num_samples", "memory", "batch_size"):
        with pytest.raises(ValueError, match=name):
            pv.evaluate.evidence(run, digits, **{name: 0})
    with pytest.raises(ValueError, match="dims"):
        pv.evaluate.bits_per_dim(-80.0, 0)


def test_one_sample_has_no_standard_error(run, digits):
    assert pv.evaluate.evidence(run, digits, num_samples=1).standard_error.isnan().all()
    assert pv.evaluate.elbo(run, digits).standard_error.isnan().all()


def test_bits_per_dim_of_uniform_levels():
    """256 equally likely levels are 8 bits a pixel, whether the density is told on 0..255 or on [0, 1]."""
    dims = 10
    assert pv.evaluate.bits_per_dim(-dims * math.log(256), dims) == pytest.approx(8)
    assert pv.evaluate.bits_per_dim(torch.zeros(3), dims, offset=math.log2(256)).tolist() == [8.0] * 3
