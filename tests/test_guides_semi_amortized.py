"""SemiAmortized: guesses that gradient steps on each datum's bound refine."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from linear_vae import train_guide
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.spec import build, describe

adam = functools.partial(torch.optim.Adam, lr=0.03)
MEAN_FIELD = TraceMeanField_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=2)


@pytest.fixture(scope="module")
def trained(digits: Tensor) -> Callable[..., pv.guides.SemiAmortized]:
    """A VAE of digits whose encoder is too small, and what refines its guesses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = pv.models.VAE(pv.priors.StandardNormal(8), pv.nets.MLP(8, 64, 64), pv.heads.bernoulli)
        base = pv.guides.Amortized(z=(pv.nets.MLP(64, 4, 2 * 8), pv.heads.normal))
    adam = functools.partial(torch.optim.Adam, lr=5e-3)
    pv.fit(model, base, digits[:500], loss=TraceMeanField_ELBO(), optim=adam, epochs=40, compile="capture")
    return functools.partial(pv.guides.SemiAmortized, base, model)


def mean_bound(guide: pv.guides.SemiAmortized, x: Tensor, num_samples: int = 100) -> float:
    found = pv.evaluate.elbo(pv.Fit(guide.model, guide), x, num_samples=num_samples, compile=False)
    return found.elbo.mean().item()


def test_each_step_raises_the_bound_and_narrows_the_gap(trained, digits):
    x = digits[:100]
    bounds = [mean_bound(trained(steps=k), x) for k in (0, 1, 2, 5, 12)]
    assert bounds == sorted(bounds)
    own = pv.guides.PerDatum(len(x), z=(16, pv.heads.normal))
    model = build(describe(trained().model))
    model.load_state_dict(trained().model.state_dict())
    data = (x, torch.arange(len(x)))
    run = train_guide(model, own, data, steps=200)
    best = pv.evaluate.elbo(run, data, num_samples=200, compile=False).elbo.mean().item()
    gap = [best - bound for bound in bounds]
    assert gap[0] > 0.1
    assert -0.02 < gap[-1] < 0.3 * gap[0]


def test_a_datum_is_refined_alike_in_any_company_and_at_every_call(trained, digits):
    guide = trained(steps=3)
    with torch.no_grad():
        alone = torch.cat([guide.features(x[None])["z"] for x in digits[:5]])
        together = guide.features(digits[:5])["z"]
    assert torch.allclose(alone, together, atol=1e-5)
    assert torch.equal(together, guide.features(digits[:5])["z"]), (
        "nor does it matter that gradients are kept"
    )


def test_the_evidence_is_the_same_by_refined_proposals(trained, digits):
    x = digits[:50]
    base, refined = (
        pv.evaluate.evidence(pv.Fit(trained().model, guide), x, num_samples=500, compile=False)
        for guide in (trained().base, trained(steps=8))
    )
    error = (base.standard_error.square() + refined.standard_error.square()).sum().sqrt() / len(x)
    assert (base.log_evidence - refined.log_evidence).mean().abs() < 4 * error
    assert refined.effective_sample_size.mean() > base.effective_sample_size.mean()


def test_without_steps_it_is_its_base_to_the_bit(make_pair, digits):
    model, base = make_pair()
    losses, gradients = [], []
    for guide in (base, pv.guides.SemiAmortized(base, model, steps=0)):
        pyro.clear_param_store()
        pyro.set_rng_seed(1)
        base.zero_grad()
        loss = MEAN_FIELD.differentiable_loss(model, guide, digits[:20])
        loss.backward()
        losses.append(loss.detach())
        gradients.append([p.grad.clone() for p in base.parameters()])
    assert torch.equal(*losses)
    assert all(map(torch.equal, *gradients))


def small_pair(second_order: bool = True, **options: object) -> pv.guides.SemiAmortized:
    """Few parameters in float64, smooth, so that finite differences see them well."""
    torch.manual_seed(0)
    decoder = pv.nets.MLP(2, 3, 5, activation=nn.Tanh)
    model = pv.models.VAE(pv.priors.DiagonalNormal(2), decoder, pv.heads.IsotropicNormal(0.5)).double()
    base = pv.guides.Amortized(z=(pv.nets.MLP(5, 4), pv.heads.normal)).double()
    return pv.guides.SemiAmortized(base, model, second_order=second_order, **options)


