"""Gaps all the way from data by fit to export, and refused where nothing takes them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pyrovae as pv
from pyrovae import heads, nets

NAN = math.nan


def with_gaps(x: Tensor, share: float = 0.3, seed: int = 0) -> Tensor:
    gone = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < share
    return torch.where(gone, NAN, x)


def pair(likelihood: Any, d: int = 64, latent: int = 6) -> tuple[pv.models.VAE, pv.guides.Amortized]:
    pyro.set_rng_seed(0)
    decoder = nets.MLP(latent, 64, likelihood.features(d))
    model = pv.models.VAE(pv.priors.StandardNormal(latent), decoder, heads.Masked(likelihood))
    encoder = nets.Filled(nets.MLP(2 * d, 64, 2 * latent))
    return model, pv.guides.Amortized(z=(encoder, heads.normal))


def adam(rate: float = 5e-3) -> Any:
    return pyro.optim.Adam({"lr": rate})


@pytest.fixture(scope="module")
def intensities() -> Tensor:
    """Digits of intensities 0 to 16, complete, ``(1797, 64)``."""
    return torch.tensor(load_digits().data).float()


def error(x: Tensor, imputed: Tensor, gaps: Tensor) -> float:
    gone = gaps.isnan()
    return float((x - imputed)[gone].square().mean().sqrt())


def test_digits_with_gaps_are_fitted_and_imputed(intensities: Tensor, tmp_path: Path) -> None:
    """30 % of the pixels missing, in training and after; better than the columns' means by a fifth."""
    truth = intensities[torch.randperm(len(intensities), generator=torch.Generator().manual_seed(1))]
    gaps = with_gaps(truth)
    train, test, truth = gaps[:1400], gaps[1400:], truth[1400:]
    model, guide = pair(heads.Poisson())
    run = pv.fit(
        model, guide, train, validation=test, optim=adam(), epochs=25, batch_size=100, progress=False
    )
    assert run.history[-1].train_loss < 0.8 * run.history[0].train_loss
    assert math.isfinite(run.history[-1].validation_loss)

    drawn = pv.predict.posterior_predictive(run, test, num_samples=60)
    assert torch.isfinite(drawn).all()
    means = train.nanmean(0).expand_as(test)
    assert error(truth, drawn.mean(0), test) < 0.8 * error(truth, means, test)
    assert error(truth, pv.predict.reconstruct(run, test), test) < 0.8 * error(truth, means, test)

    few = test[:20]
    assert torch.isfinite(pv.evaluate.log_evidence(run, few, 200)).all()
    assert torch.isfinite(pv.evaluate.elbo(run, few).elbo).all()
    assert torch.isfinite(pv.predict.embed(run, few)).all()
    tree = pv.export.to_datatree(run, few, num_samples=4)
    assert int(tree.observed_data["x"].isnull().sum()) == int(few.isnan().sum())
    assert not tree.posterior_predictive["x"].isnull().any()
    assert not tree.log_likelihood["x"].isnull().any()
    run.save(tmp_path / "run")
    again = pv.load(tmp_path / "run")
    assert torch.equal(pv.predict.embed(again, few), pv.predict.embed(run, few))


def test_the_evidence_of_gaps_is_that_of_the_smaller_model(intensities: Tensor) -> None:
    """A model of the seen columns only has, by importance sampling, the same evidence."""
    x = (intensities[:12] > 8).float()
    seen = torch.arange(0, 64, 2)
    gaps = torch.full_like(x, NAN)
    gaps[:, seen] = x[:, seen]
    model, _ = pair(heads.bernoulli, latent=2)
    last = model.decoder.layers[-1]

    class Part(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            found: Tensor = model.decoder(z)[..., seen]
            return found

    assert last.out_features == 64
    small = pv.models.VAE(model.prior, Part(), heads.bernoulli)

    def prior_guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", model.prior())

    large = pv.evaluate.log_evidence(pv.Fit(model, prior_guide), gaps, 500, seed=3)
    assert torch.allclose(
        large, pv.evaluate.log_evidence(pv.Fit(small, prior_guide), x[:, seen], 500, seed=3), atol=1e-4
    )


@pytest.mark.parametrize(
    ("head", "compile"), [(heads.ZeroInflatedNegativeBinomial(), "capture"), (heads.Poisson(), True)]
)
def test_steps_on_gaps_are_captured_and_compiled(intensities: Tensor, head: Any, compile: Any) -> None:
    """A compiler that reckoned without NaN would lose them."""
    if compile is True and shutil.which("g++") is None:
        pytest.skip("no C++ compiler (g++)")
    gaps = with_gaps(intensities[:300])
    histories = []
    for mode in (False, compile):
        run = pv.fit(
            *pair(head, latent=3),
            gaps,
            optim=adam(1e-3),
            epochs=3,
            batch_size=100,
            compile=mode,
            progress=False,
        )
        histories.append([row.train_loss for row in run.history])
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)


