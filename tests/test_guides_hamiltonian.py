"""Hamiltonian: an encoder's draws, moved by leapfrog steps on the model's own posterior."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import both
from linear_vae import as_vae, best_mean_field
from ppca import PPCA
from pyro.infer import Trace_ELBO
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.spec import build, describe

adam = functools.partial(torch.optim.Adam, lr=5e-3)


@pytest.fixture(scope="module")
def linear() -> tuple[PPCA, pv.models.VAE, Tensor]:
    """A linear model of two latents whose posterior is correlated, and data of it."""
    torch.manual_seed(0)
    weight = torch.tensor([[1.0, 0.9], [0.8, 1.0], [0.9, 0.7], [1.0, 1.0]], dtype=torch.float64) * 1.5
    ppca = PPCA(weight, torch.zeros(4, dtype=torch.float64), 0.5)
    x = torch.randn(20, 2).double() @ weight.T + math.sqrt(0.5) * torch.randn(20, 4).double()
    model = as_vae(ppca).eval().requires_grad_(False)
    return ppca, model, x


def wide(model: pv.models.VAE, **options: Any) -> pv.guides.Hamiltonian:
    """From the prior, a little wider, wherever the datum is."""
    net = pv.nets.MLP(4, 4)
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].bias.copy_(torch.tensor([0.0, 0.0, 0.4, 0.4]))
    base = pv.guides.Amortized(z=(net, pv.heads.normal))
    return pv.guides.Hamiltonian(base, model, dim=2, **options).double()


def log_weights(guide: pv.guides.Hamiltonian, x: Tensor, num_samples: int) -> Tensor:
    """log p(x, z) - log q(z | x) of vectorised draws, ``(num_samples, n)``."""
    model = guide.model
    q = guide.posterior("z", x).expand((num_samples, len(x)))
    z = q.rsample()
    return model.prior().log_prob(z) + model.likelihood(model.decoder(z)).log_prob(x) - q.log_prob(z)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_mean_weight_is_the_evidence_whatever_the_steps_do(linear, temperature):
    ppca, model, x = linear
    x = x[:8]
    guide = wide(model, steps=4, step_size=0.25, temperature=temperature)
    with torch.no_grad():
        guide.learned["log_step"].copy_(torch.tensor([0.3, 0.15]).log())
    with torch.no_grad():
        ratio = (log_weights(guide, x, 40_000) - ppca.log_evidence(x)).exp()
    error = ratio.std(0) / math.sqrt(40_000)
    assert (error < 0.15).all()
    assert ((ratio.mean(0) - 1).abs() < 4.5 * error).all()
    # All data together: were the Jacobian left out, this would be off by sqrt(0.4 * 0.4) or more.
    assert (ratio.mean() - 1).abs() < 4.5 * error.mean() / math.sqrt(len(x))


def test_exact_dynamics_keep_every_weight_and_the_error_is_of_second_order(linear):
    """At T = 1 energy and volume are kept, so each draw keeps the weight of the draw that it began as."""
    _, model, x = linear
    errors = []
    start = None
    for steps in (0, 40, 80):
        pyro.set_rng_seed(1)
        with torch.no_grad():
            found = log_weights(wide(model, steps=steps, step_size=1.0 / max(steps, 1)), x, 50)
        start = found if steps == 0 else start
        errors.append((found - start).abs().mean().item())
    assert errors[1] < 0.02 * start.std().item()
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.15)


def test_the_gap_narrows_with_the_steps(linear):
    """At the best settings of each K, found beforehand: below the best diagonal normal, and ever less."""
    ppca, model, x = linear
    x = x[:1]
    mean, _ = ppca.posterior(x)
    best_diagonal = (ppca.log_evidence(x) - best_mean_field(x, ppca)).item()
    gaps = []
    for steps, scale, step_size, temperature in (
        (0, 0.248, 0.3, 1.0),
        (1, 0.328, 0.26, 0.86),
        (4, 0.307, 0.299, 0.323),
    ):
        guide = wide(model, steps=steps, step_size=step_size, temperature=temperature)
        with torch.no_grad():
            width = torch.full((2,), 2 * math.log(scale))
            guide.base.nets["z"].layers[0].bias.copy_(torch.cat([mean[0], width]))
            gaps.append((ppca.log_evidence(x) - log_weights(guide, x, 20_000).mean()).item())
    assert gaps[0] == pytest.approx(best_diagonal, abs=0.03)
    assert all(after < before - 0.1 for before, after in itertools.pairwise(gaps))
    # No map that keeps volume in phase space comes nearer from a round start.
    assert 0.6 < gaps[-1] < 0.7 * best_diagonal


def test_without_steps_it_is_its_base_to_the_bit(make_pair, digits):
    model, base = make_pair()
    guide = pv.guides.Hamiltonian(base, model, dim=4, steps=0)
    found = []
    for program in (base, guide):
        pyro.set_rng_seed(1)
        q = program.posterior("z", digits[:20])
        z = q.rsample()
        found.append((z, q.log_prob(z)))
    assert all(map(torch.equal, *found))


def test_the_gradient_through_the_steps_is_exact():
    """Against central differences of the loss itself, for every parameter of encoder, steps and model."""
    decoder = pv.nets.MLP(2, 3, 5, activation=nn.Tanh)
    model = pv.models.VAE(pv.priors.DiagonalNormal(2), decoder, pv.heads.IsotropicNormal(0.5)).double()
    base = pv.guides.Amortized(z=(pv.nets.MLP(5, 4), pv.heads.normal))
    guide = pv.guides.Hamiltonian(base, model, dim=2, steps=3, step_size=0.2, temperature=1.5).double()
    x = torch.randn(6, 5, dtype=torch.float64)

    def loss() -> Tensor:
        pyro.set_rng_seed(3)
        return Trace_ELBO().differentiable_loss(model, guide, x)

    loss().backward()
    for parameter in guide.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), 3):
            value, around = flat[i].item(), []
            for shift in (1e-6, -1e-6):
                flat[i] = value + shift
                around.append(loss().item())
            flat[i] = value
            assert gradient[i].item() == pytest.approx((around[0] - around[1]) / 2e-6, rel=1e-5, abs=1e-5)


def test_a_captured_step_is_that_of_pyro():
    def script(make: Any) -> Iterator[Any]:
        model = pv.models.VAE(pv.priors.DiagonalNormal(2), pv.nets.MLP(2, 5, 6), pv.heads.bernoulli)
        base = pv.guides.Amortized(z=(pv.nets.MLP(6, 4), pv.heads.normal))
        guide = pv.guides.Hamiltonian(base, model.double(), dim=2, steps=2).double()
        loss = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = make(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
        x = torch.bernoulli(torch.full((7, 6), 0.5, dtype=torch.float64))
        for _ in range(3):
            yield svi.step(x)
        yield guide

    both(script, rtol=1e-8)


def test_digits_are_fitted_evaluated_and_encoded(make_pair, digits):
    model, base = make_pair()
    guide = pv.guides.Hamiltonian(base, model, dim=4, steps=3)
    objective = pv.objectives.ELBO()
    rows = objective.explain(model, guide, digits[:5]).rows
    assert [(row.site, repr(row.estimator)) for row in rows] == [("z", "Pathwise()")]
    run = pv.fit(model, guide, digits[:500], loss=objective, optim=adam, epochs=6, batch_size=50)
    assert run.history[-1].train_loss < run.history[0].train_loss - 4
    assert (guide.learned["log_step"] != math.log(0.1)).all()
    assert guide.learned["log_temperature"] != 0
    x = digits[500:508]
    bound = pv.evaluate.elbo(run, x, num_samples=20)
    assert not bound.closed_form["z"]
    evidence = pv.evaluate.log_evidence(run, x, num_samples=60)
    assert (evidence - bound.elbo).mean() > 0
    mean = pv.predict.encode(run, x).mean["z"]
    with torch.no_grad():
        near = guide.posterior("z", x).expand((400, 8)).rsample().mean(0)
    assert torch.allclose(mean, near, atol=0.3)
    assert pv.predict.reconstruct(run, x).shape == (8, 64)


def test_estimators_that_score_a_draw_elsewhere_are_refused_by_site(make_pair, digits):
    model, base = make_pair()
    guide = pv.guides.Hamiltonian(base, model, dim=4, steps=1)
    iwae = pv.objectives.IWAE(4, estimators=pv.objectives.DoublyReparameterized())
    with pytest.raises(ValueError, match=r"site 'z'.*Pathwise\(\)"):
        iwae.differentiable_loss(model, guide, digits[:3])
    assert pv.objectives.IWAE(4).per_datum(model, guide, digits[:3]).shape == (3,)


def test_nothing_of_the_inner_run_is_seen_outside(make_pair, digits):
    model, base = make_pair()
    guide = pv.guides.Hamiltonian(base, model, dim=4, steps=2)
    trace = pyro.poutine.trace(guide).get_trace(digits[:5])
    assert [n for n, site in trace.nodes.items() if site["type"] == "sample"] == ["data", "z"]
    names = {n.split("$$$")[0] for n, site in trace.nodes.items() if site["type"] == "param"}
    assert names == {"hamiltonian", "leapfrog"}
    assert all(p.grad is None for p in guide.parameters())
    with pyro.plate("particles", 3, dim=-2):
        assert guide(digits[:5])["z"].shape == (3, 5, 4)
    with torch.no_grad():
        assert not guide(digits[:5])["z"].requires_grad
    # A plate and a handler of Pyro's are as they were, also after an error inside.
    guide = pv.guides.Hamiltonian(base, two_latents, dim=4, steps=2)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"site 'w'.*model's alone"):
            guide(digits[:5])
    with pyro.plate("data", 3):
        assert pyro.sample("z", dist.Normal(0.0, 1.0)).shape == (3,)


def test_a_stale_model_is_refused(make_pair, digits):
    (model, base), (copy, _) = make_pair(), make_pair()
    guide = pv.guides.Hamiltonian(base, copy, dim=4, steps=1)
    with pytest.raises(ValueError, match=r"guide\.model.*never be trained"):
        pv.fit(model, guide, digits[:100], epochs=1, compile=False)
    svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({}), Trace_ELBO())
    model(digits[:5])  # names the parameters of the model that is trained
    with pytest.raises(ValueError, match=r"Hamiltonian, parameter.*the model that is trained"):
        svi.step(digits[:5])
    guide.model = model
    pv.fit(model, guide, digits[:100], epochs=1, compile=False)


def test_it_says_what_it_is_and_is_rebuilt(make_pair, digits, tmp_path):
    model, base = make_pair()
    guide = pv.guides.Hamiltonian(base, model, dim=4, steps=3, step_size=0.2, temperature=0.5)
    assert "3 leapfrog steps" in repr(guide)
    again = build(describe(guide))
    again.load_state_dict(guide.state_dict())
    assert describe(again) == describe(guide)
    pv.Fit(model, guide).save(tmp_path)
    loaded = pv.load(tmp_path)
    assert loaded.guide.model is loaded.model
    found = [pv.evaluate.elbo(run, digits[:5]).elbo for run in (pv.Fit(model, guide), loaded)]
    assert torch.equal(*found)


def two_latents(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))
        w = pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z.sum(-1) + w.sum(-1), 1.0), obs=x[:, 0])


def log_normal(t: Tensor) -> dist.LogNormal:
    return dist.LogNormal(t[..., :4], 1.0).to_event(1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"head": pv.heads.bernoulli, "dim": 8}, "site 'z'.*pathwise"),
        ({"head": log_normal}, "site 'z'.*real vectors"),
        ({"dim": 3}, r"site 'z'.*\(3,\).*Write dim=4"),
    ],
)
def test_bases_that_cannot_move_are_refused_by_site(make_pair, digits, change, match):
    model, base = make_pair()
    head = change.get("head", pv.heads.normal)
    base = pv.guides.Amortized(z=(base.sites["z"][0], head))
    guide = pv.guides.Hamiltonian(base, model, dim=change.get("dim", 4))
    with pytest.raises(ValueError, match=match):
        guide(digits[:3])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"dim": 0}, ValueError, "dim"),
        ({"steps": -1}, ValueError, "steps"),
        ({"steps": 1.5}, ValueError, "steps"),
        ({"step_size": 0.0}, ValueError, "step_size"),
        ({"temperature": math.inf}, ValueError, "temperature"),
        ({"base": nn.Identity()}, TypeError, r"guides\.Amortized"),
        ({"model": None}, TypeError, "callable"),
        (
            {
                "base": pv.guides.Amortized(
                    a=(nn.Identity(), pv.heads.normal), b=(nn.Identity(), pv.heads.normal)
                )
            },
            ValueError,
            "one latent site",
        ),
    ],
)
def test_bad_parameters_are_refused(make_pair, change, error, match):
    model, base = make_pair()
    with pytest.raises(error, match=match):
        pv.guides.Hamiltonian(**{"base": base, "model": model, "dim": 4, **change})


def test_without_data_there_is_no_posterior(make_pair):
    model, base = make_pair()
    with pytest.raises(ValueError, match=r"data x.*model"):
        pv.guides.Hamiltonian(base, model, dim=4)(size=3)
