"""``fit_prior``: a prior fitted to a finished run, which stays as it is."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.training.posthoc import fit_prior

D = 4


@pytest.fixture(scope="module")
def splits(digits: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    return digits[order[:1500]], digits[order[1500:1600]]


@pytest.fixture(scope="module")
def run(splits: tuple[Tensor, Tensor]) -> pv.Fit:
    """A VAE with a standard normal prior, trained for a while."""
    torch.manual_seed(0)
    model = pv.models.VAE(pv.priors.StandardNormal(D), pv.nets.MLP(D, 64, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 64, 2 * D), pv.heads.normal))
    return pv.fit(model, guide, splits[0], epochs=30, optim=pyro.optim.Adam({"lr": 5e-3}), progress=False)


def draws(run: pv.Fit, x: Tensor) -> Tensor:
    with run.evaluating() as (_, guide):
        z: Tensor = guide.posterior("z", x).sample((20,))
    return z.flatten(0, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda run: pv.priors.FullNormal(D),
        lambda run: pv.priors.NormalMixture(D, 20),
        lambda run: pv.priors.Flow(pv.flows.RealNVP(D)),
        lambda run: pv.priors.VampPrior(run.guide.nets["z"], pv.heads.normal, 40, (64,)),
    ],
    ids=["FullNormal", "NormalMixture", "Flow", "VampPrior"],
)
def test_the_evidence_of_digits_it_has_not_seen_rises(
    make: Any, run: pv.Fit, splits: tuple[Tensor, Tensor]
) -> None:
    x, test = splits
    prior = make(run)
    if isinstance(prior, pv.priors.VampPrior):
        prior.start_from(x)
    new = fit_prior(run, x, prior, steps=200)
    told = new.config["fitted_prior"]
    assert told["after"] > told["before"]
    gain = pv.evaluate.log_evidence(new, test, 200) - pv.evaluate.log_evidence(run, test, 200)
    assert gain.mean() > 0.02
    if not isinstance(prior, pv.priors.FullNormal):
        assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5


def test_the_run_and_the_prior_that_were_given_stay_as_they_are(
    run: pv.Fit, splits: tuple[Tensor, Tensor]
) -> None:
    prior = pv.priors.VampPrior(run.guide.nets["z"], pv.heads.normal, 200, (64,)).start_from(splits[0])
    before = copy.deepcopy((run.model.state_dict(), run.guide.state_dict(), prior.state_dict(), run.config))
    random = torch.get_rng_state()
    new = fit_prior(run, splits[0], prior, steps=40)
    assert torch.equal(torch.get_rng_state(), random)
    assert isinstance(run.model.prior, pv.priors.StandardNormal)
    for old, now in zip(
        before, (run.model.state_dict(), run.guide.state_dict(), prior.state_dict()), strict=False
    ):
        assert all(torch.equal(old[name], now[name]) for name in old)
    assert run.config == before[3]
    assert prior.encoder is run.guide.nets["z"]
    # In the new pair the pseudo-inputs alone have moved, and what was shared is shared.
    assert new.model.prior.encoder is new.guide.nets["z"] is not prior.encoder
    assert not torch.equal(new.model.prior.raw, prior.raw)
    for name, value in run.guide.state_dict().items():
        assert torch.equal(new.guide.state_dict()[name], value)
    assert all(p.grad is None for p in new.model.prior.parameters())
    assert any("prior.raw" in name for name in new.params)


def test_a_normal_has_the_moments_of_the_draws(run: pv.Fit, splits: tuple[Tensor, Tensor]) -> None:
    z = draws(run, splits[0])
    full = fit_prior(run, splits[0], pv.priors.FullNormal(D)).model.prior()
    assert torch.allclose(full.mean, z.mean(0), atol=0.05)
    assert torch.allclose(full.covariance_matrix, z.T.cov(), atol=0.1)


def test_a_mixture_is_as_likely_as_that_of_scikit_learn(run: pv.Fit, splits: tuple[Tensor, Tensor]) -> None:
    x, test = splits
    new = fit_prior(run, x, pv.priors.NormalMixture(D, 10), held_out=test, steps=100)
    reference = GaussianMixture(10, covariance_type="diag", random_state=0).fit(draws(run, x).numpy())
    theirs = np.mean(reference.score_samples(draws(run, test).numpy()))
    assert new.config["fitted_prior"]["after"] == pytest.approx(theirs, abs=0.15)


def test_it_is_saved_and_loaded_with_the_new_prior(
    run: pv.Fit, splits: tuple[Tensor, Tensor], tmp_path: Any
) -> None:
    new = fit_prior(run, splits[0], pv.priors.NormalMixture(D, 5), steps=5)
    again = pv.load(new.save(tmp_path))
    assert isinstance(again.model.prior, pv.priors.NormalMixture)
    assert again.config["fitted_prior"]["after"] == new.config["fitted_prior"]["after"]
    assert torch.equal(*(pv.evaluate.log_evidence(r, splits[1], 20) for r in (new, again)))
    # And it can be fitted once more.
    third = fit_prior(again, splits[0], pv.priors.NormalMixture(D, 8), steps=5)
    assert third.model.prior.components == 8
    assert third.config["fitted_prior"]["before"] == pytest.approx(
        new.config["fitted_prior"]["after"], abs=0.2
    )


def test_one_seed_gives_one_fit(run: pv.Fit, splits: tuple[Tensor, Tensor]) -> None:
    prior = pv.priors.NormalMixture(D, 3)
    one, same, other = (
        fit_prior(run, splits[0], prior, steps=4, seed=seed).model.prior.loc for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# Programs of one's own


def of_two_latents() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Plain functions; z1 hangs on z2."""
    decoder, upper, encoder = nn.Linear(3, 64), nn.Linear(2, 3), nn.Linear(64, 10)

    def model(x: Tensor | None = None, size: int = 1) -> Any:
        pyro.module("decoder", decoder)
        pyro.module("upper", upper)
        scale = pyro.param("scale", torch.ones(3), constraint=dist.constraints.positive)
        with pyro.plate("data", size if x is None else len(x)):
            z2 = pyro.sample("z2", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            z1 = pyro.sample("z1", dist.Normal(upper(z2), scale).to_event(1))
            return pyro.sample("x", dist.Bernoulli(logits=decoder(z1)).to_event(1), obs=x)

    def guide(x: Tensor, size: int | None = None) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            t = encoder(x)
            pyro.sample("z2", pv.heads.normal(t[:, :4]))
            pyro.sample("z1", pv.heads.normal(t[:, 4:]))

    return model, guide


def test_a_latent_of_a_plain_function_is_drawn_from_the_new_prior(splits: tuple[Tensor, Tensor]) -> None:
    x, test = splits
    torch.manual_seed(0)
    run = pv.fit(*of_two_latents(), x, epochs=12, optim=pyro.optim.Adam({"lr": 5e-3}), progress=False)
    values = run.params
    new = fit_prior(run, x, pv.priors.NormalMixture(2, 6), site="z2", steps=200)
    assert new.config["fitted_prior"]["after"] > new.config["fitted_prior"]["before"]
    assert all(torch.equal(run.params[name], value) for name, value in values.items())
    assert {name for name in new.params if "prior_of_z2" in name} == {
        f"prior_of_z2$$${name}" for name in ("loc", "log_scale", "logits")
    }
    assert torch.equal(new.params["scale"], values["scale"])
    bounds = [pv.evaluate.elbo(r, test, num_samples=100).elbo for r in (run, new)]
    assert (bounds[1] - bounds[0]).mean() > 0
    with new.evaluating() as (model, _):
        trace = pyro.poutine.trace(model).get_trace(size=2000)
        assert trace.nodes["x"]["value"].shape == (2000, 64)
        z2 = trace.nodes["z2"]["value"]
    aggregate = new.params["prior_of_z2$$$loc"]
    assert z2.std(0).max() < 2 * aggregate.std(0).max() + 2
    assert type(trace.nodes["z2"]["fn"]).__name__ == "SharedMixture"
    with run.evaluating() as (model, _):
        assert (
            type(pyro.poutine.trace(model).get_trace(size=2).nodes["z2"]["fn"].base_dist).__name__ == "Normal"
        )


def test_a_discrete_latent_gets_its_class_frequencies(splits: tuple[Tensor, Tensor]) -> None:
    prior, decoder, head = pv.priors.OneHot(5), pv.nets.MLP(5, 64), pv.heads.OneHot()
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 5), head))
    run = pv.Fit(pv.models.VAE(prior, decoder, pv.heads.bernoulli), guide)
    new = fit_prior(run, splits[0], pv.priors.OneHot(5, learn=True), steps=300, learning_rate=0.05)
    with torch.no_grad():
        shares = guide.posterior("z", splits[0]).probs.mean(0)
    assert torch.allclose(new.model.prior.logits.softmax(0), shares, atol=0.03)


