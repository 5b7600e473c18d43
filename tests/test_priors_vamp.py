"""VampPrior: the mixture of the encoder's posteriors, with one pass, one step and one copy of the encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from closeness import close
from pyro.infer import Trace_ELBO
from scipy import stats
from torch import Tensor, nn

import pyrovae as pv

priors, heads, nets = pv.priors, pv.heads, pv.nets


class Counting(nn.Module):
    """An encoder that counts how often it is called."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.rows = net, []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        y: Tensor = self.net(x)
        return y


@pytest.mark.parametrize("head", [heads.normal, heads.FullNormal()])
def test_three_pseudo_inputs_are_the_mixture_of_three_posteriors(head: Any) -> None:
    prior = priors.VampPrior(
        nets.MLP(4, 5 if head is not heads.normal else 4), head, 3, (4,), learn_weights=True
    )
    with torch.no_grad():
        prior.log_weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
    z = torch.randn(7, 2)
    weights = prior.log_weights.softmax(0)
    by_hand = sum(
        w * head(prior.encoder(u)).log_prob(z).exp()
        for w, u in zip(weights, prior.pseudo_inputs, strict=True)
    )
    assert torch.allclose(prior().log_prob(z), by_hand.log(), atol=1e-5)


def test_it_draws_from_the_posteriors_and_not_from_a_standard_normal() -> None:
    prior = priors.VampPrior(nets.MLP(3, 2), heads.normal, 4, (3,)).start_from(30 * torch.randn(9, 3))
    components = heads.normal(prior.encoder(prior.pseudo_inputs)).base_dist
    draws = prior().sample((4000,)).flatten()

    def cdf(v: Any) -> Any:
        return np.mean(
            [stats.norm.cdf(v, *place) for place in zip(*map(_flat, components_of), strict=True)], 0
        )

    components_of = (components.loc, components.scale)
    assert stats.kstest(draws.numpy(), cdf).pvalue > 1e-4
    assert stats.kstest(draws.numpy(), stats.norm.cdf).pvalue < 1e-9


def _flat(t: Tensor) -> Any:
    return t.detach().flatten().numpy()


def test_one_pass_of_the_encoder_a_step_over_all_pseudo_inputs() -> None:
    encoder = Counting(nets.MLP(6, 4))
    prior = priors.VampPrior(encoder, heads.normal, 50, (6,))
    model = pv.models.VAE(prior, nets.MLP(2, 6), heads.bernoulli)
    guide = pv.guides.Amortized(z=(encoder, heads.normal))
    encoder.rows.clear()
    Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1).differentiable_loss(
        model, guide, torch.zeros(8, 6)
    )
    assert encoder.rows == [8, 50]


def test_gradients_reach_pseudo_inputs_outside_the_bounds_too() -> None:
    prior = priors.VampPrior(nets.MLP(5, 4), heads.normal, 6, (5,), bounds=(-1.0, 1.0))
    with torch.no_grad():
        prior.raw.copy_(7 * torch.randn(6, 5))
        prior.raw[0] = torch.tensor([-1.0, 0.0, 1.0, -3.0, 3.0])
    assert prior.pseudo_inputs.abs().max() <= 1
    assert close(prior.pseudo_inputs[0], [-1, 0, 1, 1, -1])
    prior().log_prob(torch.randn(20, 2)).sum().backward()
    assert (prior.raw.grad != 0).all()
    assert all(p.grad.abs().sum() > 0 for p in prior.encoder.parameters())


def test_pseudo_inputs_start_at_data() -> None:
    x = torch.rand(30, 2, 3)
    net = nn.Sequential(nn.Flatten(), nets.MLP(6, 4))
    prior = priors.VampPrior(net, heads.normal, 30, (2, 3), bounds=(0, 1)).start_from(x, noise=0.0)
    assert torch.allclose(prior.pseudo_inputs.flatten(1).sum(1).sort().values, x.sum((1, 2)).sort().values)
    again = [prior.start_from(x, seed=1).raw.detach().clone() for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(prior.start_from(x, seed=2).raw, again[0])
    few = priors.VampPrior(net, heads.normal, 30, (2, 3)).start_from(x[:4], noise=1e-3)
    assert len(few.raw.unique(dim=0)) == 30
    assert torch.cdist(few.raw.flatten(1), x[:4].flatten(1)).min(1).values.max() < 0.02


def _vamp_pair(x: Tensor, make: Callable[..., Any] = heads.Normal) -> tuple[Any, Any]:
    torch.manual_seed(0)
    encoder, head = nets.MLP(64, 32, make().features(4)), make()
    prior = priors.VampPrior(encoder, head, 20, (64,), bounds=(0, 1), learn_weights=True).start_from(x)
    model = pv.models.VAE(prior, nets.MLP(4, 32, 64), heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, head))


def _parameters(model: nn.Module, guide: nn.Module) -> list[Tensor]:
    return list(dict.fromkeys([*model.parameters(), *guide.parameters()]))


@pytest.mark.parametrize("make", [pyro.infer.SVI, pv.SVI])
def test_the_shared_encoder_is_stepped_once(make: Any, digits: Tensor) -> None:
    """Pyro's store names it twice, in the model and in the guide; Adam by hand knows each tensor once."""
    elbo = Trace_ELBO(max_plate_nesting=1)
    model, guide = _vamp_pair(digits)
    by_hand = torch.optim.Adam(_parameters(model, guide), lr=0.01)
    pyro.set_rng_seed(1)
    for _ in range(4):
        by_hand.zero_grad()
        elbo.differentiable_loss(model, guide, digits[:32]).backward()
        by_hand.step()
    expected = _parameters(model, guide)
    pyro.clear_param_store()
    model, guide = _vamp_pair(digits)
    options = {"compile": "capture"} if make is pv.SVI else {}
    svi = make(model, guide, pyro.optim.Adam({"lr": 0.01}), elbo, **options)
    pyro.set_rng_seed(1)
    for _ in range(4):
        svi.step(digits[:32])
    for ours, theirs in zip(_parameters(model, guide), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_run_with_a_shared_encoder_learns_and_is_loaded_sharing_it(digits: Tensor, tmp_path: Any) -> None:
    run = pv.fit(*_vamp_pair(digits), digits[:1000], epochs=6, progress=False)
    assert run.history[-1].train_loss < 0.9 * run.history[0].train_loss
    again = pv.load(run.save(tmp_path))
    assert again.model.prior.encoder is again.guide.nets["z"]
    scores = [pv.evaluate.log_evidence(r, digits[1000:1020], 50) for r in (run, again)]
    assert torch.equal(*scores)


def test_a_run_with_a_shared_encoder_resumes_exactly(digits: Tensor, tmp_path: Any) -> None:
    whole = pv.fit(*_vamp_pair(digits), digits[:300], epochs=4, progress=False)
    for epochs in (2, 4):
        resumed = pv.fit(
            *_vamp_pair(digits),
            digits[:300],
            epochs=epochs,
            run_dir=tmp_path,
            resume=epochs == 4,
            progress=False,
        )
    assert all(
        torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    )
