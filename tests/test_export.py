"""The ArviZ tree: its truths, its names, its files, and ArviZ at work on it."""

from __future__ import annotations

import math

import arviz_base
import arviz_stats
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from matplotlib import pyplot as plt
from pyro.infer.autoguide import AutoDiagonalNormal, AutoNormal
from torch import nn

import pyrovae as pv
from pyrovae.export import GROUPS, to_datatree
from pyrovae.predict import posterior_predictive


@pytest.fixture
def digits(digits):
    return digits[:12]


def vae():
    pyro.set_rng_seed(0)
    model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
    return pv.Fit(model, pv.guides.Amortized(z=(pv.nets.MLP(64, 16, 4), pv.heads.normal)))


class Gaussian(nn.Module):
    """A linear-Gaussian model and its posterior, the exact one or one of another width."""

    def __init__(self, width=1.0, dim=2):
        super().__init__()
        self.width, self.dim = width, dim
        self.weight = nn.Parameter(torch.randn(64, dim) / 8)
        self.precision = torch.eye(dim) + (self.weight.T @ self.weight).detach() / 0.25

    def model(self, x=None, size=None):
        pyro.module("gaussian", self)
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(self.dim), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z @ self.weight.T, 0.5).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("gaussian", self)
        covariance = self.precision.inverse()
        with pyro.plate("data", len(x)):
            loc = x @ self.weight @ covariance / 0.25
            pyro.sample("z", dist.MultivariateNormal(loc, self.width**2 * covariance))

    def evidence(self, x):
        covariance = self.weight @ self.weight.T + 0.25 * torch.eye(64)
        return dist.MultivariateNormal(torch.zeros(64), covariance).log_prob(x).detach()


def test_the_tree_has_its_groups_names_and_sizes(digits):
    tree = to_datatree(vae(), (digits, torch.arange(12)), num_samples=5, seed=3)
    sizes = {group: {k: dict(v.sizes) for k, v in tree[group].data_vars.items()} for group in GROUPS}
    draws = {"chain": 1, "draw": 5, "data": 12}
    assert sizes == {
        "posterior": {"z": {**draws, "z_dim_0": 2}},
        "prior": {"z": {**draws, "z_dim_0": 2}},
        "posterior_predictive": {"x": {**draws, "x_dim_0": 64}},
        "log_likelihood": {"x": draws},
        "sample_stats": {"log_weight": draws},
        "observed_data": {"x": {"data": 12, "x_dim_0": 64}},
        "constant_data": {"y": {"data": 12}},
    }
    assert set(tree.children) == set(GROUPS)
    assert (tree.observed_data["x"].values == digits.numpy()).all()
    assert tree.constant_data["y"].values.tolist() == list(range(12))
    for group in [tree, *(tree[name] for name in GROUPS)]:
        assert group.attrs["inference_library"] == "pyrovae"
        assert group.attrs["inference_library_version"] == pv.__version__
        assert group.attrs["sampling_seed"] == 3


def test_without_labels_there_are_no_constants(digits):
    assert set(to_datatree(vae(), digits, num_samples=2).children) == set(GROUPS) - {"constant_data"}


def test_weights_and_likelihoods_belong_to_the_draws_beside_them(digits):
    run = vae()
    tree = to_datatree(run, digits, num_samples=6)
    z = torch.tensor(tree.posterior["z"].values[0])
    with torch.no_grad():
        log_x = run.model.likelihood(run.model.decoder(z)).log_prob(digits)
        log_weight = log_x + run.model.prior().log_prob(z) - run.guide.posterior("z", digits).log_prob(z)
    np.testing.assert_allclose(tree.log_likelihood["x"].values[0], log_x, rtol=1e-5)
    np.testing.assert_allclose(tree.sample_stats["log_weight"].values[0], log_weight, rtol=1e-4)
    assert np.unique(tree.posterior["z"].values).size == z.numel()
    assert not np.intersect1d(tree.posterior["z"].values, tree.prior["z"].values).size


