"""Slips in building parts: each is refused where it is made, by name, and in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyrovae import flows, guides, heads, models, nets, priors

Make = Callable[..., Any]

net = nets.MLP(2, 4)
prior = priors.StandardNormal(2)

PARTS: list[tuple[str, Make]] = [
    ("VAE, prior", lambda bad: models.VAE(bad, net, heads.normal)),
    ("VAE, decoder", lambda bad: models.VAE(prior, bad, heads.normal)),
    ("VAE, likelihood", lambda bad: models.VAE(prior, net, bad)),
    ("models.Ladder, decoder", lambda bad: models.Ladder(_ladder(), bad, heads.normal)),
    ("models.Ladder, likelihood", lambda bad: models.Ladder(_ladder(), net, bad)),
    ("Views, prior", lambda bad: models.Views(bad, x=(net, heads.normal))),
    ("Views, view 'x'", lambda bad: models.Views(prior, x=(net, bad))),
    ("Amortized, site 'z'", lambda bad: guides.Amortized(z=(net, bad))),
    ("ProductOfExperts, prior", lambda bad: guides.ProductOfExperts(bad, x=(net, heads.normal))),
    ("MixtureOfExperts, view 'x'", lambda bad: guides.MixtureOfExperts(prior, x=(net, bad))),
    ("PerDatum, site 'z'", lambda bad: guides.PerDatum(10, z=(4, bad))),
    ("guides.Ladder, site 'z1'", lambda bad: guides.Ladder(_ladder(), z1=(net, bad), z2=(net, net))),
    ("model", lambda bad: guides.Hamiltonian(_guide(), bad, dim=2)),
    ("model", lambda bad: guides.SemiAmortized(_guide(), bad)),
    ("heads.Masked", heads.Masked),
    ("Steps", heads.Steps),
    ("heads.Mixed, column 'a'", lambda bad: heads.Mixed(a=(bad, 1))),
    ("heads.Markov, head", lambda bad: heads.Markov(2, 4, head=bad)),
    ("heads.Flowed, head", lambda bad: heads.Flowed(bad, flows.IAF(2))),
    ("heads.Flowed, flow", lambda bad: heads.Flowed(heads.normal, bad)),
    ("heads.Auxiliary, net", lambda bad: heads.Auxiliary(2, 2, bad, net)),
    ("heads.Auxiliary, reverse_head", lambda bad: heads.Auxiliary(2, 2, net, net, reverse_head=bad)),
    ("nets.Filled", nets.Filled),
]

DEFAULTED = {"heads.Auxiliary, reverse_head", "heads.Markov, head"}
"""Where None stands for the usual head."""

NUMBERS: list[tuple[str, Make]] = [
    ("scale", heads.IsotropicNormal),
    ("rate", heads.CommittedNormal),
    ("heads.Dirichlet, least", heads.Dirichlet),
    ("heads.StudentT, df", heads.StudentT),
    ("heads.RelaxedBernoulli, temperature", heads.RelaxedBernoulli),
    ("heads.RelaxedOneHot, temperature", heads.RelaxedOneHot),
    ("heads.OptimalNormal, momentum", lambda bad: heads.OptimalNormal(momentum=bad)),
    ("heads.OptimalNormal, least", lambda bad: heads.OptimalNormal(least=bad)),
    ("step_size", lambda bad: guides.Hamiltonian(_guide(), net, dim=2, step_size=bad)),
    ("temperature", lambda bad: guides.Hamiltonian(_guide(), net, dim=2, temperature=bad)),
    ("rate", lambda bad: guides.SemiAmortized(_guide(), net, rate=bad)),
    ("nets.Filled, event_dim", lambda bad: nets.Filled(net, bad)),
    ("heads.Delta, event_dim", heads.Delta),
]

ACTIVATIONS: list[tuple[str, Make]] = [
    ("MLP", lambda bad: nets.MLP(2, 4, 2, activation=bad)),
    ("MaskedMLP", lambda bad: nets.MaskedMLP(2, 2, activation=bad)),
    ("ConvEncoder", lambda bad: nets.ConvEncoder((1, 4, 4), 2, activation=bad)),
    ("ConvDecoder", lambda bad: nets.ConvDecoder(2, (1, 4, 4), activation=bad)),
    ("flow", lambda bad: flows.RealNVP(2, activation=bad)),
    ("heads.Markov", lambda bad: heads.Markov(2, 4, activation=bad)),
]


def _ladder() -> priors.Ladder:
    return priors.Ladder((2, 2), (nets.MLP(2, 4),))


def _guide() -> guides.Amortized:
    return guides.Amortized(z=(net, heads.normal))


def _is_one_line_about(where: str, error: BaseException) -> None:
    message = str(error)
    assert message.startswith(f"{where}: expected "), message
    assert ", got " in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("bad", [heads.Bernoulli, "normal", None, 3], ids=["class", "word", "None", "number"])
@pytest.mark.parametrize(("where", "make"), PARTS, ids=[f"{i}-{w}" for i, (w, _) in enumerate(PARTS)])
def test_what_is_no_part_is_refused_by_name(where: str, make: Make, bad: Any) -> None:
    if bad is None and where in DEFAULTED:
        bad = ...
    with pytest.raises(TypeError) as caught:
        make(bad)
    _is_one_line_about(where, caught.value)


@pytest.mark.parametrize(
    "bad",
    ["0.5", [], None, torch.ones(2), True, -1.0, float("nan"), float("inf")],
    ids=["word", "list", "None", "tensor", "bool", "negative", "nan", "inf"],
)
@pytest.mark.parametrize(("where", "make"), NUMBERS, ids=[f"{i}-{w}" for i, (w, _) in enumerate(NUMBERS)])
def test_what_is_no_positive_number_is_refused_by_name(where: str, make: Make, bad: Any) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        make(bad)
    _is_one_line_about(where, caught.value)


@pytest.mark.parametrize("make", [make for _, make in NUMBERS[:8]])
def test_numbers_of_numpy_are_numbers(make: Make) -> None:
    make(np.float64(0.5))
    make(np.float32(0.5))


@pytest.mark.parametrize("bad", [nn.ReLU(), "relu", torch.relu, {}], ids=["made", "word", "function", "dict"])
@pytest.mark.parametrize(("where", "make"), ACTIVATIONS, ids=[where for where, _ in ACTIVATIONS])
def test_an_activation_is_given_as_a_class(where: str, make: Make, bad: Any) -> None:
    with pytest.raises(TypeError) as caught:
        make(bad)
    _is_one_line_about(f"{where}, activation", caught.value)


def test_a_class_of_distributions_may_be_a_head() -> None:
    """It makes a distribution of a network's output, as any head does."""
    guide = guides.Amortized(z=(nn.Sequential(net, nn.Softplus()), dist.Dirichlet))
    assert guide.posterior("z", torch.zeros(5, 2)).event_shape == (4,)


