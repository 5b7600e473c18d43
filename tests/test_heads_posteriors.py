"""Heads for richer posteriors: their densities, their gradients, what scores its own draws only, and fits."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import both
from pyro.infer import Trace_ELBO
from scipy import stats
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import distributions
from pyrovae.distributions import Augmented, divergence, has_closed_form

EXTREMES = torch.tensor([-50.0, 0.0, 50.0])


def extreme(count: int, rows: int = 200) -> Tensor:
    """Features each of which is -50, 0 or 50."""
    return EXTREMES[torch.randint(3, (rows, count))].requires_grad_()


def assert_finite(d: Any, t: Tensor) -> None:
    """A draw, its density, and the gradients of both."""
    z = d.rsample()
    log_prob = d.log_prob(z)
    (grad,) = torch.autograd.grad(log_prob.sum() + z.sum(), t)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize(
    ("head", "d"),
    [
        (pv.heads.FullNormal(), 2),
        (pv.heads.LowRankNormal(1), 3),
        (pv.heads.LowRankNormal(2), 3),
        (pv.heads.NormalMixture(3), 2),
        (pv.heads.VonMisesFisher(), 4),
        (pv.heads.Dirichlet(), 5),
        (pv.heads.RelaxedBernoulli(0.1), 5),
        (pv.heads.RelaxedOneHot(0.1), 5),
    ],
)
def test_extreme_features_in_single_precision_stay_finite(head: Any, d: int) -> None:
    t = extreme(head.features(d))
    assert_finite(head(t), t)


def test_shares_of_a_saturated_stick_have_densities_and_gradients() -> None:
    t = torch.cat((extreme(11), 5.0 * extreme(11).sign()), -1).detach().requires_grad_()
    q = pv.heads.LogisticNormal()(t)
    assert_finite(q, t)
    y = q.sample()
    torchs = dist.TransformedDistribution(q.base_dist, q.transforms)
    assert torchs.log_prob(torchs.sample()).isnan().any(), "then ours is not needed any more"
    assert (y > 0).all()


# Normals


def test_a_full_normal_starts_standard_and_holds_every_feature_once() -> None:
    head = pv.heads.FullNormal()
    start = head(torch.zeros(head.features(4)))
    assert torch.equal(start.loc, torch.zeros(4))
    assert torch.equal(start.scale_tril, torch.eye(4))
    below = torch.arange(1.0, 7.0)
    factor = head(torch.cat((torch.zeros(8), below))).scale_tril
    assert torch.equal(factor.tril(-1).flatten().sort().values[-6:], below)
    assert torch.equal(factor.diagonal(), torch.ones(4))


def test_a_full_normal_finds_the_covariance_that_is_there() -> None:
    root = torch.randn(4, 4, dtype=torch.float64)
    target = dist.MultivariateNormal(torch.randn(4, dtype=torch.float64), root @ root.mT + 0.1 * torch.eye(4))
    head = pv.heads.FullNormal()
    t = torch.zeros(head.features(4), dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([t], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        descent.zero_grad()
        loss = divergence(head(t), target)
        loss.backward()
        return loss

    descent.step(closure)
    assert torch.allclose(head(t).covariance_matrix, target.covariance_matrix, rtol=1e-3, atol=1e-3)
    assert torch.allclose(head(t).loc, target.loc, atol=1e-3)


@pytest.mark.parametrize("head", [pv.heads.FullNormal(), pv.heads.LowRankNormal(2)])
def test_correlated_normals_are_those_of_scipy(head: Any) -> None:
    t = 0.7 * torch.randn(head.features(5), dtype=torch.float64)
    q = head(t)
    if isinstance(head, pv.heads.LowRankNormal):
        scale, factor = (0.5 * t[5:10]).exp().diag(), t[10:].reshape(5, 2)
        covariance = scale @ (torch.eye(5) + factor @ factor.mT) @ scale
        assert torch.allclose(q.covariance_matrix, covariance)
    z = q.sample((20,))
    ours = q.log_prob(z)
    scipys = stats.multivariate_normal(q.loc.numpy(), q.covariance_matrix.numpy()).logpdf(z.numpy())
    assert ours.numpy() == pytest.approx(scipys, rel=1e-9)


@pytest.mark.parametrize("head", [pv.heads.FullNormal(), pv.heads.LowRankNormal(2)])
@pytest.mark.parametrize("prior", [pv.priors.StandardNormal(5), pv.priors.DiagonalNormal(5)])
def test_divergences_of_correlated_normals_are_exact(head: Any, prior: Any) -> None:
    q, p = head(0.5 * torch.randn(3, head.features(5))), prior().expand((3,))
    assert has_closed_form(q, p)
    full = dist.MultivariateNormal(q.loc, q.covariance_matrix)
    exact = torch.distributions.kl_divergence(full, dist.MultivariateNormal(torch.zeros(5), torch.eye(5)))
    assert torch.allclose(divergence(q, p), exact, rtol=1e-4)


# The mixture


def mixture(d: int, components: int = 3) -> tuple[Tensor, ...]:
    """Parameters of overlapping components, with gradients."""
    torch.manual_seed(d)
    loc = 1.2 * torch.randn(components, d, dtype=torch.float64)
    scale = (0.3 * torch.randn(components, d, dtype=torch.float64)).exp()
    logits = torch.randn(components, dtype=torch.float64)
    return tuple(x.requires_grad_() for x in (loc, scale, logits))


def smooth(z: Tensor) -> Tensor:
    """Something whose mean depends on all that a distribution is."""
    return (z[..., 0].sin() + 0.5 * z.square().sum(-1) * (0.3 * z[..., -1]).cos()).squeeze()


@pytest.mark.parametrize("d", [1, 2])
def test_the_mixtures_velocities_carry_its_mass(d: int) -> None:
    """Integrated over all draws, not drawn: the pathwise gradient of a mean is the mean's gradient."""
    parameters = mixture(d)
    side = torch.linspace(-9, 9, 20_000 if d == 1 else 500, dtype=torch.float64)
    z = torch.cartesian_prod(*[side] * d).reshape(-1, d)
    q = distributions.NormalMixture(*parameters)
    mass = q.log_prob(z).exp() * (side[1] - side[0]) ** d
    exact = torch.autograd.grad((mass * smooth(z)).sum(), parameters)
    by_paths = torch.autograd.grad(
        (mass.detach() * smooth(distributions.NormalMixture(*parameters)._moving(z))).sum(), parameters
    )
    for of_paths, of_mean in zip(by_paths, exact, strict=True):
        assert torch.allclose(of_paths, of_mean, rtol=1e-4, atol=1e-5)
        assert of_mean.abs().max() > 0.01