@pytest.mark.parametrize("options", [{}, {"clip": None, "rate": 0.05}, {"clip": 0.3, "num_particles": 1}])
def test_the_gradient_through_the_steps_is_exact(options):
    """Against central differences of the loss itself, for every parameter of the encoder and of the model."""
    guide = small_pair(steps=3, **options)
    x = torch.randn(6, 5, dtype=torch.float64)

    def loss() -> Tensor:
        pyro.set_rng_seed(3)
        return TraceMeanField_ELBO().differentiable_loss(guide.model, guide, x)

    loss().backward()
    for parameter in guide.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(len(flat)):
            value, around = flat[i].item(), []
            for shift in (1e-6, -1e-6):
                flat[i] = value + shift
                around.append(loss().item())
            flat[i] = value
            assert gradient[i].item() == pytest.approx((around[0] - around[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_the_first_order_gradient_takes_the_steps_for_constants():
    x = torch.randn(6, 5, dtype=torch.float64)
    first, second = small_pair(second_order=False, steps=3), small_pair(steps=3)
    assert torch.equal(first.features(x)["z"], second.features(x)["z"])
    for guide in (first, second):
        guide.features(x)["z"].sum().backward()
    weight = next(first.base.parameters())
    assert torch.allclose(weight.grad, x.sum(0).expand_as(weight))
    assert all(p.grad is None for p in first.model.parameters())
    assert not torch.allclose(next(second.base.parameters()).grad, weight.grad)
    assert any(p.grad is not None for p in second.model.parameters())


def test_nothing_of_the_inner_run_is_seen_outside(make_pair, digits):
    model, base = make_pair()
    guide = pv.guides.SemiAmortized(base, model, steps=2)
    trace = pyro.poutine.trace(guide).get_trace(digits[:5])
    assert [n for n, site in trace.nodes.items() if site["type"] == "sample"] == ["data", "z"]
    assert {n.split("$$$")[0] for n, s in trace.nodes.items() if s["type"] == "param"} == {"semi_amortized"}
    assert all(name.startswith("semi_amortized$$$nets") for name in pyro.get_param_store())
    assert all(p.grad is None for p in guide.parameters())
    with pyro.plate("particles", 3, dim=-2):
        assert guide(digits[:5])["z"].shape == (3, 5, 4)
    with torch.no_grad():
        refined = guide.features(digits[:5])["z"]
    assert not refined.requires_grad
    assert not torch.equal(refined, base.nets["z"](digits[:5]))


def test_a_stale_model_is_refused(make_pair, digits):
    """A copy of the model, as in a loaded pair, of which the one to be trained would soon be another."""
    (model, base), (copy, _) = make_pair(), make_pair()
    guide = pv.guides.SemiAmortized(base, copy, steps=1, second_order=False)
    with pytest.raises(ValueError, match=r"the model that is trained.*guide\.model = model"):
        pv.fit(model, guide, digits[:100], epochs=1, compile=False)
    guide.model = model
    pv.fit(model, guide, digits[:100], epochs=1, compile=False)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_semi_amortized_says_what_it_is_and_is_rebuilt(make_pair, clip, digits):
    model, base = make_pair()
    guide = pv.guides.SemiAmortized(base, model, steps=7, rate=0.25, clip=clip, second_order=False)
    assert guide.factorisation == "q(z | x)"
    assert guide.sites is base.sites
    assert "7 gradient steps of rate 0.25" in repr(guide)
    again = build(describe(guide))
    assert (repr(again), describe(again)) == (repr(guide), describe(guide))
    again.load_state_dict(guide.state_dict())
    assert torch.equal(again.features(digits[:3])["z"], guide.features(digits[:3])["z"])


def test_a_saved_pair_is_evaluated_as_it_was(trained, digits, tmp_path):
    guide = trained(steps=2)
    pv.Fit(guide.model, guide).save(tmp_path)
    loaded = pv.load(tmp_path)
    assert mean_bound(loaded.guide, digits[:20], 20) == mean_bound(guide, digits[:20], 20)
    assert pv.evaluate.elbo(loaded, digits[:20]).elbo.mean().item() == mean_bound(guide, digits[:20], 1)


class Ladder(nn.Module):
    """Two latents in a row, one a Gamma variable: its posterior isn't normal, and has no formula."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = pv.nets.MLP(3, 8, 64)

    def forward(self, x: Tensor | None = None, size: int | None = None) -> Tensor:
        pyro.module("ladder", self)
        with pyro.plate("data", size if x is None else len(x)):
            scale = pyro.sample("scale", dist.Gamma(2.0, 2.0))
            z = pyro.sample("z", dist.Normal(torch.zeros(2), scale.unsqueeze(-1)).to_event(1))
            logits = self.decoder(torch.cat([z, scale.unsqueeze(-1)], -1))
            return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)


def log_normal(t: Tensor) -> dist.LogNormal:
    return dist.LogNormal(t[..., 0], t[..., 1].exp())


def test_latents_in_a_row_and_posteriors_without_a_formula(digits):
    model = Ladder()
    base = pv.guides.Amortized(
        scale=(pv.nets.MLP(64, 2), log_normal), z=(pv.nets.MLP(64, 4), pv.heads.normal)
    )
    guide = pv.guides.SemiAmortized(base, model, steps=3)
    pyro.set_rng_seed(0)
    loss = TraceMeanField_ELBO(num_particles=200, vectorize_particles=True, max_plate_nesting=1)
    with torch.no_grad():
        assert loss.loss(model, guide, digits[:50]) < loss.loss(model, base, digits[:50]) - 50 * 0.2
    run = pv.fit(model, guide, digits[:200], optim=adam, epochs=2, batch_size=50, compile=False)
    assert run.history[-1].train_loss < run.history[0].train_loss


def discrete(x: Tensor | None = None, size: int | None = None) -> None:
    with pyro.plate("data", size if x is None else len(x)):
        z = pyro.sample("z", dist.Bernoulli(torch.full((2,), 0.5)).to_event(1))
        pyro.sample("x", dist.Normal(z.sum(-1, keepdim=True).expand(-1, 64), 1.0).to_event(1), obs=x)


def two_latents(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        w = pyro.sample("w", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z.sum(-1) + w.sum(-1), 1.0), obs=x[:, 0])


@pytest.mark.parametrize(
    ("model", "sites", "match"),
    [
        (discrete, {"z": pv.heads.bernoulli}, r"site 'z'.*pathwise.*got Bernoulli"),
        (two_latents, {"z": pv.heads.normal}, "site 'w'.*model's alone"),
        (two_latents, dict.fromkeys(("z", "w", "v"), pv.heads.normal), "site 'v'.*guide's alone"),
    ],
)
def test_models_that_cannot_be_refined_are_refused_by_site(model, sites, match):
    base = pv.guides.Amortized(**{name: (pv.nets.MLP(64, 4), head) for name, head in sites.items()})
    with pytest.raises(ValueError, match=match):
        pv.guides.SemiAmortized(base, model)(torch.randn(6, 64))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"steps": -1}, ValueError, "steps"),
        ({"steps": 2.0}, ValueError, "steps"),
        ({"num_particles": 0}, ValueError, "num_particles"),
        ({"rate": 0.0}, ValueError, "rate"),
        ({"rate": float("nan")}, ValueError, "rate"),
        ({"clip": -1.0}, ValueError, "clip"),
        ({"base": nn.Linear(2, 2)}, TypeError, r"guides\.Amortized"),
        ({"model": None}, TypeError, "callable"),
    ],
)
def test_bad_parameters_of_semi_amortized_are_refused(make_pair, change, error, match):
    model, base = make_pair()
    with pytest.raises(error, match=match):
        pv.guides.SemiAmortized(**{"base": base, "model": model, **change})


def test_without_data_there_is_no_posterior(make_pair):
    model, base = make_pair()
    with pytest.raises(ValueError, match=r"data x.*model"):
        pv.guides.SemiAmortized(base, model)(size=3)