def test_the_exact_posterior_weighs_every_draw_by_the_evidence(digits):
    torch.manual_seed(0)
    pair = Gaussian()
    tree = to_datatree(pv.Fit(pair.model, pair.guide), digits, num_samples=20)
    expected = np.broadcast_to(pair.evidence(digits), (1, 20, 12))
    np.testing.assert_allclose(tree.sample_stats["log_weight"].values, expected, rtol=1e-4)


def test_the_weights_of_a_wrong_posterior_still_estimate_the_evidence(digits):
    torch.manual_seed(0)
    pair = Gaussian(width=1.2)
    tree = to_datatree(pv.Fit(pair.model, pair.guide), digits, num_samples=200)
    weights = tree.sample_stats["log_weight"].values[0].astype(np.float64)
    ratio = np.exp(weights - pair.evidence(digits).numpy())
    error = ratio.std(0) / math.sqrt(200)
    assert (abs(ratio.mean(0) - 1) < 4 * error).all()
    assert (error < 0.1).all()


def test_predictive_draws_are_those_of_predict_and_never_the_data(digits):
    run = vae()
    drawn = to_datatree(run, digits, num_samples=5, seed=2).posterior_predictive["x"].values[0]
    assert (drawn == posterior_predictive(run, digits, num_samples=5, seed=2).numpy()).all()
    assert not (drawn == digits.numpy()).all(-1).any()


def test_the_prior_group_is_drawn_from_the_prior(digits):
    z = to_datatree(vae(), digits, num_samples=60).prior["z"].values
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * z.size)