def test_a_table_of_wines_with_gaps_is_fitted() -> None:
    """Thirteen measurements, standardised by what was seen, and the cultivar."""
    wine = load_wine()
    measured, cultivar = torch.tensor(wine.data).float(), torch.tensor(wine.target).float()[:, None]
    gaps = with_gaps(measured, 0.2)
    scaled = pv.data.Standardize.of(gaps)(gaps)
    assert torch.allclose(scaled.nanmean(0), torch.zeros(13), atol=1e-4)
    x = torch.cat([scaled, with_gaps(cultivar, 0.2)], 1)
    likelihood = heads.Mixed(measured=(heads.IsotropicNormal(), 13), cultivar=(heads.Categorical(3), 1))
    model, guide = pair(likelihood, d=14, latent=3)
    run = pv.fit(model, guide, x, optim=adam(), epochs=60, batch_size=60, progress=False)
    assert run.history[-1].train_loss < 0.8 * run.history[0].train_loss
    drawn = pv.predict.posterior_predictive(run, x, num_samples=40)
    guess = likelihood.cut(drawn)["cultivar"].squeeze(-1).mode(0).values
    gone = x[:, -1].isnan()
    assert int(gone.sum()) > 25
    assert (guess == cultivar[:, 0])[gone].float().mean() > 0.7


def test_data_of_every_kind_may_have_gaps(intensities: Tensor) -> None:
    gaps = with_gaps(intensities[:128])
    model, guide = pair(heads.Poisson(), latent=2)
    kinds = [
        gaps.numpy(),
        (gaps, torch.arange(128)),
        pv.data.Data(gaps, missing=True),
        TensorDataset(gaps),
        DataLoader(TensorDataset(gaps), batch_size=64),
    ]
    for data in kinds:
        run = pv.fit(model, guide, data, epochs=1, progress=False)
        assert math.isfinite(run.history[-1].train_loss)


def test_a_function_s_likelihood_may_have_gaps_too() -> None:
    net, inner = nets.Filled(nets.MLP(8, 4)), nets.MLP(2, 4)
    likelihood = heads.Masked(heads.Poisson())

    def model(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("inner", inner)
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", likelihood(inner(z)), obs=x)

    def guide(x: Tensor, size: int | None = None) -> None:
        pyro.module("net", net)
        with pyro.plate("data", len(x)):
            pyro.sample("z", heads.normal(net(x)))

    x = with_gaps(torch.poisson(torch.full((64, 4), 3.0)))
    run = pv.fit(model, guide, x, epochs=2, progress=False)
    assert torch.isfinite(pv.evaluate.log_evidence(run, x, 20)).all()


def test_gaps_are_refused_where_nothing_takes_them(intensities: Tensor) -> None:
    gaps = with_gaps(intensities[:64])
    model, guide = pair(heads.Poisson(), latent=2)
    bare = pv.models.VAE(model.prior, model.decoder, heads.Poisson())
    with pytest.raises(ValueError, match=r"x: expected finite values.*heads\.Masked\(head\)"):
        pv.fit(bare, guide, gaps, epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"missing=True"):
        pv.data.Data(gaps)
    with pytest.raises(ValueError, match="support"):
        pv.fit(bare, guide, pv.data.Data(gaps, missing=True), epochs=1, progress=False)
    unaware = pv.guides.Amortized(z=(nets.MLP(64, 4), heads.normal))
    with pytest.raises(ValueError, match=r"guide.*nets\.Filled"):
        pv.fit(model, unaware, gaps, epochs=1, progress=False)
    infinite = gaps.clone()
    infinite[3, 4] = math.inf
    with pytest.raises(ValueError, match=r"or NaN for what is missing.*1 not finite.*\[3, 4\]"):
        pv.fit(model, guide, infinite, epochs=1, progress=False)


def test_a_value_outside_the_support_is_found_among_gaps_in_all_data(intensities: Tensor) -> None:
    gaps = with_gaps(intensities[:300])
    gaps[250, 7] = -1.0
    model, guide = pair(heads.Poisson(), latent=2)
    with pytest.raises(ValueError, match=r"support.*-1"):
        pv.fit(model, guide, gaps, epochs=1, batch_size=50, progress=False)


def test_a_transform_must_leave_gaps_as_they_are() -> None:
    x = torch.tensor([[0.2, NAN], [0.7, 0.9]])
    kept = pv.data.Data(x, transform=pv.data.Standardize.of(x), missing=True)
    assert kept.transformed().isnan().tolist() == x.isnan().tolist()
    with pytest.raises(ValueError, match=r"NaN where it was, 1 times, got 0 times"):
        pv.data.Data(x, transform=pv.data.Threshold(0.5), missing=True)


def test_columns_without_any_value_standardise_to_nothing() -> None:
    x = torch.tensor([[1.0, NAN, 5.0], [3.0, NAN, 5.0], [NAN, NAN, 5.0]])
    standardize = pv.data.Standardize.of(x)
    assert standardize.mean == [2.0, 0.0, 5.0]
    assert standardize.scale == [1.0, 1.0, 1.0]