def test_the_gradients_of_draws_of_many_dimensions_are_right_on_average() -> None:
    d, draws = 8, 40_000
    loc, scale, logits = mixture(d, components=4)
    with torch.no_grad():
        loc *= 0.4
    aim = torch.linspace(-1, 1, d, dtype=torch.float64)
    mean = (0.5 * ((loc - aim).square() + scale.square()).sum(-1) * logits.softmax(-1)).sum()
    exact = torch.autograd.grad(mean, (loc, scale, logits))
    many = tuple(x.detach().expand(draws, *x.shape).clone().requires_grad_() for x in (loc, scale, logits))
    z = distributions.NormalMixture(*many).rsample()
    for grad, truth in zip(torch.autograd.grad(0.5 * (z - aim).square().sum(), many), exact, strict=True):
        error = (grad.mean(0) - truth) / (grad.std(0) / math.sqrt(draws))
        assert error.abs().max() < 4.5


def test_the_mixture_is_one_of_scipys_normals_and_knows_its_moments() -> None:
    loc, scale, logits = (x.detach() for x in mixture(2))
    q = distributions.NormalMixture(loc, scale, logits)
    z = q.sample((50_000,))
    densities = [
        stats.multivariate_normal(m.numpy(), s.square().diag().numpy())
        for m, s in zip(loc, scale, strict=True)
    ]
    expected = sum(
        w * p.pdf(z[:50].numpy()) for w, p in zip(logits.softmax(-1).numpy(), densities, strict=True)
    )
    assert q.log_prob(z[:50]).exp().numpy() == pytest.approx(expected)
    assert torch.allclose(z.mean(0), q.mean, atol=0.03)
    assert torch.allclose(z.var(0), q.variance, rtol=0.03)


