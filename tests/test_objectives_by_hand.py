"""Objectives on programs of users: guides made by themselves, partial data, odd plates, and mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from objective_programs import DATA
from pyro import poutine
from pyro.infer import RenyiELBO, Trace_ELBO, TraceMeanField_ELBO, autoguide
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn

from pyrovae import objectives as o

Program = Callable[..., Any]


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _run(objective: Any, model: Program, guide: Program, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    """Loss and gradients, from a seed; the store is as it was."""
    with pyro.get_param_store().scope():
        pyro.set_rng_seed(0)
        with torch.no_grad():
            trace = poutine.trace(guide).get_trace(*args, **kwargs)
            poutine.replay(model, trace=trace)(*args, **kwargs)
        if isinstance(objective, o.Objective):
            objective.prepare(model, guide, *args, **kwargs)
        parameters = {name: p.unconstrained() for name, p in pyro.get_param_store().items()}
        for parameter in parameters.values():
            parameter.grad = None
        pyro.set_rng_seed(1)
        loss = objective.loss_and_grads(model, guide, *args, **kwargs)
        return {"loss": torch.tensor(loss), **{n: p.grad.clone() for n, p in parameters.items()}}


def _same(one: Any, other: Any, model: Program, guide: Program, *args: Any, **kwargs: Any) -> None:
    ours, theirs = (_run(each, model, guide, *args, **kwargs) for each in (one, other))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def _renyi(nesting: int = 1, alpha: float = 0.0) -> RenyiELBO:
    return RenyiELBO(alpha, num_particles=3, vectorize_particles=True, max_plate_nesting=nesting)


def _monte_carlo(**options: Any) -> o.ELBO:
    return o.ELBO(kl="monte carlo", **options)


def generate(x, size=6, subsample=None):
    with pyro.plate("data", size, subsample=subsample):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x[:, 0])


def infer(x, size=6, subsample=None):
    weight = pyro.param("weight", torch.ones(4, dtype=x.dtype))
    with pyro.plate("data", size, subsample=subsample):
        pyro.sample("z", dist.Normal(x @ weight, 0.5))


def _scales(x):
    with pyro.plate("data", 6):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        scale = pyro.sample("scale", dist.Gamma(2.0, 2.0))
        pyro.sample("x", dist.Normal(z, scale), obs=x[:, 0])


@pytest.mark.parametrize("kind", [autoguide.AutoNormal, autoguide.AutoDelta])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (_monte_carlo(), Trace_ELBO()),
        (o.IWAE(3), _renyi()),
        (o.Renyi(0.5, 3), _renyi(alpha=0.5)),
        (o.IWAE(3, vectorize_particles=False), RenyiELBO(0.0, num_particles=3)),
    ],
    ids=["ELBO", "IWAE", "Renyi", "IWAE, run by run"],
)
def test_guides_that_make_themselves(kind: Any, ours: o.Objective, theirs: Any) -> None:
    guide = kind(_scales)
    guide(DATA)
    _same(ours.fresh(), theirs, _scales, guide, DATA)


JOINT = [
    autoguide.AutoDiagonalNormal,
    autoguide.AutoMultivariateNormal,
    autoguide.AutoLowRankMultivariateNormal,
    autoguide.AutoIAFNormal,
]


@pytest.mark.parametrize("kind", JOINT)
def test_a_guide_of_all_data_at_once_has_an_elbo_and_no_bound_for_each(kind: Any) -> None:
    guide = kind(_scales)
    guide(DATA)
    _same(_monte_carlo(), Trace_ELBO(), _scales, guide, DATA)
    _same(o.ELBO(), Trace_ELBO(), _scales, guide, DATA)
    with pytest.raises(ValueError, match=r"site '_Auto.*_latent'.*inside the data plate"):
        o.IWAE(3).loss(_scales, guide, DATA)


def test_a_list_of_guides_with_maximum_a_posteriori() -> None:
    guide = autoguide.AutoGuideList(_scales)
    guide.append(autoguide.AutoNormal(poutine.block(_scales, expose=["z"])))
    guide.append(autoguide.AutoDelta(poutine.block(_scales, expose=["scale"])))
    guide(DATA)
    _same(_monte_carlo(), Trace_ELBO(), _scales, guide, DATA)
    _same(o.IWAE(3), _renyi(), _scales, guide, DATA)


def test_a_bayesian_network() -> None:
    class Model(PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = PyroModule[nn.Linear](4, 2)
            self.layer.weight = PyroSample(dist.Normal(0.0, 1.0).expand([2, 4]).to_event(2))

        def forward(self, x: Tensor) -> None:
            mean = self.layer(x)
            with pyro.plate("data", len(x)):
                pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x[:, :2])

    model = Model()
    guide = autoguide.AutoDiagonalNormal(model)
    guide(DATA)
    _same(_monte_carlo(num_particles=2, vectorize_particles=False), Trace_ELBO(2), model, guide, DATA)
    with pytest.raises(ValueError, match=r"num_particles=2.*outermost plate.*vectorize_particles=False"):
        o.ELBO(2).loss(model, guide, DATA)


SEEN = DATA[:, 1] > 0


def _partly_observed(x):
    with pyro.plate("data", 6):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x[:, 0], obs_mask=SEEN)


def _filling_in(x):
    infer_z = pyro.param("weight", torch.ones(4))
    with pyro.plate("data", 6):
        z = pyro.sample("z", dist.Normal(x @ infer_z, 0.5))
        with poutine.mask(mask=~SEEN):
            pyro.sample("x_unobserved", dist.Normal(z * infer_z[0], 1.5))


def test_partly_observed_sites() -> None:
    _same(_monte_carlo(), Trace_ELBO(), _partly_observed, _filling_in, DATA)
    _same(o.ELBO(), TraceMeanField_ELBO(), _partly_observed, _filling_in, DATA)
    _same(o.IWAE(3), _renyi(), _partly_observed, _filling_in, DATA)
    with pytest.raises(ValueError, match=r"site 'x_unobserved'.*not in the guide"):
        o.ELBO().loss(_partly_observed, infer, DATA)


def test_a_plate_that_is_subsampled_scales_the_bound_and_not_the_weights() -> None:
    rows = torch.arange(6)
    whole = _run(o.IWAE(3), generate, infer, DATA)
    part = _run(o.IWAE(3), generate, infer, DATA, size=60, subsample=rows)
    torch.testing.assert_close(part, {name: 10 * value for name, value in whole.items()})
    _same(_monte_carlo(), Trace_ELBO(), generate, infer, DATA, size=60, subsample=rows)

    pyro.set_rng_seed(1)
    z = DATA.sum(-1) + 0.5 * torch.randn(3, 6)
    joint = dist.Normal(0.0, 1.0).log_prob(z) + dist.Normal(z, 1.0).log_prob(DATA[:, 0])
    weights = joint - dist.Normal(DATA.sum(-1), 0.5).log_prob(z)
    bound = weights.logsumexp(0) - math.log(3)
    torch.testing.assert_close(part["loss"], -10 * bound.sum())
    pyro.set_rng_seed(1)
    each = o.IWAE(3, max_plate_nesting=1).per_datum(generate, infer, DATA, size=60, subsample=rows)
    torch.testing.assert_close(each, bound)


@pytest.mark.parametrize("scale", [0.5, torch.tensor(0.5), torch.linspace(0.1, 1.0, 6)], ids=str)
def test_everything_scaled_alike(scale: Any) -> None:
    def around(program: Program) -> Program:
        def run(x: Tensor) -> None:
            with poutine.scale(scale=scale):
                program(x)

        return run

    model, guide = around(generate), around(infer)
    _same(_monte_carlo(), Trace_ELBO(), model, guide, DATA)
    pyro.set_rng_seed(1)
    bound = o.IWAE(3, max_plate_nesting=1).per_datum(generate, infer, DATA)
    expected = -(torch.as_tensor(scale).expand(6) * bound).sum()
    torch.testing.assert_close(_run(o.IWAE(3), model, guide, DATA)["loss"], expected)


def test_data_to_the_left_of_other_plates() -> None:
    def model(x):
        with pyro.plate("data", 6, dim=-2), pyro.plate("columns", 4, dim=-1):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(x):
        weight = pyro.param("weight", torch.ones(4))
        with pyro.plate("columns", 4, dim=-1), pyro.plate("data", 6, dim=-2):
            pyro.sample("z", dist.Normal(x * weight, 1.0))

    _same(_monte_carlo(), Trace_ELBO(), model, guide, DATA)
    _same(o.ELBO(), TraceMeanField_ELBO(), model, guide, DATA)
    pyro.set_rng_seed(1)
    z = DATA + torch.randn(3, 6, 4)
    weights = dist.Normal(0.0, 1.0).log_prob(z) + dist.Normal(z, 1.0).log_prob(DATA)
    weights = (weights - dist.Normal(DATA, 1.0).log_prob(z)).sum(-1)
    pyro.set_rng_seed(1)
    each = o.IWAE(3, max_plate_nesting=2).per_datum(model, guide, DATA)
    torch.testing.assert_close(each, weights.logsumexp(0) - math.log(3))


def test_programs_without_any_plate() -> None:
    def model(x):
        z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))
        mean = z.unsqueeze(-2).expand(*z.shape[:-1], 6, 4)
        pyro.sample("x", dist.Normal(mean, 1.0).to_event(2), obs=x)

    def guide(x):
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.zeros(4)), 1.0).to_event(1))

    _same(_monte_carlo(), Trace_ELBO(), model, guide, DATA)
    _same(o.ELBO(), TraceMeanField_ELBO(), model, guide, DATA)
    _same(o.IWAE(3), _renyi(0), model, guide, DATA)
    assert o.IWAE(3).per_datum(model, guide, DATA).shape == (1,)

    def point(x):
        pyro.sample("z", dist.Delta(pyro.param("loc", torch.ones(4)), event_dim=1))

    for ours in (o.ELBO(), o.ELBO(estimators=o.StickingTheLanding()), o.ELBO(estimators=o.ScoreFunction())):
        _same(ours, Trace_ELBO(), model, point, DATA)


def _two_plates(x, sizes):
    for name, size in zip(("labelled", "unlabelled"), sizes, strict=True):
        with pyro.plate(name, size):
            z = pyro.sample(f"z of {name}", dist.Normal(0.0, 1.0))
            pyro.sample(f"x of {name}", dist.Normal(z, 1.0), obs=x[:size, 0])


def _guide_of_two_plates(x, sizes):
    weight = pyro.param("weight", torch.ones(4))
    for name, size in zip(("labelled", "unlabelled"), sizes, strict=True):
        with pyro.plate(name, size):
            pyro.sample(f"z of {name}", dist.Normal(x[:size] @ weight, 1.0))


@pytest.mark.parametrize("sizes", [(2, 4), (3, 3)])
def test_two_data_plates(sizes: tuple[int, int]) -> None:
    pair = _two_plates, _guide_of_two_plates
    _same(_monte_carlo(), Trace_ELBO(), *pair, DATA, sizes)
    _same(o.ELBO(), TraceMeanField_ELBO(), *pair, DATA, sizes)
    assert _run(o.ELBO(estimators=o.ScoreFunction()), *pair, DATA, sizes)["weight"].isfinite().all()
    for bound in (o.IWAE(3), o.Renyi(0.5, 3, vectorize_particles=False)):
        with pytest.raises(ValueError, match=r"site '[xz] of .*inside the data plate"):
            bound.loss(*pair, DATA, sizes)


def test_a_score_function_sees_all_of_another_plate_of_the_same_dimension() -> None:
    def model(x):
        with pyro.plate("coins", 3):
            y = pyro.sample("y", dist.Bernoulli(0.5))
        with pyro.plate("data", 3):
            pyro.sample("x", dist.Normal(y.sum(-1, keepdim=True), 1.0), obs=x)

    def guide(x):
        logits = pyro.param("logits", torch.zeros(3))
        with pyro.plate("coins", 3):
            pyro.sample("y", dist.Bernoulli(logits=logits))

    x = torch.tensor([1.0, 2.0, 4.0])
    logits = torch.zeros(3, requires_grad=True)
    y = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    log_q = dist.Bernoulli(logits=logits).log_prob(y).sum(-1)
    log_p = dist.Normal(y.sum(-1, keepdim=True), 1.0).log_prob(x).sum(-1) + 3 * math.log(0.5)
    (exact,) = torch.autograd.grad(-(log_q.exp() * (log_p - log_q)).sum(), logits)

    for estimator, particles in ((o.ScoreFunction(), 1), (o.ScoreFunction(o.LeaveOneOut()), 5)):
        objective = o.ELBO(particles, estimators=estimator)
        drawn = []
        for _ in range(225):
            loss = objective.differentiable_loss(model, guide, x)
            drawn.append(*torch.autograd.grad(loss, pyro.param("logits").unconstrained()))
        samples = torch.stack(drawn)
        assert ((samples.mean(0) - exact).abs() < 4 * samples.std(0) / 15).all()


def test_single_precision() -> None:
    x = DATA.float()
    torch.set_default_dtype(torch.float32)
    for ours, theirs in ((_monte_carlo(), Trace_ELBO()), (o.IWAE(3), _renyi())):
        found = [_run(each, generate, infer, x) for each in (ours, theirs)]
        torch.testing.assert_close(*found)
        assert found[0]["weight"].dtype == torch.float32


def test_an_objective_meets_a_last_smaller_batch_and_another_pair() -> None:
    def other(x, width):
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(torch.ones(width)))
            pyro.sample("x", dist.Normal(k.to(x.dtype), 1.0), obs=x[:, 0])

    def other_guide(x, width):
        with pyro.plate("data", len(x)):
            pyro.sample("k", dist.Categorical(torch.ones(width)))

    objective = o.ELBO()
    for x, size in ((DATA, 6), (DATA[:4], 4), (DATA[:1], 1)):
        each = objective.per_datum(generate, infer, x, size)
        assert each.shape == (size,)
    for width in (3, 5):
        fresh = o.ELBO().loss(other, other_guide, DATA, width)
        assert objective.loss(other, other_guide, DATA, width) == pytest.approx(fresh)


def test_an_objective_of_particles_keeps_to_the_plates_that_it_has_met() -> None:
    def deeper(x):
        with pyro.plate("data", 6, dim=-2):
            pyro.sample("z", dist.Normal(x[:, :1], 1.0))

    objective = o.ELBO(3)
    objective.loss(generate, infer, DATA)
    with pytest.raises(ValueError, match=r"max_plate_nesting.*fresh"):
        objective.loss(deeper, deeper, DATA)
    assert objective.fresh().loss(deeper, deeper, DATA) == pytest.approx(0.0, abs=1e-12)


def test_looking_changes_nothing() -> None:
    objective = o.ELBO(beta=o.Linear(0.0, 1.0, steps=10), estimators=o.ScoreFunction(o.DecayingAverage()))
    objective.loss_and_grads(generate, infer, DATA)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    objective.loss(generate, infer, DATA)
    objective.per_datum(generate, infer, DATA)
    objective.explain(generate, infer, DATA)
    with torch.no_grad():
        objective.differentiable_loss(generate, infer, DATA)
    assert before.keys() == objective.state_dict().keys()
    assert all(torch.equal(value, objective.state_dict()[name]) for name, value in before.items())
    objective.loss_and_grads(generate, infer, DATA)
    assert objective.state_dict()["step"] == before["step"] + 1


def _guide_of(name, size=6, event=0):
    def guide(x, *_):
        with pyro.plate("data", size):
            shape = torch.zeros(size, *[2] * event)
            pyro.sample(name, dist.Normal(shape, 1.0).to_event(event))

    return guide


def _without_a_plate(x):
    pyro.sample("z", dist.Normal(torch.zeros(6), 1.0))


MISTAKES = {
    "misspelt": (_guide_of("zz"), "site 'zz'.*in the guide and not in the model"),
    "missing": (lambda x: None, "site 'z'.*in the model and not in the guide"),
    "observed": (_guide_of("x"), "site 'x'.*the model observes"),
    "no plate": (_without_a_plate, "site 'z'.*open a plate"),
    "another size of the plate": (_guide_of("z", size=5), "site '"),
    "another event": (_guide_of("z", event=1), "site "),
}


@pytest.mark.parametrize("objective", [o.ELBO(), o.IWAE(3), o.ReweightedWakeSleep(3), o.CUBO(3)], ids=repr)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_explained(mistake: str, objective: o.Objective) -> None:
    guide, reason = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"(?s){reason}"):
        objective.fresh().loss(generate, guide, DATA)


def test_what_is_not_a_number_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="found invalid values"):
        o.ELBO().loss(generate, infer, DATA * math.nan)

    def model(x):
        generate(x)
        pyro.factor("endless", torch.tensor(math.inf))
        pyro.factor("endlessly less", torch.tensor(-math.inf))

    with pytest.warns(UserWarning, match="Encountered NaN"):
        o.ELBO().loss(model, infer, DATA)