def test_the_seed_makes_the_tree(digits):
    run = vae()
    state = torch.get_rng_state()
    first, again, other = (to_datatree(run, digits, num_samples=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for group in ("posterior", "prior", "posterior_predictive", "sample_stats"):
        assert first[group].dataset.equals(again[group].dataset)
        assert not first[group].dataset.equals(other[group].dataset)


def test_groups_can_be_left_out(digits):
    tree = to_datatree(vae(), digits, num_samples=3, groups=["posterior", "sample_stats"])
    assert set(tree.children) == {"posterior", "sample_stats"}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_samples": 0}, "num_samples"), ({"groups": ["posteriors"]}, "Did you mean 'posterior'")],
)
def test_complaints(digits, options, message):
    with pytest.raises(ValueError, match=message):
        to_datatree(vae(), digits, **options)


# Pairs of other kinds.


def nested(x=None, size=None):
    """Plates within plates, a name with a slash, a mask and a factor."""
    weight = torch.linspace(-1, 1, 64)
    with pyro.plate("data", len(x) if x is not None else size, dim=-2):
        z = pyro.sample("scope/z", dist.Normal(torch.zeros(1, 2), 1.0).to_event(1))
        pyro.deterministic("twice", 2 * z)
        pyro.factor("tilt", z.sum(-1))
        with pyro.plate("pixel", 64), pyro.poutine.mask(mask=weight > 0):
            return pyro.sample("x", dist.Bernoulli(logits=z[..., 0] * weight), obs=x)


def nested_guide(x):
    with pyro.plate("data", len(x), dim=-2):
        pyro.sample("scope/z", dist.Normal(x[:, None, :2], 1.0).to_event(1))


def test_dimensions_are_named_by_the_plates(digits):
    tree = to_datatree(pv.Fit(nested, nested_guide), digits, num_samples=4)
    z = tree.posterior["scope.z"]
    assert dict(z.sizes) == {
        "chain": 1,
        "draw": 4,
        "data": 12,
        "scope.z_dim_0": 1,
        "scope.z_dim_1": 2,
    }
    assert tree.posterior_predictive["x"].dims == ("chain", "draw", "data", "pixel")
    assert list(tree.posterior.data_vars) == ["scope.z"]
    assert list(tree.observed_data.data_vars) == ["x"]
    values = torch.tensor(z.values[0, :, :, 0])
    weight = torch.linspace(-1, 1, 64)
    log_x = dist.Bernoulli(logits=values[..., :1] * weight).log_prob(digits)[..., weight > 0].sum(-1)
    assert tree.log_likelihood["x"].dims == ("chain", "draw", "data")
    np.testing.assert_allclose(tree.log_likelihood["x"].values[0], log_x, rtol=1e-4)
    prior, guide = dist.Normal(0.0, 1.0), dist.Normal(digits[:, :2], 1.0)
    expected = log_x + (prior.log_prob(values) + values - guide.log_prob(values)).sum(-1)
    np.testing.assert_allclose(tree.sample_stats["log_weight"].values[0], expected, rtol=1e-4)


def test_training_scales_do_not_touch_the_densities(digits):
    run = vae()
    model, guide = (pyro.poutine.scale(program, scale=0.01) for program in (run.model, run.guide))
    scaled = to_datatree(pv.Fit(model, guide), digits, num_samples=3)
    assert scaled.sample_stats.dataset.equals(to_datatree(run, digits, num_samples=3).sample_stats.dataset)


def test_a_shared_latent_leaves_one_weight_for_all_data(digits):
    def model(x=None, size=None):
        scale = pyro.sample("scale", dist.Gamma(2.0, 2.0))
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            return pyro.sample("x", dist.Normal(z[:, None].repeat(1, 64), scale).to_event(1), obs=x)

    def guide(x):
        pyro.sample("scale", dist.Gamma(20.0, 40.0))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x.mean(-1), 0.1))

    tree = to_datatree(pv.Fit(model, guide), digits, num_samples=4)
    assert tree.posterior["scale"].dims == ("chain", "draw")
    assert tree.posterior["z"].dims == ("chain", "draw", "data")
    scale, z = (torch.tensor(tree.posterior[name].values[0]) for name in ("scale", "z"))
    log_x = dist.Normal(z[..., None], scale[:, None, None]).log_prob(digits).sum(-1)
    np.testing.assert_allclose(tree.log_likelihood["x"].values[0], log_x, rtol=1e-4)
    local = log_x + dist.Normal(0.0, 1.0).log_prob(z) - dist.Normal(digits.mean(-1), 0.1).log_prob(z)
    shared = dist.Gamma(2.0, 2.0).log_prob(scale) - dist.Gamma(20.0, 40.0).log_prob(scale)
    weight = tree.sample_stats["log_weight"]
    assert weight.dims == ("chain", "draw")
    np.testing.assert_allclose(weight.values[0], local.sum(-1) + shared, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "dims"),
    [(AutoNormal, ("chain", "draw", "data")), (AutoDiagonalNormal, ("chain", "draw"))],
)
def test_autoguides_keep_their_auxiliary_sites_to_themselves(digits, make, dims):
    torch.manual_seed(0)
    pair = Gaussian()
    guide = make(pair.model)
    guide(digits)
    tree = to_datatree(pv.Fit(pair.model, guide), digits, num_samples=3)
    assert list(tree.posterior.data_vars) == ["z"]
    weight = tree.sample_stats["log_weight"]
    assert weight.dims == dims
    z = torch.tensor(tree.posterior["z"].values[0])
    log_p = dist.Normal(z @ pair.weight.T, 0.5).log_prob(digits).sum(-1)
    log_p = log_p + dist.Normal(0.0, 1.0).log_prob(z).sum(-1)
    log_q = dist.Normal(guide.median(digits)["z"], 0.1).log_prob(z).sum(-1)
    expected = (log_p - log_q).detach()
    np.testing.assert_allclose(
        weight.values[0], expected if weight.ndim == 3 else expected.sum(-1), rtol=1e-4
    )


def test_an_enumerated_latent_is_its_own_proposal(digits):
    means = torch.tensor([0.2, 0.8])

    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            k = pyro.sample("k", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
            loc = (z + means[k.long()])[:, None].repeat(1, 64)
            return pyro.sample("x", dist.Normal(loc, 1.0).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x.mean(-1), 1.0))

    tree = to_datatree(pv.Fit(model, guide), digits, num_samples=3)
    assert list(tree.posterior.data_vars) == ["z"]
    assert set(tree.prior.data_vars) == {"z", "k"}
    z = torch.tensor(tree.posterior["z"].values[0])
    own = dist.Normal(0.0, 1.0).log_prob(z) - dist.Normal(digits.mean(-1), 1.0).log_prob(z)
    expected = tree.log_likelihood["x"].values[0] + own.numpy()
    np.testing.assert_allclose(tree.sample_stats["log_weight"].values[0], expected, rtol=1e-4)