def test_the_mixture_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="NormalMixture"):
        distributions.NormalMixture(torch.zeros(3, 2), torch.ones(3, 2), torch.zeros(2))
    with pytest.raises(ValueError, match="components"):
        pv.heads.NormalMixture(0)


# Directions, shares, choices


def test_directions_of_any_length_are_of_unit_length() -> None:
    head = pv.heads.VonMisesFisher()
    t = torch.randn(4, 6) * torch.tensor([1e-20, 1e-6, 1.0, 1e6]).unsqueeze(-1)
    assert torch.allclose(head(t).loc.norm(dim=-1), torch.ones(4))
    q = head(torch.zeros(6))
    assert q.concentration.item() == pytest.approx(4 * math.log(2))
    p = distributions.SphericalUniform(5)
    assert has_closed_form(q, p)
    z = q.sample((20_000,))
    by_draws = (q.log_prob(z) - p.log_prob(z)).mean()
    assert divergence(q, p).item() == pytest.approx(by_draws.item(), abs=0.02)


def test_a_logistic_normal_is_torchs_where_torchs_is_right() -> None:
    loc, scale = torch.randn(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64) + 0.3
    ours, torchs = distributions.LogisticNormal(loc, scale), torch.distributions.LogisticNormal(loc, scale)
    y = torchs.sample((100,))
    assert torch.allclose(ours.log_prob(y), torchs.log_prob(y))
    torch.manual_seed(3)
    one = ours.rsample((10,))
    torch.manual_seed(3)
    assert torch.allclose(one, torchs.rsample((10,)))


def test_divergences_between_logistic_normals_are_those_of_normals() -> None:
    head = pv.heads.LogisticNormal()
    q, p = head(torch.randn(4, 8)), head(torch.zeros(8))
    assert has_closed_form(q, p)
    exact = divergence(
        pv.heads.normal(torch.cat((q.loc, 2 * q.scale.log()), -1)), pv.priors.StandardNormal(4)()
    )
    assert torch.allclose(divergence(q, p), exact, rtol=1e-5)
    y = q.sample((20_000,))
    assert torch.allclose((q.log_prob(y) - p.log_prob(y)).mean(0), exact, rtol=0.05)


def test_dirichlets_and_choices_have_divergences_and_densities() -> None:
    head = pv.heads.Dirichlet()
    q, p = head(torch.randn(4, 5)), head(torch.zeros(5))
    assert has_closed_form(q, p)
    y = q.sample()
    expected = stats.dirichlet(q.concentration[0].double().numpy()).logpdf(
        y[0].double().numpy() / y[0].double().numpy().sum()
    )
    assert q.log_prob(y)[0].item() == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="least"):
        pv.heads.Dirichlet(least=0.0)
    choice = pv.heads.OneHot()
    t = torch.randn(4, 5)
    assert has_closed_form(choice(t), choice(torch.zeros(5)))
    entropy = -(t.softmax(-1) * t.log_softmax(-1)).sum(-1)
    assert torch.allclose(divergence(choice(t), choice(torch.zeros(5))), math.log(5) - entropy, atol=1e-5)


def test_relaxed_choices_are_torchs_where_torchs_are_right() -> None:
    temperature, t = torch.tensor(0.7), torch.randn(5)
    pairs: list[tuple[Any, Any]] = [
        (distributions.RelaxedOneHot, torch.distributions.RelaxedOneHotCategorical),
        (distributions.RelaxedBernoulli, torch.distributions.RelaxedBernoulli),
    ]
    for ours, torchs in pairs:
        q, p = ours(temperature, t), torchs(temperature, logits=t)
        torch.manual_seed(0)
        y = q.rsample((100,))
        torch.manual_seed(0)
        assert torch.allclose(y, p.rsample((100,)))
        assert torch.allclose(q.log_prob(y), p.log_prob(y), rtol=1e-4, atol=1e-4)