def test_a_prior_of_covariates_is_fitted_given_them(digits: Tensor) -> None:
    x = digits[:600]
    y = x[:, :32].mean(1, keepdim=True) * 4
    model = pv.models.VAE(
        pv.priors.Conditional(pv.nets.MLP(1, 4), pv.heads.normal), pv.nets.MLP(2, 64), pv.heads.bernoulli
    )
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
    run = pv.Fit(model, guide)
    prior = pv.priors.Conditional(pv.nets.MLP(1, 8, 4), pv.heads.normal)
    new = fit_prior(run, (x, y), prior, steps=200)
    assert new.config["fitted_prior"]["after"] > new.config["fitted_prior"]["before"] + 0.1
    with pytest.raises(ValueError, match="would pass them on"):
        fit_prior(pv.Fit(*of_two_latents()), (x, y), prior, site="z2")


# Refusals


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"prior": pv.priors.StandardNormal(D)}, TypeError, "parameters of its own.*StandardNormal"),
        ({"prior": lambda: None}, TypeError, "a module with parameters"),
        ({"prior": pv.priors.FullNormal(D + 1)}, ValueError, r"event shape \(4,\).*got \(5,\)"),
        ({"prior": pv.priors.Dirichlet(D, learn=True)}, ValueError, "support.*Simplex"),
        ({"site": "y"}, ValueError, r"latent sites \['z'\].*got 'y'"),
        ({"steps": -1}, ValueError, "steps"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate"),
        ({"x": torch.zeros(9, 64)}, ValueError, "held_out.*9 data"),
        ({"run": 3}, TypeError, "a fitted pair, got int"),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: dict[str, Any], error: type[Exception], match: str, run: pv.Fit, splits: tuple[Tensor, Tensor]
) -> None:
    given = {"run": run, "x": splits[0], "prior": pv.priors.FullNormal(D), **arguments}
    with pytest.raises(error, match=match):
        fit_prior(given.pop("run"), given.pop("x"), given.pop("prior"), **given)


