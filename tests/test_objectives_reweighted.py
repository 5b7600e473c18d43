"""Reweighted objectives against what they are defined as, and every gradient against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_pairs import guide_of, model_of, net, normal
from pyro import poutine
from torch import Tensor

from pyrovae import objectives as o
from pyrovae.objectives.discrepancy import squared_mmd

PIXELS = 16


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def x(digits: Tensor) -> Tensor:
    return digits[:12].double()[:, 16 : 16 + PIXELS].contiguous()


def pair() -> tuple[Any, Any, list[Tensor]]:
    """A model and a guide, and their parameters."""
    pyro.set_rng_seed(0)
    encoder, decoder = net(PIXELS, 8, 6), net(3, 8, PIXELS)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    return model_of(decoder=decoder), guide_of(lambda x: normal(encoder(x)), encoder), parameters


def seen(objective: o.Objective, x: Tensor) -> tuple[float, Tensor, Tensor]:
    """The loss from a seed, the reconstruction and the closed-form rate of each datum and dimension."""
    model, guide, _ = pair()
    pyro.set_rng_seed(1)
    loss = objective.loss(model, guide, x)
    pyro.set_rng_seed(1)
    trace = poutine.trace(guide).get_trace(x)
    fn = trace.nodes["z"]["fn"]
    replayed = poutine.trace(poutine.replay(model, trace)).get_trace(x)
    reconstruction = replayed.nodes["x"]["fn"].log_prob(x)
    prior = dist.Normal(torch.zeros(3), torch.ones(3))
    return loss, reconstruction, torch.distributions.kl_divergence(fn.base_dist, prior)


def test_free_bits_by_dimension(x: Tensor) -> None:
    loss, reconstruction, rate = seen(o.FreeBits(0.15), x)
    means = rate.mean(0)
    assert means.min() < 0.15 < means.max()
    assert loss == pytest.approx(-reconstruction.sum().item() + len(x) * means.clamp(min=0.15).sum().item())


@pytest.mark.parametrize("nats", [0.01, 5.0])
def test_free_bits_by_site(x: Tensor, nats: float) -> None:
    loss, reconstruction, rate = seen(o.FreeBits(nats, per="site"), x)
    total = max(nats, rate.sum(-1).mean().item())
    assert loss == pytest.approx(-reconstruction.sum().item() + len(x) * total)


def test_capacity(x: Tensor) -> None:
    loss, reconstruction, rate = seen(o.CapacityELBO(2.0, gamma=3.0), x)
    distance = abs(rate.sum(-1).mean().item() - 2.0)
    assert loss == pytest.approx(-reconstruction.sum().item() + 3.0 * len(x) * distance)


def test_beta(x: Tensor) -> None:
    loss, reconstruction, rate = seen(o.ELBO(beta=4.0), x)
    assert loss == pytest.approx(-reconstruction.sum().item() + 4.0 * rate.sum().item())


def test_geco(x: Tensor) -> None:
    loss, reconstruction, rate = seen(o.GECO(7.0), x)
    assert loss == pytest.approx(rate.sum().item() - reconstruction.sum().item() - 7.0 * len(x))


def test_total_correlation_with_equal_weights_is_the_elbo(x: Tensor) -> None:
    loss, *_ = seen(o.BetaTC(1797, beta=1.0), x)
    assert loss == pytest.approx(seen(o.ELBO(kl="monte carlo"), x)[0])


def test_total_correlation_is_that_of_the_mixture_of_the_batch(x: Tensor) -> None:
    """By hand, from all pairs: only beta is changed, so the difference is the total correlation."""
    plain, heavy = (seen(o.BetaTC(1797, beta=beta), x)[0] for beta in (1.0, 2.0))
    _, guide, _ = pair()
    pyro.set_rng_seed(1)
    site = poutine.trace(guide).get_trace(x).nodes["z"]
    loc, scale, z = site["fn"].base_dist.loc, site["fn"].base_dist.scale, site["value"]
    total = 0.0
    for one in z:
        each = dist.Normal(loc, scale).log_prob(one)
        joint = torch.logsumexp(each.sum(-1), 0) - math.log(1797 * len(x))
        product = (torch.logsumexp(each, 0) - math.log(1797 * len(x))).sum()
        total += (joint - product).item()
    assert heavy - plain == pytest.approx(total)


def test_info_vae_of_no_strength_is_the_elbo(x: Tensor) -> None:
    assert seen(o.InfoVAE(0.0, 1.0), x)[0] == pytest.approx(seen(o.ELBO(), x)[0])


def test_wasserstein_autoencoder_is_reconstruction_and_discrepancy(x: Tensor) -> None:
    model, guide, _ = pair()
    pyro.set_rng_seed(1)
    z = poutine.trace(guide).get_trace(x).nodes["z"]["value"]
    loss, reconstruction, _ = seen(o.WAE(0.0), x)
    assert loss == pytest.approx(-reconstruction.sum().item())
    pyro.set_rng_seed(1)
    heavy = o.WAE(5.0).loss(model, guide, x)
    pyro.set_rng_seed(1)
    poutine.trace(poutine.replay(model, poutine.trace(guide).get_trace(x))).get_trace(x)
    prior = dist.Normal(torch.zeros(len(x), 3), 1.0).to_event(1).sample()
    expected = 5.0 * len(x) * squared_mmd(z, prior, o.InverseMultiquadric()).item()
    assert heavy - loss == pytest.approx(expected)


@pytest.mark.parametrize("kernel", [o.InverseMultiquadric(2.0), o.Gaussian(0.5)], ids=str)
def test_the_discrepancy_is_a_sum_over_pairs(kernel: o.Kernel) -> None:
    pyro.set_rng_seed(3)
    one, other = torch.randn(6, 2), 1.0 + torch.randn(6, 2)

    def k(a: Tensor, b: Tensor) -> float:
        return kernel.of((a - b).square().sum(), 2).item()

    within = sum(k(s[i], s[j]) for s in (one, other) for i in range(6) for j in range(6) if i != j) / 30
    between = sum(k(a, b) for a in one for b in other) / 36
    assert squared_mmd(one, other, kernel).item() == pytest.approx(within - 2 * between)


def test_the_discrepancy_has_mean_zero_where_there_is_none() -> None:
    pyro.set_rng_seed(4)
    draws = torch.stack(
        [squared_mmd(torch.randn(20, 3), torch.randn(20, 3), o.InverseMultiquadric()) for _ in range(400)]
    )
    assert abs(draws.mean() / (draws.std() / 20)) < 4
    apart = squared_mmd(torch.randn(20, 3), 2 + torch.randn(20, 3), o.InverseMultiquadric())
    assert apart > draws.max()


SMOOTH: dict[str, Callable[[], o.Objective]] = {
    "ELBO": lambda: o.ELBO(2, beta=0.5),
    "ELBO, entropy": lambda: o.ELBO(2, kl="entropy"),
    "ELBO, run by run": lambda: o.ELBO(2, vectorize_particles=False),
    "IWAE": lambda: o.IWAE(4),
    "CIWAE": lambda: o.CIWAE(0.3, 4),
    "MIWAE": lambda: o.MIWAE(2, 2),
    "Renyi": lambda: o.Renyi(-0.5, 3),
    "CapacityELBO": lambda: o.CapacityELBO(2.0, gamma=3.0),
    "FreeBits": lambda: o.FreeBits(0.15),
    "FreeBits, Monte Carlo": lambda: o.FreeBits(0.15, kl="monte carlo", num_particles=3),
    "FreeBits, run by run": lambda: o.FreeBits(0.15, num_particles=2, vectorize_particles=False),
    "FreeBits, site": lambda: o.FreeBits(0.01, per="site"),
    "BetaTC": lambda: o.BetaTC(100, alpha=0.5, beta=4.0, gamma=2.0),
    "InfoVAE": lambda: o.InfoVAE(0.4, 6.0, num_particles=2),
    "WAE": lambda: o.WAE(kernel=o.Gaussian()),
    "GECO": lambda: o.GECO(5.0),
    "Lagging": lambda: o.Lagging(3, steps=0),
}
"""Objectives whose gradient along paths is that of the loss with the same noise."""


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_is_the_derivative_of_the_loss(name: str, x: Tensor) -> None:
    model, guide, parameters = pair()
    objective = SMOOTH[name]()
    pyro.set_rng_seed(2)
    objective.loss_and_grads(model, guide, x)
    pyro.set_rng_seed(5)
    directions = [torch.randn_like(p) for p in parameters]
    slope = sum((p.grad * d).sum().item() for p, d in zip(parameters, directions, strict=True))

    def moved(by: float) -> float:
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(by * direction)
        pyro.set_rng_seed(2)
        return fresh.loss(model, guide, x)

    fresh = SMOOTH[name]()
    step = 1e-5
    up = moved(step)
    down = moved(-2 * step)
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("make", [o.ELBO, lambda: o.FreeBits(0.0), lambda: o.IWAE(3)])
def test_masked_data_count_nothing(make: Callable[[], o.Objective], x: Tensor) -> None:
    model, guide, _ = pair()
    kept = torch.arange(len(x)) < 5

    def masked(program: Any) -> Any:
        return poutine.mask(program, mask=kept)

    pyro.set_rng_seed(1)
    whole = make().per_datum(model, guide, x)
    pyro.set_rng_seed(1)
    part = make().per_datum(masked(model), masked(guide), x)
    assert torch.allclose(part[kept], whole[kept])
    assert not part[~kept].any()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: o.CapacityELBO(-1.0), "capacity: expected a number, 0 or more"),
        (lambda: o.FreeBits(-0.1), "FreeBits, nats"),
        (lambda: o.FreeBits(per="row"), "FreeBits, per"),
        (lambda: o.BetaTC(0), "BetaTC, num_data"),
        (lambda: o.InfoVAE(2.0), "InfoVAE, alpha"),
        (lambda: o.InfoVAE(0.0, 0.5), "InfoVAE, strength: .*at least 1 - alpha"),
        (lambda: o.GECO(math.inf), "GECO, tolerance"),
        (lambda: o.GECO(3.0, decay=1.0), "GECO: "),
        (lambda: o.Lagging(0, steps=1), "Lagging, inner"),
        (lambda: o.Lagging(3), "Lagging: .*either steps or epochs"),
        (lambda: o.Gaussian(0.0), "Gaussian, scale"),
        (lambda: o.Linear(0, 1), "Linear: .*either steps or epochs"),
        (lambda: o.Linear(0, 1, steps=3, epochs=3), "Linear: "),
        (lambda: o.Cyclical(0, 1, steps=3, cycles=0), "Cyclical: "),
        (lambda: o.Exponential(0.0, 1.0, steps=3), "Exponential: "),
        (lambda: o.Linear(0, 1, steps=3, every="month"), "Linear, every"),
        (lambda: o.Linear(0, 1, steps=3, delay=-1), "Linear, delay"),
        (lambda: o.Linear(0, math.nan, steps=3), "finite"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_what_it_is_not_defined_for_is_said_by_site(x: Tensor) -> None:
    encoder, decoder = net(PIXELS, 8, 6), net(3, 8, PIXELS)

    def full(features: Tensor) -> Any:
        return dist.MultivariateNormal(features[..., :3], scale_tril=torch.eye(3))

    model, guide = model_of(decoder=decoder), guide_of(lambda x: full(encoder(x)), encoder)
    with pytest.raises(ValueError, match=r"site 'z': .*factorise.*MultivariateNormal"):
        o.FreeBits(0.1).loss(model, guide, x)
    with pytest.raises(ValueError, match=r"guide, site 'z': .*factorises.*MultivariateNormal"):
        o.BetaTC(100).loss(model, guide, x)
    assert math.isfinite(o.FreeBits(0.1, per="site").loss(model, guide, x))
    discrete = guide_of(lambda x: dist.Bernoulli(logits=encoder(x)[..., :3]).to_event(1), encoder)
    prior = model_of(lambda: dist.Bernoulli(torch.full((3,), 0.5)).to_event(1), decoder)
    for objective in (o.WAE(), o.InfoVAE(), o.BetaTC(100)):
        with pytest.raises(ValueError, match=r"site 'z'"):
            objective.loss_and_grads(prior, discrete, x)
