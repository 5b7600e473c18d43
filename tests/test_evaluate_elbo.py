"""The bound and its parts: against closed forms, Pyro's own objectives, and the evidence."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO

import pyrovae as pv


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    return pv.data.load("digits").test.x.flatten(1).round()[:40]


@pytest.fixture(scope="module")
def run(digits) -> pv.Fit:
    torch.manual_seed(0)
    model = pv.models.VAE(pv.priors.DiagonalNormal(3), pv.nets.MLP(3, 32, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 32, 6), pv.heads.normal))
    return pv.fit(model, guide, digits, epochs=30, batch_size=20, device="cpu")


def test_the_parts_add_up(run, digits):
    bound = pv.evaluate.elbo(run, digits, num_samples=7)
    assert torch.allclose(bound.elbo, bound.reconstruction - bound.kl["z"], atol=1e-12)
    assert torch.allclose(bound.kl_per_dimension["z"].sum(-1), bound.kl["z"], rtol=1e-5)
    assert bound.kl_per_dimension["z"].shape == (len(digits), 3)
    assert (bound.kl_per_dimension["z"] >= 0).all()
    summary = bound.summary()
    assert list(summary) == ["elbo", "reconstruction", "kl[z]"]
    assert summary["elbo"] == bound.mean()
    assert bound.mean().value == pytest.approx(bound.elbo.mean().item())
    assert bound.mean().standard_error == pytest.approx(bound.elbo.std().item() / math.sqrt(len(digits)))
    assert "closed form" in repr(bound)


def test_data_keep_their_order_through_all_chunks(run):
    x = torch.cat([part.x for part in pv.data.load("digits")]).flatten(1).round()
    exact = (
        torch.distributions.kl_divergence(run.guide.posterior("z", x), run.model.prior()).detach().double()
    )
    for options in ({}, {"memory": 100_000}, {"batch_size": 700}):
        bound = pv.evaluate.elbo(run, x, **options)
        assert torch.allclose(bound.kl["z"], exact, rtol=1e-4)
        assert len(bound.elbo) == len(x) == 1797


def test_it_is_pyros_elbo(run, digits):
    bound = pv.evaluate.elbo(run, digits, num_samples=500)
    with run.evaluating() as (model, guide):
        pyro.set_rng_seed(1)
        objective = TraceMeanField_ELBO(num_particles=500, vectorize_particles=True, max_plate_nesting=1)
        theirs = -objective.loss(model, guide, digits) / len(digits)
    error = bound.standard_error.square().mean().sqrt().item() * math.sqrt(2 / len(digits))
    assert abs(bound.elbo.mean().item() - theirs) < 4 * error


def test_it_is_a_bound(run, digits):
    bound = pv.evaluate.elbo(run, digits, num_samples=100)
    found = pv.evaluate.evidence(run, digits, num_samples=2000)
    assert bound.mean().value < found.mean().value
    assert (bound.elbo < found.log_evidence + 5 * (bound.standard_error + found.standard_error)).all()


def test_standard_errors_are_those_of_repetitions(run, digits):
    bounds = [pv.evaluate.elbo(run, digits, num_samples=10, seed=seed) for seed in range(40)]
    spread = torch.stack([bound.elbo for bound in bounds]).std(0)
    claimed = torch.stack([bound.standard_error for bound in bounds]).square().mean(0).sqrt()
    assert torch.allclose((spread / claimed).mean(), torch.tensor(1.0, dtype=torch.float64), atol=0.12)


def pair(prior, posterior):
    """A pair of one latent, which the data do not depend on: its KL is all there is to see."""

    def model(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", prior())
            pyro.sample("x", dist.Normal(0.0, 1.0), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", posterior(x))

    return pv.Fit(model, guide)


X = torch.linspace(-1, 1, 6, dtype=torch.float64)
LOC, SCALE = torch.tensor([0.3, -0.2]).double(), torch.tensor([0.8, 1.7]).double()
TRIL = torch.tensor([[0.9, 0.0], [0.4, 0.6]]).double()


def diagonal_prior():
    return dist.Normal(LOC, SCALE).to_event(1)


def full_prior():
    return dist.MultivariateNormal(LOC, scale_tril=SCALE.diag())


def locs(x):
    return torch.stack([x, 2 * x], -1)


def full(x):
    return dist.MultivariateNormal(locs(x), scale_tril=TRIL)


def low_rank(x):
    return dist.LowRankMultivariateNormal(locs(x), TRIL[:, :1], torch.ones(2).double())


@pytest.mark.parametrize("posterior", [full, low_rank])
def test_a_full_normal_against_a_diagonal_one_is_closed_form(posterior):
    """Trap 5: torch alone knows no formula here; Pyro's mean-field ELBO would sample without a word."""
    bound = pv.evaluate.elbo(pair(diagonal_prior, posterior), X)
    exact = torch.distributions.kl_divergence(posterior(X), full_prior())
    assert bound.closed_form == {"z": True}
    assert torch.allclose(bound.kl["z"], exact, atol=1e-10)
    assert not bound.kl_per_dimension