def test_relaxed_choices_at_the_edge_have_densities_where_torchs_have_none() -> None:
    t = torch.randn(2000, 5)
    torchs = torch.distributions.RelaxedOneHotCategorical(torch.tensor(0.02), logits=t, validate_args=False)
    assert torchs.log_prob(torchs.sample()).isnan().any(), "then ours is not needed any more"
    ours = pv.heads.RelaxedOneHot(0.02)(t.requires_grad_())
    assert_finite(ours, t)
    sure = pv.heads.RelaxedBernoulli()(torch.full((3,), -40.0))
    assert sure.sample((100,)).max() < 1e-12


@pytest.mark.parametrize("kind", [pv.heads.RelaxedBernoulli, pv.heads.RelaxedOneHot])
def test_temperatures_are_checked_and_learned(kind: Any) -> None:
    with pytest.raises(ValueError, match="temperature"):
        kind(0.0)
    assert not list(kind(0.3).parameters())
    head = kind(0.3, learn=True)
    q = head(torch.randn(4, 3))
    z = q.rsample()
    q.log_prob(z).sum().backward()
    assert head.log_temperature.grad.abs() > 0


# What scores its own draws only


def chained(shape: torch.Size) -> tuple[Tensor, Tensor]:
    """z of a of a standard normal, with the exact way back."""
    a = torch.randn(*shape, 3, dtype=torch.float64)
    z = a + torch.randn(*shape, 3, dtype=torch.float64)
    q_a, q_z = dist.Normal(torch.zeros_like(a), 1.0), dist.Normal(a, 1.0)
    r = dist.Normal(z / 2, math.sqrt(0.5))
    return z, (q_a.log_prob(a) + q_z.log_prob(z) - r.log_prob(a)).sum(-1)


def augmented(*batch: int) -> Augmented:
    return Augmented(chained, torch.Size(batch), torch.Size((3,)))


def test_with_the_exact_way_back_the_weight_is_the_marginal() -> None:
    q = augmented(4)
    z = q.rsample((5,))
    marginal = dist.Normal(torch.zeros(3, dtype=torch.float64), math.sqrt(2)).to_event(1)
    assert torch.allclose(q.log_prob(z), marginal.log_prob(z))


def test_any_draw_but_the_last_has_no_density() -> None:
    q = augmented(4)
    with pytest.raises(NotImplementedError, match="before any draw"):
        q.log_prob(torch.zeros(4, 3))
    first = q.sample()
    second = q.sample()
    assert q.log_prob(second).shape == (4,)
    for other in (first, second.clone(), second[:]):
        with pytest.raises(NotImplementedError, match="drawn last"):
            q.log_prob(other)
    for alike in (copy.deepcopy(q), copy.copy(q), q.expand((4,))):
        with pytest.raises(NotImplementedError, match="before any draw"):
            alike.log_prob(second)
        assert alike.log_prob(alike.sample()).shape == (4,)


def test_draws_of_a_graph_can_be_copied_and_samples_have_none() -> None:
    head = auxiliary()
    q = head(torch.randn(4, head.features(2)))
    assert q.rsample().requires_grad
    assert not copy.deepcopy(q).sample().requires_grad
    z = q.sample()
    assert not z.requires_grad
    assert not q.log_prob(z).requires_grad


def test_an_augmented_draw_of_a_wrong_shape_is_refused() -> None:
    wide = Augmented(
        lambda shape: (torch.zeros(*shape, 2), torch.zeros(shape)), torch.Size(()), torch.Size((3,))
    )
    with pytest.raises(ValueError, match="shape"):
        wide.rsample()
    with pytest.raises(TypeError, match="draw"):
        Augmented(None, torch.Size(()), torch.Size((3,)))  # type: ignore[arg-type]


def auxiliary(**heads: Any) -> pv.heads.Auxiliary:
    return pv.heads.Auxiliary(2, 3, pv.nets.MLP(3 + 4, 16, 4), pv.nets.MLP(2 + 4, 16, 6), context=4, **heads)


