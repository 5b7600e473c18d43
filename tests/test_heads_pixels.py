"""Likelihoods of gray levels, colours and waveforms: against their definitions, at extremes, and refusals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, log_softmax
from torch import Tensor

import pyrovae as pv
from pyrovae.distributions import DiscretisedLogistic, GridCategorical, MuLawCategorical

heads = pv.heads


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def bins(y: NDArray[Any], m: NDArray[Any], s: NDArray[Any], levels: int) -> NDArray[Any]:
    """The mass of gray levels y on [-1, 1]: the definition, as the papers write it."""
    half = 1 / (levels - 1)
    plus = np.where(y > 1 - half, 1.0, expit((y + half - m) / np.exp(s)))
    minus = np.where(y < half - 1, 0.0, expit((y - half - m) / np.exp(s)))
    return plus - minus


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_discretised_logistic_is_its_definition_at_every_level(levels: int) -> None:
    t = random(6)
    t[3:] -= 2
    x = torch.arange(levels, dtype=torch.float64).unsqueeze(-1).expand(-1, 3) / (levels - 1)
    ours = heads.DiscretisedLogistic(levels)(t).base_dist.log_prob(x).exp().numpy()
    assert ours == pytest.approx(bins(2 * x.numpy() - 1, *t.view(2, 3).numpy(), levels), abs=1e-13)
    assert ours.sum(0) == pytest.approx(1.0)


def test_values_of_single_precision_are_the_level_they_come_from() -> None:
    """Bytes over 255 in float32, each, and bins far out, where a difference of sigmoids would be zero."""
    x = pv.data.Pixels()(torch.arange(256, dtype=torch.uint8))
    for loc, log_scale in [(0.5, -2.0), (0.2, -6.0), (5.0, -3.0), (-300.0, 0.0)]:
        single = DiscretisedLogistic(torch.tensor(loc), torch.tensor(log_scale)).log_prob(x)
        double = DiscretisedLogistic(torch.tensor(loc).double(), torch.tensor(log_scale).double())
        assert torch.isfinite(single).all()
        assert torch.allclose(single.double(), double.log_prob(x.double()), rtol=1e-5, atol=2e-5)


def test_the_gray_mixture_is_its_definition_at_every_level() -> None:
    levels, components, entries = 256, 4, 3
    t = random(entries * 3 * components)
    head = heads.LogisticMixture(components, levels=levels)
    x = torch.arange(levels, dtype=torch.float64).unsqueeze(-1).expand(-1, entries) / (levels - 1)
    ours = head(t).base_dist.log_prob(x).exp().numpy()
    y = 2 * x.numpy() - 1
    for entry in range(entries):
        logits, m, s = t.view(entries, 3, components)[entry].numpy()
        weights = np.exp(log_softmax(logits))
        wanted = sum(weights[k] * bins(y[:, entry], m[k], s[k], levels) for k in range(components))
        assert ours[:, entry] == pytest.approx(wanted, abs=1e-13)
    image = heads.LogisticMixture(components, levels=levels, event_dim=3)
    same = image(t.view(entries, 3 * components).T.reshape(3 * components, 1, entries))
    assert same.log_prob(x[7].view(1, 1, entries)).item() == pytest.approx(head(t).log_prob(x[7]).item())


@pytest.mark.parametrize("levels", [5, 256])
def test_the_colour_mixture_is_its_definition_value_by_value(levels: int) -> None:
    """The paper's equations on [-1, 1], in a loop over pixels and components."""
    components, rows, columns = 3, 2, 3
    t = random(2, 10 * components, rows, columns)
    head = heads.LogisticMixture(components, levels=levels, event_dim=3)
    d = head(t)
    x = torch.cat([d.sample(), torch.randint(0, levels, (2, 3, rows, columns)) / (levels - 1)])
    x[0, :, 0, 0], x[1, :, 0, 1] = 0.0, 1.0
    ours = head(t.repeat(2, 1, 1, 1)).log_prob(x).numpy()
    for n in range(4):
        total = 0.0
        for i, j in itertools.product(range(rows), range(columns)):
            p = t[n % 2, :, i, j].numpy()
            red, green, blue = 2 * x[n, :, i, j].numpy() - 1
            logits, (m, s, c) = p[:components], p[components:].reshape(3, 3, components)
            alpha, beta, gamma = np.tanh(c)
            mass = np.exp(log_softmax(logits))
            mass = mass * bins(red, m[0], s[0], levels)
            mass = mass * bins(green, m[1] + alpha * red, s[1], levels)
            mass = mass * bins(blue, m[2] + beta * red + gamma * green, s[2], levels)
            total += np.log(mass.sum())
        assert ours[n] == pytest.approx(total, rel=1e-9)


