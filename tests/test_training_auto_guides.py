"""AutoGuides with a latent of each datum: trained on all data at once, and refused by batches."""

from __future__ import annotations

import functools

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal

import pyrovae as pv


def model(x=None, size=None):
    with pyro.plate("data", len(x) if x is not None else size):
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        return pyro.sample("x", dist.Normal(z, 0.5).to_event(1), obs=x)


def rows_of(rate):
    return functools.partial(torch.optim.Adam, lr=rate, betas=(0.9, 0.9))


@pytest.fixture
def x():
    pyro.set_rng_seed(0)
    return 2 * torch.randn(40, 2)


def test_each_row_is_that_of_its_datum(x):
    guide = AutoNormal(model)
    run = pv.fit(model, guide, x, batch_size=len(x), epochs=800, optim=rows_of(0.02))
    with run.evaluating():
        loc = guide.median(x)["z"]
    assert (loc - x / (1 + 0.25)).abs().max() < 0.4
    assert (loc - x.flip(0) / (1 + 0.25)).abs().max() > 2


@pytest.mark.parametrize("size", [20, 32])
def test_rows_that_would_meet_other_data_are_refused(x, size):
    with pytest.raises(ValueError, match=r"AutoNormal, site 'z'.*2 batches.*batch_size=len\(x\)"):
        pv.fit(model, AutoNormal(model), x, batch_size=size, epochs=1)


def test_a_loader_whose_order_nobody_knows_is_refused(x):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=len(x))
    with pytest.raises(ValueError, match=r"AutoNormal, site 'z'.*a loader of its own order.*Pass tensors"):
        pv.fit(model, AutoNormal(model), loader, epochs=1)


def test_a_latent_that_all_data_share_may_be_trained_by_batches(x):
    def shared(x=None, size=None):
        loc = pyro.sample("loc", dist.Normal(torch.zeros(2), 5.0).to_event(1))
        with pyro.plate("data", len(x) if x is not None else size):
            return pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x)

    run = pv.fit(shared, AutoNormal(shared), x, batch_size=20, epochs=2, compile=False)
    assert len(run.history) == 2