def test_an_auxiliary_posterior_weighs_by_a_density_of_total_mass_one() -> None:
    r"""For any net and any way back: :math:`\mathbb E[p(z) / \tilde q] = \int p = 1`."""
    head = auxiliary().double()
    with torch.no_grad():
        q = head(torch.randn(head.features(2), dtype=torch.float64)).expand((200_000,))
        z = q.sample()
        p = dist.Normal(torch.zeros(2, dtype=torch.float64), 0.5).to_event(1)
        weight = (p.log_prob(z) - q.log_prob(z)).exp()
    assert weight.mean().item() == pytest.approx(1.0, abs=5 * (weight.std() / math.sqrt(200_000)).item())


def test_auxiliary_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="built"):
        auxiliary().features(3)
    head = auxiliary(reverse_head=pv.heads.FullNormal())
    with pytest.raises(ValueError, match="FullNormal"):
        head(torch.zeros(10)).rsample()
    head = pv.heads.Auxiliary(2, 3, pv.nets.MLP(3, 8), pv.nets.MLP(2, 6))
    with pytest.raises(ValueError, match="head: expected events"):
        head(torch.zeros(6)).rsample()


def own_pair(head: Any, prior: Any = None, d: int = 2) -> tuple[Any, Any]:
    model = pv.models.VAE(prior or pv.priors.StandardNormal(d), pv.nets.MLP(d, 16, 64), pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(pv.nets.MLP(64, 16, head.features(d)), head))


@pytest.mark.parametrize(
    "objective",
    [
        pv.objectives.ELBO(3),
        pv.objectives.ELBO(3, vectorize_particles=False),
        pv.objectives.IWAE(3),
        pv.objectives.CIWAE(num_particles=3),
        pv.objectives.MIWAE(2, 2),
        pv.objectives.Renyi(num_particles=3),
        pv.objectives.GECO(30.0),
        pv.objectives.WAE(),
        Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_bounds_take_draws_that_score_themselves(objective: Any, digits: Tensor) -> None:
    model, guide = own_pair(auxiliary())
    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective, compile=False)
    losses = [svi.step(digits[:100]) for _ in range(30)]
    assert all(map(math.isfinite, losses))
    if not isinstance(objective, pv.objectives.GECO):
        assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "objective",
    [
        pv.objectives.ELBO(2, estimators=pv.objectives.StickingTheLanding()),
        pv.objectives.ELBO(2, estimators=pv.objectives.ScoreFunction()),
        pv.objectives.IWAE(2, estimators=pv.objectives.DoublyReparameterized()),
        pv.objectives.PIWAE(2, 2),
        pv.objectives.ReweightedWakeSleep(2),
    ],
    ids=repr,
)
def test_estimators_that_score_other_values_name_the_site(objective: Any, digits: Tensor) -> None:
    model, guide = own_pair(auxiliary())
    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), objective, compile=False)
    with pytest.raises(ValueError, match=r"site 'z'.*its own draws only"):
        svi.step(digits[:10])


@pytest.mark.parametrize(
    "head",
    [auxiliary, pv.heads.Delta, lambda: pv.heads.NormalMixture(3)],
    ids=["Auxiliary", "Delta", "NormalMixture"],
)
def test_a_captured_step_of_the_posterior_is_pyros(head: Callable[[], Any], digits: Tensor) -> None:
    torch.set_default_dtype(torch.float64)

    def script(make: Any) -> Iterator[Any]:
        pyro.set_rng_seed(0)
        model, guide = own_pair(head())
        loss = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        svi = make(model, guide, pyro.optim.Adam({"lr": 0.01}), loss)
        for _ in range(3):
            yield svi.step(digits[:20].double())
        yield [p.detach().clone() for p in (*model.parameters(), *guide.parameters())]

    try:
        both(script, rtol=1e-8)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_point_makes_an_autoencoder(digits: Tensor) -> None:
    model, guide = own_pair(pv.heads.Delta())
    x = digits[:20]
    with torch.no_grad():
        z = guide.sites["z"][0](x)
        joint = model.likelihood(model.decoder(z)).log_prob(x) + model.prior().log_prob(z)
    run = pv.Fit(model, guide)
    elbo = pv.objectives.ELBO().per_datum(model, guide, x)
    assert torch.allclose(elbo, joint)
    assert Trace_ELBO().loss(model, guide, x) == pytest.approx(-joint.sum().item(), rel=1e-5)
    evidence = pv.evaluate.log_evidence(run, x, num_samples=5)
    assert torch.allclose(evidence, joint.to(evidence.dtype), atol=1e-4)
    encoding = pv.predict.encode(run, x)
    assert torch.equal(encoding.mean["z"], z)