KINDS = {
    "normal": (diagonal_prior, lambda x: dist.Normal(locs(x), 0.5).to_event(1), True, 2),
    "no event": (lambda: dist.Normal(X[0], 1.0), lambda x: dist.Normal(x, 0.5), True, 1),
    "images": (
        lambda: dist.Normal(torch.zeros(2, 3).double(), 1.0).to_event(2),
        lambda x: dist.Normal(x[:, None, None].expand(-1, 2, 3), 0.5).to_event(2),
        True,
        6,
    ),
    "full": (full_prior, full, True, None),
    "diagonal to full": (full_prior, lambda x: dist.Normal(locs(x), 0.5).to_event(1), True, None),
    "categorical": (
        lambda: dist.Categorical(torch.ones(3).double() / 3),
        lambda x: dist.Categorical(logits=torch.stack([x, 0 * x, -x], -1)),
        True,
        1,
    ),
    "Student's t": (
        lambda: dist.StudentT(5.0, LOC, SCALE).to_event(1),
        lambda x: dist.Normal(locs(x), 0.5).to_event(1),
        False,
        2,
    ),
    "a flow": (
        diagonal_prior,
        lambda x: dist.TransformedDistribution(
            full(x), dist.transforms.LowerCholeskyAffine(torch.zeros(2).double(), TRIL)
        ),
        False,
        None,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_closed_form_where_there_is_one_and_it_says_so(kind):
    prior, posterior, closed, dims = KINDS[kind]
    bound = pv.evaluate.elbo(pair(prior, posterior), X, num_samples=50)
    assert bound.closed_form == {"z": closed}
    per_dimension = bound.kl_per_dimension.get("z")
    assert (None if per_dimension is None else per_dimension.shape[1]) == dims
    if per_dimension is not None:
        assert torch.allclose(per_dimension.sum(-1), bound.kl["z"], atol=1e-6)

    torch.manual_seed(1)
    q = posterior(X)
    z = q.sample((20_000,))
    ratio = q.log_prob(z) - prior().log_prob(z)
    error = (ratio.var(0) / len(ratio) + bound.standard_error**2).sqrt()
    assert ((bound.kl["z"] - ratio.mean(0)).abs() < 4 * error + 1e-6).all()


def test_a_delta_keeps_its_density():
    """Pyro's KL of a Delta leaves the log_density out."""
    delta = pair(
        lambda: dist.Normal(X[0], 1.0), lambda x: dist.Delta(x, log_density=2.5 * torch.ones_like(x))
    )
    bound = pv.evaluate.elbo(delta, X)
    assert torch.allclose(bound.kl["z"], 2.5 - dist.Normal(X[0], 1.0).log_prob(X))


@pytest.mark.parametrize("masks", ["same", "guide's"])
def test_masked_latents(masks):
    mask = torch.tensor([True, False] * 3)

    def model(x, mask):
        with pyro.plate("data", len(x)):
            with poutine.mask(mask=mask.bool() if masks == "same" else torch.ones(len(x)).bool()):
                pyro.sample("z", diagonal_prior())
            pyro.sample("x", dist.Normal(0.0, 1.0), obs=x)

    def guide(x, mask):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(locs(x), 0.5).to_event(1).mask(mask.bool()))

    bound = pv.evaluate.elbo(pv.Fit(model, guide), (X, mask), num_samples=5)
    exact = torch.distributions.kl_divergence(dist.Normal(locs(X), 0.5), dist.Normal(LOC, SCALE)).sum(-1)
    assert bound.closed_form == {"z": masks == "same"}
    assert torch.allclose(bound.kl["z"][mask], exact[mask]) == (masks == "same")
    assert (bound.kl["z"][~mask] == 0).all() == (masks == "same")


def chain(x):
    """z2 -> z1 -> x, normals of variance 1."""
    with pyro.plate("data", len(x)):
        z2 = pyro.sample("z2", dist.Normal(torch.zeros(()).double(), 1.0))
        z1 = pyro.sample("z1", dist.Normal(z2, 1.0))
        pyro.sample("x", dist.Normal(z1, 1.0), obs=x)


def bottom_up(x):
    """The exact posterior, read against the model's order."""
    with pyro.plate("data", len(x)):
        z1 = pyro.sample("z1", dist.Normal(2 * x / 3, math.sqrt(2 / 3)))
        pyro.sample("z2", dist.Normal(z1 / 2, math.sqrt(1 / 2)))


def top_down(x):
    """The exact posterior, read in the model's order."""
    with pyro.plate("data", len(x)):
        z2 = pyro.sample("z2", dist.Normal(x / 3, math.sqrt(2 / 3)))
        pyro.sample("z1", dist.Normal((x + z2) / 2, math.sqrt(1 / 2)))


@pytest.mark.parametrize(
    ("guide", "closed"), [(bottom_up, {"z1": False, "z2": True}), (top_down, {"z1": True, "z2": True})]
)
def test_a_closed_form_only_where_the_order_allows_it(guide, closed):
    """q(z1 | x) against p(z1 | z2) is no KL when the guide draws z2 from z1: they go together."""
    bound = pv.evaluate.elbo(pv.Fit(chain, guide), X, num_samples=4000)
    evidence = torch.distributions.Normal(0.0, math.sqrt(3)).log_prob(X)
    assert bound.closed_form == closed
    assert ((bound.elbo - evidence).abs() < 4 * bound.standard_error).all()


def test_auxiliary_sites_and_factors_count():
    def guide(x):
        with pyro.plate("data", len(x)):
            e = pyro.sample("e", dist.Normal(torch.zeros_like(x), 1.0), infer={"is_auxiliary": True})
            z2 = pyro.sample("z2", dist.Delta(x / 3 + e, log_density=torch.zeros_like(x)))
            pyro.sample("z1", dist.Normal((x + z2) / 2, 0.5))
            pyro.factor("correction", 0.25 * torch.ones_like(x), has_rsample=True)

    run = pv.Fit(chain, guide)
    bound = pv.evaluate.elbo(run, X, num_samples=3000)
    assert set(bound.kl) == {"e", "z1", "z2", "correction"}
    assert torch.allclose(bound.kl["correction"], torch.tensor(0.25).double())
    assert torch.allclose(bound.elbo, bound.reconstruction - sum(bound.kl.values()), atol=1e-10)
    objective = Trace_ELBO(num_particles=3000, vectorize_particles=True, max_plate_nesting=1)
    pyro.set_rng_seed(1)
    theirs = -objective.loss(chain, guide, X)
    error = bound.standard_error.square().sum().sqrt().item()
    assert abs(bound.elbo.sum().item() - theirs) < 6 * error