def test_colours_are_drawn_with_their_channels_dependent() -> None:
    """Green near red, blue against it: the correlations of draws are those of the coefficients."""
    t = torch.zeros(10, 1, 1)
    t[1:4], t[4:7], t[7], t[8] = 0.0, -3.0, 9.0, -9.0
    t[4] = -2.0
    head = heads.LogisticMixture(1, event_dim=3)
    red, green, blue = head(t).sample((4000,)).reshape(-1, 3).T
    assert torch.corrcoef(torch.stack([red, green, blue]))[0, 1:].tolist() == pytest.approx(
        [0.93, -0.93], abs=0.06
    )


@pytest.mark.parametrize("levels", [3, 17, 256])
def test_moments_and_modes_are_those_of_the_levels(levels: int) -> None:
    values = torch.arange(levels, dtype=torch.float64) / (levels - 1)
    loc = torch.tensor([-3.0, 0.1, 0.52, 0.93, 2.0], dtype=torch.float64)
    log_scale = torch.tensor([-1.0, -0.5, -3.0, -2.0, 0.5], dtype=torch.float64)
    mixed = heads.LogisticMixture(2, levels=levels)(random(5 * 6)).base_dist
    for d in (
        DiscretisedLogistic(loc, log_scale, levels=levels),
        GridCategorical(random(5, levels)),
        mixed,
    ):
        mass = d.log_prob(values.unsqueeze(-1)).exp()
        mean = (values @ mass).numpy()
        assert d.mean.numpy() == pytest.approx(mean, abs=1e-12)
        assert d.variance.numpy() == pytest.approx((values.square() @ mass).numpy() - mean**2, abs=1e-12)
        if d is not mixed:
            assert d.mode.numpy() == pytest.approx(values[mass.argmax(0)].numpy())


def test_levels_can_be_enumerated() -> None:
    d = GridCategorical(random(4, 6))
    assert d.enumerate_support().shape == (6, 4)
    assert d.enumerate_support(expand=False).shape == (6, 1)
    assert d.log_prob(d.enumerate_support()).exp().sum(0).numpy() == pytest.approx(1.0)
    entropy = -(d.logits.exp() * d.logits).sum(-1)
    assert d.entropy().numpy() == pytest.approx(entropy.numpy())