class Choices(nn.Module):
    """A relaxed prior for the tests: the head's own, of even odds."""

    def __init__(self, head: Any, d: int) -> None:
        super().__init__()
        self.head, self.d = head, d

    def forward(self) -> Any:
        return self.head(torch.zeros(self.d))


FITS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "FullNormal": (pv.heads.FullNormal, lambda _: pv.priors.StandardNormal(4)),
    "LowRankNormal": (lambda: pv.heads.LowRankNormal(2), lambda _: pv.priors.DiagonalNormal(4)),
    "NormalMixture": (lambda: pv.heads.NormalMixture(3), lambda _: pv.priors.StandardNormal(4)),
    "VonMisesFisher": (pv.heads.VonMisesFisher, lambda _: lambda: distributions.SphericalUniform(4)),
    "LogisticNormal": (
        pv.heads.LogisticNormal,
        lambda _: lambda: distributions.LogisticNormal(torch.zeros(3), torch.ones(3)),
    ),
    "Dirichlet": (pv.heads.Dirichlet, lambda _: lambda: dist.Dirichlet(torch.ones(4))),
    "OneHot": (pv.heads.OneHot, lambda _: lambda: dist.OneHotCategorical(logits=torch.zeros(4))),
    "RelaxedBernoulli": (pv.heads.RelaxedBernoulli, lambda head: Choices(head, 4)),
    "RelaxedOneHot": (
        lambda: pv.heads.RelaxedOneHot(learn=True),
        lambda head: Choices(pv.heads.RelaxedOneHot(), 4),
    ),
    "Auxiliary": (
        lambda: pv.heads.Auxiliary(4, 3, pv.nets.MLP(3 + 4, 16, 8), pv.nets.MLP(4 + 4, 16, 6), context=4),
        lambda _: pv.priors.StandardNormal(4),
    ),
}
EXACT = {"FullNormal", "LowRankNormal", "VonMisesFisher", "LogisticNormal", "Dirichlet", "OneHot"}


@pytest.mark.parametrize("name", FITS)
def test_every_posterior_trains_on_digits_and_estimates_their_evidence(name: str, digits: Tensor) -> None:
    make_head, make_prior = FITS[name]
    head = make_head()
    model, guide = own_pair(head, make_prior(head), d=4)
    q = guide.posterior("z", digits[:3])
    assert has_closed_form(q, model.prior().expand((3,))) == (name in EXACT)
    x = digits[:200]
    svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), pv.objectives.ELBO(), compile=False)
    losses = [svi.step(x) / len(x) for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]
    run = pv.Fit(model, guide)
    evidence = pv.evaluate.log_evidence(run, x[:50], num_samples=40)
    assert torch.isfinite(evidence).all()
    bound = pv.objectives.ELBO(20).per_datum(model, guide, x[:50]) if name != "OneHot" else None
    if bound is not None:
        assert evidence.mean() > bound.mean() - 0.1
    assert pv.predict.encode(run, x[:5]).mean["z"].shape == (5, 4)


def test_a_semi_amortized_posterior_may_start_from_any_of_them(digits: Tensor) -> None:
    # A mixture's draws can be differentiated once: its steps count as constants.
    for head, second_order in (
        (pv.heads.FullNormal(), True),
        (pv.heads.NormalMixture(2), False),
        (auxiliary(), True),
    ):
        pyro.clear_param_store()
        model, base = own_pair(head)
        guide = pv.guides.SemiAmortized(base, model, steps=2, second_order=second_order)
        assert guide(digits[:5])["z"].shape == (5, 2)
