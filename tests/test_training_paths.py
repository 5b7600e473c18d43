"""A guide without pathwise draws is never trained by its KL alone."""

from __future__ import annotations

import pytest
from pyro.infer import TraceMeanField_ELBO

import pyrovae as pv


def pair():
    model = pv.models.VAE(pv.priors.OneHot(6), pv.nets.MLP(6, 64), pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(pv.nets.MLP(64, 32, 6), pv.heads.OneHot()))


def test_the_mean_field_bound_is_refused_where_it_would_teach_nothing(digits):
    with pytest.raises(ValueError, match=r"guide, site 'z'.*TraceMeanField_ELBO.*objectives\.ELBO"):
        pv.fit(*pair(), digits[:100], loss=TraceMeanField_ELBO(), epochs=1)


def test_our_bound_teaches_it(digits):
    run = pv.fit(*pair(), digits[:400], loss=pv.objectives.ELBO(5), epochs=30, batch_size=40, compile=False)
    assert pv.evaluate.elbo(run, digits[:400]).kl["z"].mean() > 0.3
