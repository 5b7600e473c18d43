"""PerDatum: parameters for each datum in place of an encoder, held against the closed form."""

from __future__ import annotations

import pyro
import pyro.infer
import pytest
import torch
from linear_vae import as_vae, best_mean_field, sampled_bound, train_guide
from ppca import PPCA
from pyro.infer import Trace_ELBO
from torch import Tensor

import pyrovae as pv
from pyrovae.spec import build, describe


@pytest.fixture(scope="module")
def linear(digits: Tensor) -> tuple[Tensor, PPCA]:
    """Some digits, gray against their mean, and the PPCA of them all in axes that correlate the posterior."""
    x = digits.double() - digits.double().mean(0)
    best = PPCA.maximum_likelihood(x, 4)
    weight = best.weight * torch.tensor([2.0, 1.0, 0.5, 0.25])
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double()).Q
    return x[:60], PPCA(weight @ rotation, best.mean, best.variance)


def test_per_datum_reaches_the_best_of_its_family(linear):
    x, ppca = linear
    index = torch.arange(len(x))
    guide = pv.guides.PerDatum(len(x), z=(2 * 4, pv.heads.normal)).double()
    run = train_guide(as_vae(ppca), guide, (x, index))
    reached, best = sampled_bound(run, (x, index)), best_mean_field(x, ppca)
    assert (reached - best).mean().abs() < 0.05
    assert (reached - best).abs().max() < 0.3
    posterior = pv.predict.encode(run, (x, index)).posterior["z"].base_dist
    mean, covariance = ppca.posterior(x)
    deviations = torch.linalg.inv(covariance).diagonal().rsqrt()
    assert ((posterior.loc - mean) / deviations).abs().mean() < 0.1
    assert (posterior.scale / deviations).log().abs().mean() < 0.1
    evidence = pv.evaluate.log_evidence(run, (x, index), num_samples=1000, compile=False)
    assert (evidence - ppca.log_evidence(x)).mean().abs() < 0.1

    small = pv.guides.Amortized(z=(pv.nets.MLP(64, 1, 2 * 4), pv.heads.normal)).double()
    amortized = sampled_bound(train_guide(as_vae(ppca), small, x), x)
    assert reached.mean() > amortized.mean() + 0.2, "the amortization gap"


def test_where_the_posterior_is_diagonal_the_bound_is_the_evidence(linear):
    x, ppca = linear
    axes = torch.linalg.svd(ppca.weight, full_matrices=False)
    straight = PPCA(axes.U * axes.S, ppca.mean, ppca.variance)
    guide = pv.guides.PerDatum(len(x), z=(2 * 4, pv.heads.normal)).double()
    data = (x, torch.arange(len(x)))
    reached = sampled_bound(train_guide(as_vae(straight), guide, data), data)
    assert (reached - straight.log_evidence(x)).abs().max() < 0.1


def test_momentum_moves_the_rows_of_other_batches_and_its_absence_does_not(make_pair, digits):
    """What the docstring says of Adam, and of how to keep other rows where they are."""
    moved = {}
    for first_beta in (0.9, 0.0):
        pyro.clear_param_store()
        model, _ = make_pair()
        guide = pv.guides.PerDatum(20, z=(2 * 4, pv.heads.normal))
        optim = torch.optim.Adam(guide.parameters(), lr=0.1, betas=(first_beta, 0.999))
        svi = pv.SVI(model.requires_grad_(False).eval(), guide, optim, Trace_ELBO(), compile=False)
        svi.step(digits[:10], torch.arange(10))
        before = guide.tables["z"].detach().clone()
        svi.step(digits[10:20], torch.arange(10, 20))
        moved[first_beta] = (guide.tables["z"].detach() - before).abs().sum(-1) > 0
    assert moved[0.9].all()
    assert not moved[0.0][:10].any()
    assert moved[0.0][10:].all()


def test_rows_follow_the_index_and_not_the_place_in_the_batch():
    guide = pv.guides.PerDatum(7, z=(2 * 3, pv.heads.normal))
    with torch.no_grad():
        guide.tables["z"].normal_()
    index = torch.tensor([5, 0, 5])
    loc = guide.posterior("z", index).base_dist.loc
    assert torch.equal(loc, guide.tables["z"][index, :3])
    loc.sum().backward()
    assert guide.tables["z"].grad[:, 0].tolist() == [1, 0, 0, 0, 0, 2, 0]


def test_per_datum_says_what_it_is_and_is_rebuilt():
    guide = pv.guides.PerDatum(1000, z1=(4, pv.heads.normal), z2=(3, pv.heads.IsotropicNormal(0.5)))
    assert guide.factorisation == "q_i(z1) q_i(z2)"
    assert "1,000 data, a row for each: 7,000 parameters, 0.03 MB" in repr(guide)
    again = build(describe(guide))
    assert repr(again) == repr(guide)
    assert describe(again) == describe(guide)
    again.load_state_dict(guide.state_dict())
    trace = pyro.poutine.trace(guide).get_trace(torch.zeros(5, 64), torch.arange(5))
    trace.log_prob_sum().backward()
    assert all(p.grad is not None for p in guide.parameters())


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        ((torch.zeros(5, 64),), ValueError, r"index of each.*torch\.arange"),
        ((torch.zeros(5, 64), torch.zeros(5)), TypeError, r"integers, got torch\.float32"),
        ((torch.zeros(5, 64), 3), TypeError, "integers, got int"),
        ((torch.zeros(5, 64), torch.arange(4)), ValueError, r"shape \(5,\).*\(4,\)"),
        ((torch.zeros(5, 64), torch.arange(5) + 3), ValueError, "from 0 to 6.*from 3 to 7.*PerDatum"),
        ((torch.zeros(5, 64), torch.arange(5) - 1), ValueError, "from 0 to 6.*from -1 to 3"),
    ],
)
def test_what_is_no_index_is_refused(args, error, match):
    guide = pv.guides.PerDatum(7, z=(4, pv.heads.normal))
    with pyro.validation_enabled(True), pytest.raises(error, match=match):
        guide(*args)


@pytest.mark.parametrize("wrong", [7, -1])
def test_without_validation_an_index_out_of_range_is_still_no_other_row(wrong):
    guide = pv.guides.PerDatum(7, z=(4, pv.heads.normal))
    with pyro.validation_enabled(False), pytest.raises(IndexError):
        guide(torch.zeros(1, 64), torch.tensor([wrong]))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: pv.guides.PerDatum(0, z=(4, pv.heads.normal)), ValueError, "num_data"),
        (lambda: pv.guides.PerDatum(5), TypeError, "latent site"),
        (lambda: pv.guides.PerDatum(5, z=(0, pv.heads.normal)), TypeError, "'z'.*pair"),
        (lambda: pv.guides.PerDatum(5, z=(pv.nets.MLP(2, 2), pv.heads.normal)), TypeError, "'z'.*pair"),
    ],
)
def test_bad_parameters_of_per_datum_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_fit_says_what_is_missing(make_pair, digits):
    model, _ = make_pair()
    guide = pv.guides.PerDatum(100, z=(8, pv.heads.normal))
    with pytest.raises(ValueError, match=r"guide.*index of each"):
        pv.fit(model, guide, digits[:100], epochs=1)
    with pytest.raises(ValueError, match="from 0 to 99"):
        pv.fit(model, guide, (digits[:101], torch.arange(101)), epochs=1, batch_size=101)
