"""What follows the data goes to the parts that ask for it: the conditional VAE, from training to new data."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrovae as pv
from pyrovae.spec import build, describe

CLASSES = 10


@pytest.fixture(scope="module")
def labels() -> Tensor:
    """In the order of ``digits``."""
    return torch.cat([part.tensors[1] for part in pv.data.load("digits")]).long()


def conditional_pair() -> tuple[Any, Any]:
    pyro.set_rng_seed(0)
    decoder = pv.nets.Joined(pv.nets.MLP(4 + CLASSES, 64, 64), classes=CLASSES)
    encoder = pv.nets.Joined(pv.nets.MLP(64 + CLASSES, 64, 8), classes=CLASSES)
    model = pv.models.VAE(pv.priors.StandardNormal(4), decoder, pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, pv.heads.normal))


def test_a_conditional_vae_draws_the_digit_that_is_asked_for(digits, labels, tmp_path):
    model, guide = conditional_pair()
    assert model.factorisation == "p(x | z, y) p(z)"
    assert guide.factorisation == "q(z | x, y)"
    x = digits
    run = pv.fit(model, guide, (x, labels), epochs=50, batch_size=100, progress=False)
    plain = pv.evaluate.log_evidence(run, (x[:200], labels[:200]), num_samples=50)
    wrong = pv.evaluate.log_evidence(run, (x[:200], (labels[:200] + 1) % CLASSES), num_samples=50)
    assert plain.mean() > wrong.mean() + 3
    run.save(tmp_path)
    run = pv.load(tmp_path)
    asked = torch.arange(CLASSES)
    means = torch.stack([x[labels == y].mean(0) for y in asked])
    drawn = torch.stack([pv.predict.sample(run, CLASSES, given=asked, mean=True, seed=i) for i in range(8)])
    nearest = torch.cdist(drawn.mean(0), means).argmin(-1)
    assert (nearest == asked).sum() >= 9
    again = pv.predict.reconstruct(run, (x[:5], labels[:5]))
    assert again.shape == (5, 64)
    assert pv.predict.posterior_predictive(run, (x[:5], labels[:5]), num_samples=2).shape == (2, 5, 64)


def test_a_prior_of_covariates_is_given_them_and_names_them(digits):
    def prior(y: Tensor) -> Any:
        return dist.Normal(y, 0.1).to_event(1)

    model = pv.models.VAE(prior, pv.nets.MLP(2, 64), pv.heads.bernoulli)
    assert model.factorisation == "p(x | z) p(z | y)"
    y = torch.tensor([[3.0, -3.0]]).expand(1797, 2)
    trace = pyro.poutine.trace(model).get_trace(None, y)
    assert trace.nodes["z"]["value"].mean(0) == pytest.approx(torch.tensor([3.0, -3.0]), abs=0.02)
    with pytest.raises(ValueError, match=r"VAE, prior.*1 tensor of covariates.*none.*\(x, y\)"):
        model(digits[:3])
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
    run = pv.fit(model, guide, (digits, y), epochs=2)
    z = pv.predict.encode(run, (digits[:50], y[:50])).mean["z"]
    assert z.mean(0)[0] > 0 > z.mean(0)[1]


def test_labels_that_nobody_asks_for_fall_away(digits, labels):
    model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
    run = pv.fit(model, guide, (digits, labels), epochs=1)
    assert len(run.arguments((digits, labels))) == 1
    assert pv.predict.sample(run, 3).shape == (3, 64)


@pytest.mark.parametrize(
    ("given", "match"),
    [(torch.zeros(2, 2), r"3 data.*\(2, 2\)"), ([1.0, 2.0, 3.0], "float"), (torch.tensor(1.0), r"\(\)")],
)
def test_covariates_of_another_length_are_refused(given, match):
    run = pv.Fit(*conditional_pair())
    with pytest.raises(ValueError, match=match):
        pv.predict.sample(run, 3, given=given)


def test_joined_refuses_what_it_cannot_read():
    net = pv.nets.Joined(pv.nets.MLP(4, 2), classes=2)
    with pytest.raises(ValueError, match=r"integer labels.*y\.long"):
        net(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"y\[:, None\]"):
        pv.nets.Joined(pv.nets.MLP(3, 2))(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="two or more classes"):
        pv.nets.Joined(pv.nets.MLP(3, 2), classes=1)


def test_networks_that_are_shared_stay_shared_when_rebuilt():
    model = pv.models.VAE(pv.priors.DiagonalNormal(3), pv.nets.MLP(3, 6), pv.heads.bernoulli)
    base = pv.guides.Amortized(z=(pv.nets.MLP(6, 6), pv.heads.normal))
    pair = [model, pv.guides.SemiAmortized(base, model, steps=1)]
    described = describe(pair, where="pair")
    again = build(described, where="pair")
    assert described[1]["init_args"]["model"] == {"same_as": "pair.0"}
    assert again[1].model is again[0]
    with pytest.raises(ValueError, match=r"same_as.*described before"):
        build(described[1])
