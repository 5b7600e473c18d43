"""Complaints of predict: each says what was expected, what came and what to do."""

from __future__ import annotations

import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from pairs import (
    RECORD,
    ladder,
    tutorial,
    vae,
)

import pyrovae as pv
from pyrovae import predict


@pytest.fixture
def digits(digits):
    return digits[:24]


def ladder_z(**shapes):
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, _: predict.decode(r, {"w": torch.zeros(3, 2)}), "site 'w'.*latent sites.*z"),
        (lambda r, _: predict.decode(r, {"zz": torch.zeros(3, 2)}), "Did you mean 'z'"),
        (lambda r, _: predict.decode(r, {}), r"none for \['z'\]"),
        (lambda r, _: predict.decode(r, torch.zeros(3, 5)), r"shape \(n, 2\), got \(3, 5\)"),
        (lambda r, _: predict.decode(r, torch.zeros(2)), r"z\[None\]"),
        (lambda r, _: predict.decode(r, torch.zeros(3, 2), site="y"), "site: expected one of .*'x'"),
        (lambda r, _: predict.sample(r, 0), "size: expected a positive"),
        (lambda r, x: predict.posterior_predictive(r, x, num_samples=0), "num_samples"),
        (lambda r, x: predict.reconstruct(r, x, num_samples=-1), "num_samples"),
        (lambda r, x: predict.embed(r, x, batch_size=0), "batch_size"),
        (lambda r, x: predict.encode(r, x[:0]), "n of at least 1"),
        (lambda r, x: predict.encode(r, x * float("nan")), "finite"),
        (lambda r, x: predict.interpolate(r, x[0], x[1], kind="sperical"), "Did you mean 'spherical'"),
        (lambda r, x: predict.interpolate(r, x[0], x[1], steps=1), "steps"),
        (lambda r, x: predict.interpolate(r, x[:2], x[:3]), "as many data as a, 2, got 3"),
        (lambda r, _: predict.manifold(r, extent=(1, 1)), "extent"),
        (lambda r, _: predict.manifold(r, dims=(0, 2)), "dims: expected 2 different dimensions from 0 to 1"),
        (lambda r, x: predict.traverse(r, x[:2]), "one datum, got 2"),
        (lambda r, x: predict.traverse(r, x[0], dims=[5]), "dims"),
        (lambda r, x: predict.traverse(r, x[0], dims=[]), "dims"),
        (lambda r, x: predict.traverse(r, x[0], values=[]), "values"),
        (lambda r, x: predict.traverse(r, x[0], latent="y"), r"latent: expected one of .*\['z'\]"),
    ],
)
def test_complaints(digits, call, message):
    with pytest.raises(ValueError) as caught:
        call(vae(), digits)
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, _: predict.decode(r, torch.zeros(3, 2)), "Pass a mapping"),
        (lambda r, _: predict.decode(r, ladder_z(z1=(3, 3))), r"none for \['z2'\]"),
        (lambda r, _: predict.decode(r, ladder_z(z1=(3, 3), z2=(4, 2))), "for the same 3 data"),
        (lambda r, _: predict.manifold(r), "one latent site, got the latent sites"),
        (lambda r, x: predict.traverse(r, x[0]), "latent='...'"),
    ],
)
def test_complaints_about_several_latents(digits, call, message):
    with pytest.raises(ValueError) as caught:
        call(ladder()[0], digits)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_latent_that_is_no_plane():
    with pytest.raises(ValueError, match="two or more dimensions"):
        predict.manifold(vae(dim=1))
    with pytest.raises(ValueError, match=r"Choose: dims=\(0, 1\)"):
        predict.manifold(vae(dim=3))


def test_a_value_that_is_no_tensor():
    with pytest.raises(TypeError, match=r"z, site 'z'.*got str"):
        predict.decode(vae(), "zero")


def test_a_datum_without_its_batch_dimension(digits):
    run = vae()
    run.config = RECORD
    with pytest.raises(ValueError, match=r"x\[None\]"):
        predict.encode(run, digits[0])


def test_a_model_that_demands_data_says_so_where_their_shape_is_unknown(digits):
    run = tutorial()
    assert predict.reconstruct(run, digits).shape == (24, 64)
    with pytest.raises(ValueError, match=r"model\(x=None, size=None\).*config="):
        predict.sample(run, 3)
    assert predict.sample(tutorial(RECORD), 3).shape == (3, 64)
    assert predict.manifold(tutorial(RECORD), steps=3).images.shape == (3, 3, 64)


def test_a_model_that_observes_nothing():
    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            return pyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"observed sites \[\]"):
        predict.sample(pv.Fit(model, model, config={"data": {"shapes": [[]]}}), 3)