def test_several_latents_must_be_told_apart(splits: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match=r"\['z1', 'z2'\]"):
        fit_prior(pv.Fit(*of_two_latents()), splits[0], pv.priors.FullNormal(2))


def test_a_fit_that_makes_it_worse_says_so(run: pv.Fit, splits: tuple[Tensor, Tensor]) -> None:
    narrow = pv.priors.NormalMixture(D, 1)
    narrow.start_from = lambda z: narrow  # type: ignore[method-assign]
    with torch.no_grad():
        narrow.loc.fill_(9.0)
    with pytest.warns(UserWarning, match="less likely under the new prior"):
        fit_prior(run, splits[0], narrow, steps=1)


def test_an_autoguide_and_a_pyro_module_have_it_too(splits: tuple[Tensor, Tensor]) -> None:
    """Modules without an attribute prior; the guide has parameters for each datum, and remembers a graph."""

    class Model(PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = PyroModule[nn.Linear](2, 64)
            self.scale = PyroParam(torch.ones(2), dist.constraints.positive)

        def forward(self, x: Tensor | None = None, size: int | None = None) -> Any:
            with pyro.plate("data", size if x is None else len(x)):
                z = pyro.sample("z", dist.Normal(torch.zeros(2), self.scale).to_event(1))
                return pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    x = splits[0][:50]
    model = Model()
    run = pv.fit(model, AutoNormal(model), x, epochs=20, batch_size=50, progress=False)
    new = fit_prior(run, x, pv.priors.FullNormal(2), held_out=x)
    assert new.config["fitted_prior"]["after"] > new.config["fitted_prior"]["before"]
    assert new.guide is not run.guide
    assert new.params.keys() - run.params.keys() == {
        f"prior_of_z$$${name}" for name in ("loc", "log_diagonal", "below")
    }
    assert run.params.keys() < new.params.keys()


def test_a_partial_is_a_program_too(splits: tuple[Tensor, Tensor]) -> None:
    model, guide = of_two_latents()
    new = fit_prior(pv.Fit(functools.partial(model), guide), splits[0], pv.priors.FullNormal(2), site="z2")
    with new.evaluating() as (program, _):
        assert program(size=3).shape == (3, 64)