EDGES = {
    "Categorical": (heads.Categorical(3), [0.0, 2.0]),
    "PixelCategorical": (heads.PixelCategorical(3), [0.0, 0.5, 1.0]),
    "DiscretisedLogistic": (heads.DiscretisedLogistic(), [0.0, 1 / 255, 0.6, 1.0]),
    "LogisticMixture": (heads.LogisticMixture(1), [0.0, 1 / 255, 0.6, 1.0]),
    "MuLaw": (heads.MuLaw(3), [-1.0, -1e-9, 0.0, 1e-3, 1.0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_extremes_are_finite_and_so_are_their_gradients(name: str) -> None:
    """In float32, for all combinations of network outputs of 0 and +-50 and data at the support's edges."""
    head, edges = EDGES[name]
    for outputs in itertools.product([-50.0, 0.0, 50.0], repeat=head.features(1)):
        for edge in edges:
            t = torch.tensor(outputs, requires_grad=True)
            log_prob = head(t).log_prob(torch.tensor([edge]))
            (gradient,) = torch.autograd.grad(log_prob, t)
            assert torch.isfinite(log_prob)
            assert torch.isfinite(gradient).all()


def test_extremes_of_colour_are_finite_and_so_are_their_gradients() -> None:
    head = heads.LogisticMixture(2, event_dim=3)
    t = torch.tensor([-50.0, 0.0, 50.0])[torch.randint(0, 3, (500, 20, 2, 2))].requires_grad_()
    x = torch.tensor([0.0, 1 / 255, 0.6, 1.0])[torch.randint(0, 4, (500, 3, 2, 2))]
    log_prob = head(t).log_prob(x)
    (gradient,) = torch.autograd.grad(log_prob.sum(), t)
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(gradient).all()
    assert head(t).support.check(head(t).sample()).all()


def test_bits_per_dimension_are_those_of_tables() -> None:
    """8 for no knowledge of bytes; those of a density on [0, 1] by the offset of its grid."""
    d = heads.PixelCategorical()(torch.zeros(4 * 256))
    x = torch.tensor([0.0, 0.2, 1.0, 7 / 255])
    assert pv.evaluate.bits_per_dim(d.log_prob(x), 4).item() == pytest.approx(8.0)
    loc, scale = torch.tensor(0.5), torch.tensor(0.05)
    values = torch.arange(1, 255) / 255
    mass = DiscretisedLogistic(loc, scale.log()).log_prob(values)
    u = (values - loc) / scale
    density = -u - scale.log() - 2 * torch.nn.functional.softplus(-u)
    bits = pv.evaluate.bits_per_dim(mass, 1)
    assert torch.allclose(bits, pv.evaluate.bits_per_dim(density, 1, offset=math.log2(255)), atol=3e-3)


def wavenet_encode(x: NDArray[Any], levels: int) -> NDArray[Any]:
    """As the paper has it, and audio libraries compute it."""
    mu = levels - 1
    y = np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)
    return np.floor((y + 1) / 2 * mu + 0.5).astype(int)


@pytest.mark.parametrize("levels", [2, 15, 16, 256])
def test_mu_law_is_a_density_on_the_bins_of_wavenet(levels: int) -> None:
    x = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    head = heads.MuLaw(levels)
    index = head.encode(x)
    assert np.array_equal(index.numpy(), wavenet_encode(x.numpy(), levels))
    assert index[[0, -1]].tolist() == [0, levels - 1]
    every = torch.arange(levels)
    assert torch.equal(head.encode(head.decode(every)), every)
    assert head.decode(every)[[0, -1]].tolist() == pytest.approx([-1.0, 1.0])

    d = MuLawCategorical(random(levels))
    widths = d.edges.diff()
    assert widths.sum().item() == pytest.approx(2.0)
    inside = 0.5 * (d.edges[1:] + d.edges[:-1])
    assert torch.equal(head.encode(inside), every)
    assert (d.log_prob(inside).exp() * widths).numpy() == pytest.approx(d.logits.exp().numpy())
    draws = d.sample((20_000,))
    assert draws.abs().max() <= 1
    assert d.mean.item() == pytest.approx(draws.mean().item(), abs=4 * d.stddev.item() / 141)
    assert d.variance.item() == pytest.approx(draws.var().item(), rel=0.1)
    assert d.log_prob(d.mode).item() == pytest.approx(d.log_prob(x).max().item())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: heads.Categorical(1), "categories: expected a whole number of at least 2"),
        (lambda: heads.PixelCategorical(levels=True), "levels: expected a whole number of at least 2"),
        (lambda: heads.DiscretisedLogistic(levels=1), "Bytes have 256 levels"),
        (lambda: heads.LogisticMixture(0), "components: expected a positive whole number"),
        (lambda: heads.LogisticMixture(2, event_dim=3).features(2), "one channel or of three, got 2"),
        (
            lambda: heads.LogisticMixture(2, event_dim=3)(torch.zeros(4, 12, 3, 3)),
            "6 channels.*20 for colour",
        ),
        (lambda: heads.LogisticMixture(2)(torch.zeros(4, 8)), r"multiple of 6.*\(4, 8\)"),
        (lambda: heads.Categorical(3)(torch.zeros(4, 8)), r"multiple of 3.*\(4, 8\)"),
        (lambda: heads.PixelCategorical()(torch.zeros(4, 64)), r"multiple of 256.*256 \* d outputs"),
        (lambda: heads.MuLaw()(torch.zeros(4, 64)), r"multiple of 256"),
        (lambda: heads.MuLaw(levels=0), "levels: expected"),
        (
            lambda: pv.distributions.ColourLogisticMixture(
                torch.zeros(5, 2, 2), *[torch.zeros(3, 4, 2, 2)] * 3
            ),
            r"loc: expected shape \(\.\.\., 3, K, H, W\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()
