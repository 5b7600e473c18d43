"""Data outside a likelihood's support: found wherever they are, with a remedy that helps."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import pyrovae as pv

heads = pv.heads
BYTES = torch.arange(256.0).reshape(4, 64)
GRAY = BYTES / 255


def fit(head: Any, x: Tensor, **options: Any) -> Any:
    """One epoch of a pair whose encoder starts at zero, whatever the size of the data."""
    model = pv.models.VAE(pv.priors.StandardNormal(2), nn.Linear(2, head.features(x.shape[1])), head)
    encoder = nn.Linear(x.shape[1], 4)
    nn.init.zeros_(encoder.weight)
    guide = pv.guides.Amortized(z=(encoder, heads.normal))
    return pv.fit(model, guide, x, epochs=1, progress=False, compile=False, **options)


@pytest.mark.parametrize(
    ("head", "x", "match"),
    [
        (heads.Bernoulli(), GRAY, r"0 or 1, got values from 0 to 1.*Binarize.*ContinuousBernoulli"),
        (heads.Bernoulli(), BYTES, r"0 or 1, got values from 0 to 255.*Pixels"),
        (
            heads.ContinuousBernoulli(),
            BYTES,
            r"values in \[0, 1\], got values from 0 to 255.*data\.Pixels\(\)",
        ),
        (heads.ContinuousBernoulli(), 2 * GRAY - 1, r"got values from -1 to 1.*\(x \+ 1\) / 2"),
        (heads.ContinuousBernoulli(), 9 * GRAY - 5, r"Scale them to \[0, 1\].*IsotropicNormal"),
        (heads.Beta(), GRAY, r"the ends left out, got values from 0 to 1.*Dequantize.*\(n - 1\) \+ 0\.5"),
        (heads.Beta(), BYTES, r"data\.Pixels\(\)"),
        (
            heads.PixelCategorical(),
            BYTES,
            r"k / 255, k = 0, \.\.\., 255, got values from 0 to 255.*Pixels\(\)",
        ),
        (heads.PixelCategorical(17), GRAY, r"k / 16.*not all of them whole.*multiples of 1/16: set levels="),
        (heads.DiscretisedLogistic(17), (BYTES % 17), r"k / 16.*Divide by 16, so that"),
        (heads.DiscretisedLogistic(), 2 * GRAY - 1, r"\(x \+ 1\) / 2"),
        (heads.LogisticMixture(2), BYTES, r"k / 255.*Pixels\(\)"),
        (heads.LogisticMixture(2), pv.data.Dequantize()(GRAY), r"without Dequantize\(\)"),
        (heads.Categorical(256), GRAY, r"whole numbers from 0 to 255.*heads\.PixelCategorical\(levels=256\)"),
        (
            heads.Categorical(5),
            BYTES % 7,
            r"whole numbers from 0 to 4, got values from 0 to 6.*needs 7 of them",
        ),
        (heads.Categorical(5), BYTES % 5 - 1, r"got values from -1 to 3.*Number the categories from 0 on"),
        (heads.Categorical(5), 7.5 + GRAY, r"not all of them whole.*numbers of the categories, 0 to 4"),
        (heads.MuLaw(4), 128 * (BYTES - 100), r"values in \[-1, 1\].*16-bit samples by 32768"),
        (heads.MuLaw(4), 3 * GRAY, r"values in \[-1, 1\].*x / x\.abs\(\)\.max\(\)"),
        (
            heads.Poisson(),
            GRAY,
            r"whole numbers from 0 on, got values from 0 to 1, not all.*before any logarithm",
        ),
    ],
)
def test_the_remedy_is_one_for_these_data(head: Any, x: Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=f"site 'x'.*{match}"):
        fit(head, x)


@pytest.mark.parametrize(
    ("head", "good", "bad"),
    [
        (heads.ContinuousBernoulli(), GRAY, 1.5),
        (heads.Beta(), 0.3 + 0.5 * GRAY, 1.0),
        (heads.PixelCategorical(), GRAY, 0.5),
        (heads.DiscretisedLogistic(), GRAY, -1 / 255),
        (heads.LogisticMixture(2), GRAY, 256 / 255),
        (heads.Categorical(256), BYTES, 256.0),
        (heads.MuLaw(4), GRAY, -1.001),
    ],
    ids=["ContinuousBernoulli", "Beta", "PixelCategorical", "Discretised", "Mixture", "Categorical", "MuLaw"],
)
def test_a_single_value_is_found_wherever_it_is(head: Any, good: Tensor, bad: float) -> None:
    """Not only in the first batch; and in the validation data."""
    x = good.repeat(25, 1)
    assert fit(head, x, batch_size=50, validation=x[:10]).history[-1].train_loss < float("inf")
    spoilt = x.clone()
    spoilt[73, 11] = bad
    with pytest.raises(ValueError, match="site 'x': expected data in the support of"):
        fit(head, spoilt, batch_size=20)
    with pytest.raises(ValueError, match="site 'x': expected data in the support of"):
        fit(head, x, batch_size=20, validation=spoilt)


def test_columns_of_one_tensor_have_supports_of_their_own() -> None:
    """A program that observes parts of x: none of them is held against all of x."""
    x = torch.cat([torch.randint(0, 2, (40, 3)).float(), 5 * torch.randn(40, 2)], 1)
    decoder, encoder = nn.Linear(2, 5), nn.Linear(5, 4)

    def model(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", size if x is None else len(x)):
            t = decoder(pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1)))
            binary, real = (None, None) if x is None else (x[:, :3], x[:, 3:])
            pyro.sample("binary", dist.Bernoulli(logits=t[..., :3]).to_event(1), obs=binary)
            pyro.sample("real", dist.Normal(t[..., 3:], 1.0).to_event(1), obs=real)

    guide = pv.guides.Amortized(z=(encoder, heads.normal))
    run = pv.fit(model, guide, x, epochs=1, batch_size=20, progress=False, compile=False)
    assert run.history[-1].train_loss > 0
    x[3, 1] = 7.0
    with pytest.raises(ValueError, match=r"site 'binary'.*0 or 1"):
        pv.fit(model, guide, x, epochs=1, batch_size=20, progress=False, compile=False)


def test_a_support_that_depends_on_the_datum_is_left_to_its_distribution() -> None:
    """Counts out of a number that differs from datum to datum: no support of all of them."""
    total = torch.tensor([3.0, 9.0]).repeat(20)
    x = torch.stack([torch.tensor([3.0, 9.0]).repeat(20), total], 1)
    decoder, encoder = nn.Linear(2, 1), nn.Linear(2, 4)

    def model(x: Tensor, of: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Binomial(of.unsqueeze(-1), logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor, of: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", heads.normal(encoder(torch.cat([x, of.unsqueeze(-1)], 1))))

    data = (x[:, :1].clone(), total)
    run = pv.fit(model, guide, data, epochs=1, batch_size=7, progress=False, compile=False)
    assert run.history[-1].train_loss > 0