def test_a_head_that_is_given_features_when_made_does_not_print_them() -> None:
    """``heads.Bernoulli(t)`` for ``heads.Bernoulli()(t)``."""
    with pytest.raises(ValueError, match=r"^heads.Bernoulli, event_dim: expected .*, got Tensor\. "):
        heads.Bernoulli(torch.zeros(64, 64))  # type: ignore[arg-type]


def test_a_variance_of_the_whole_batch_is_not_masked_in_training() -> None:
    """What stands in for missing entries would count as residuals, without a word."""
    head = heads.Masked(heads.OptimalNormal())
    with pytest.raises(
        ValueError, match=r"heads\.Masked: expected .* entry by itself, got heads\.OptimalNormal"
    ):
        head(torch.zeros(5, 2))
    assert head.eval()(torch.zeros(5, 2)).log_prob(torch.full((5, 2), torch.nan)).eq(0).all()


@pytest.mark.parametrize(
    ("prior_of_z", "head"),
    [
        (priors.StandardNormal(2), heads.NormalMixture(2)),
        (priors.Sphere(2), heads.VonMisesFisher()),
        (priors.Dirichlet(2), heads.Dirichlet()),
    ],
    ids=["NormalMixture", "VonMisesFisher", "Dirichlet"],
)
def test_no_gradient_passes_a_gradient_of_draws_of_first_order(prior_of_z: Any, head: Any) -> None:
    """The encoder's gradient lacked terms, silently; without them asked for, all is as it says."""
    pyro.clear_param_store()
    model = models.VAE(prior_of_z, nets.MLP(2, 4), heads.bernoulli)
    base = guides.Amortized(z=(nets.MLP(4, head.features(2)), head))
    x = torch.ones(5, 4)
    with pytest.raises(
        ValueError, match=r"SemiAmortized, site 'z': expected .* twice, got .* second_order=False"
    ):
        guides.SemiAmortized(base, model)(x)
    with torch.no_grad():
        assert guides.SemiAmortized(base, model).features(x)["z"].isfinite().all()
    z = guides.SemiAmortized(base, model, second_order=False)(x)["z"]
    z.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in base.parameters())