def test_a_model_that_demands_data_and_two_observed_sites(digits):
    def model(x, y):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("label", dist.Categorical(logits=torch.zeros(10)), obs=y)
            pyro.sample("pixels", dist.Normal(z[:, None].repeat(1, 64), 1.0).to_event(1), obs=x)

    def guide(x, _):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x.mean(-1), 1.0))

    labels = torch.arange(12) % 10
    tree = to_datatree(pv.Fit(model, guide), (digits, labels), num_samples=3)
    assert set(tree.observed_data.data_vars) == {"label", "pixels"}
    assert set(tree.log_likelihood.data_vars) == {"label", "pixels"}
    assert (tree.observed_data["label"].values == labels.numpy()).all()
    assert not (tree.posterior_predictive["label"].values == labels.numpy()).all()


def test_half_precision_is_widened():
    pair = Gaussian().bfloat16()

    def model(x=None, size=None):
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(torch.zeros(2, dtype=torch.bfloat16), 1.0).to_event(1))
            return pyro.sample("x", dist.Normal(z @ pair.weight.T, 0.5).to_event(1), obs=x)

    def guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x @ pair.weight, 1.0).to_event(1))

    tree = to_datatree(pv.Fit(model, guide), torch.ones(3, 64), num_samples=2)
    assert tree.posterior["z"].dtype == tree.posterior_predictive["x"].dtype == np.float32


# Files, and ArviZ itself.


@pytest.mark.parametrize("engine", ["h5netcdf", "zarr"])
def test_files_are_read_back_equal(digits, tmp_path, engine):
    tree = to_datatree(vae(), (digits, torch.arange(12)), num_samples=5)
    if engine == "zarr":
        tree.to_zarr(tmp_path / "tree.zarr", consolidated=False)
        back = xr.open_datatree(tmp_path / "tree.zarr", engine="zarr", consolidated=False)
    else:
        tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
        back = xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf")
    with back:
        assert back.identical(tree)
    assert not to_datatree(vae(), digits, num_samples=5, seed=1).identical(tree)


def test_arviz_statistics(digits):
    tree = to_datatree(vae(), digits, num_samples=50)
    summary = arviz_stats.summary(tree, kind="stats", round_to="none")
    z = tree.posterior["z"].values[0]
    np.testing.assert_allclose(summary["mean"].to_numpy(), z.mean(0).ravel(), rtol=1e-4, atol=1e-6)
    assert arviz_stats.hdi(tree)["z"].sizes["data"] == 12
    # Draws of a guide are independent: their effective number is about their number.
    assert 20 < float(arviz_stats.ess(tree)["z"].mean()) < 80
    assert arviz_base.extract(tree)["sample"].size == 50


def test_pareto_k_takes_the_negated_weights(digits):
    # q narrower than p by half leaves ratios with a Pareto tail of shape 1 - 1/4; a wider one bounded ratios.
    found = {}
    for width in (0.5, 1.5):
        torch.manual_seed(0)
        pair = Gaussian(width=width, dim=1)
        run = pv.Fit(pair.model, pair.guide)
        weights = to_datatree(run, digits, num_samples=300, groups=["sample_stats"]).sample_stats
        found[width] = (-weights["log_weight"]).azstats.psislw(dim=["chain", "draw"])[1]
    assert found[0.5].dims == ("data",)
    assert abs(float(found[0.5].mean()) - 0.75) < 0.2
    assert float(found[1.5].max()) < 0.2


@pytest.mark.parametrize("plot", ["plot_forest", "plot_dist", "plot_prior_posterior", "plot_ppc_tstat"])
def test_arviz_plots(digits, plot):
    import arviz_plots

    plt.switch_backend("agg")
    pair = Gaussian()
    x = digits + 0.1 * torch.randn_like(digits)
    tree = to_datatree(pv.Fit(pair.model, pair.guide), x, num_samples=50)
    options = {} if "ppc" in plot else {"var_names": ["z"], "coords": {"data": [0, 3]}}
    try:
        drawn = getattr(arviz_plots, plot)(tree, backend="matplotlib", **options)
        assert drawn.viz["figure"].item().axes
    finally:
        plt.close("all")
