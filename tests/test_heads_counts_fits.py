"""Counts and a mixed table, of real data, are fitted and scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor

import pyrovae as pv
from pyrovae import heads


def fits(head: Any, x: Tensor, *, epochs: int = 6, drop: float = 0.97) -> pv.Fit:
    """Trains a small pair and holds the loss, nats per datum, against that of its first epoch."""
    pyro.set_rng_seed(0)
    d = x.shape[1]
    model = pv.models.VAE(pv.priors.StandardNormal(3), pv.nets.MLP(3, 32, head.features(d)), head)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(d, 32, 6), heads.normal))
    optim = pyro.optim.Adam({"lr": 5e-3})
    run = pv.fit(model, guide, x, epochs=epochs, batch_size=64, optim=optim, progress=False)
    assert run.history[-1].train_loss < drop * run.history[0].train_loss
    return run


@pytest.fixture(scope="module")
def intensities() -> Tensor:
    """Digits of intensities 0 to 16, ``(600, 64)``."""
    return torch.tensor(load_digits().data[:600]).float()


@pytest.mark.parametrize(
    "make",
    [
        heads.Poisson,
        lambda: heads.Poisson(link="softplus"),
        heads.NegativeBinomial,
        lambda: heads.SharedNegativeBinomial(64),
        heads.ZeroInflatedNegativeBinomial,
        heads.Multinomial,
    ],
)
def test_counts_of_digits_are_fitted(make: Callable[[], Any], intensities: Tensor) -> None:
    run = fits(make(), intensities, drop=0.9)
    assert torch.isfinite(pv.evaluate.log_evidence(run, intensities[:20], 50)).all()


def test_a_multinomial_model_scores_documents_of_any_length_and_says_why_it_cannot_draw(
    intensities: Tensor,
) -> None:
    run = fits(heads.Multinomial(), intensities)
    assert len(intensities.sum(1).unique()) > 50
    with pytest.raises(ValueError, match="total_count"):
        pv.predict.sample(run, 3)


def test_a_mixed_table_of_patients_is_fitted() -> None:
    """Diabetes: age in years, sex, and eight measurements."""
    raw = torch.tensor(load_diabetes(scaled=False).data).float()
    measured = (raw[:, 2:] - raw[:, 2:].mean(0)) / raw[:, 2:].std(0)
    x = torch.cat([raw[:, :1], raw[:, 1:2] - 1, measured], 1)
    head = heads.Mixed(age=(heads.Poisson(), 1), sex=(heads.bernoulli, 1), blood=(heads.Normal(), 8))
    run = fits(head, x, epochs=10, drop=0.8)
    drawn = pv.predict.sample(run, 50)
    parts = head.cut(drawn)
    assert set(parts["sex"].unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(parts["age"], parts["age"].round())
    wrong = x.clone()
    wrong[3, 1] = 2.0
    with pytest.raises(ValueError, match="sex"):
        pv.fit(run.model, run.guide, wrong, epochs=1, progress=False)
