"""The bounds are ordered as theory says, against known evidence; what bounds nothing is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import objective_rows as table
import pyro
import pyro.distributions as dist
import pytest
import torch
from objective_rows import ALL, ENUMERABLE, FINITE, LIMIT, TRUTHS, Bound
from pyro import poutine
from torch import Tensor

from pyrovae import objectives as o

KNOWN = ["ppca", "discrete"]


def _drawn(name: str, objective: o.Objective, *, calls: int = 20, repeats: int = 100) -> Tensor:
    """Estimates of the bound of each datum, ``(calls * repeats, n)``."""
    truth = TRUTHS[name]
    model, guide, _ = truth.make()
    x = truth.data.repeat(repeats, 1)
    with pyro.get_param_store().scope():
        rows = [objective.per_datum(model, guide, x).reshape(repeats, -1) for _ in range(calls)]
    return torch.cat(rows)


def _mean(name: str, objective: o.Objective, **size: int) -> tuple[Tensor, Tensor]:
    """The mean of a bound and its standard error, ``(n,)`` each."""
    rows = _drawn(name, objective, **size)
    return rows.mean(0), rows.std(0) / len(rows) ** 0.5


def _exact(name: str) -> tuple[Tensor, Tensor]:
    """ELBO and evidence."""
    truth = TRUTHS[name]
    parameters = truth.make().parameters
    with torch.no_grad():
        return truth.exact_elbo(parameters, truth.data), truth.exact_evidence(parameters, truth.data)


def _ascend(*bounds: tuple[Tensor, Tensor]) -> None:
    """Each is above the one before, by more than chance would have it."""
    for (low, low_error), (high, high_error) in itertools.pairwise(bounds):
        assert (high - low > 2 * (low_error.square() + high_error.square()).sqrt()).all(), (low, high)


def _known(value: Tensor) -> tuple[Tensor, Tensor]:
    return value, torch.zeros_like(value)


@pytest.mark.parametrize("name", KNOWN)
def test_bounds_are_ordered(name: str) -> None:
    elbo, evidence = _exact(name)
    of_elbo, five, fifty = (
        _mean(name, objective, calls=40) for objective in (o.ELBO(5), o.IWAE(5), o.IWAE(50))
    )

    assert ((of_elbo[0] - elbo).abs() < LIMIT * of_elbo[1]).all()
    _ascend(of_elbo, five, _known(evidence))
    _ascend(five, fifty)
    assert (fifty[0] < evidence + 2 * fifty[1]).all()
    upper = _mean(name, o.CUBO(20_000), calls=8, repeats=1)
    _ascend(_known(evidence), upper)


@pytest.mark.parametrize("name", KNOWN)
def test_cubo_is_tighter_in_a_lower_order(name: str) -> None:
    _, evidence = _exact(name)
    first, second, third = (
        _mean(name, o.CUBO(20_000, order=order), calls=8, repeats=1) for order in (1.0, 1.3, 2.0)
    )
    assert ((first[0] - evidence).abs() < 0.01).all(), "of order 1 it is the evidence"
    _ascend(first, second, third)


@pytest.mark.parametrize("name", KNOWN)
def test_renyi_falls_in_alpha(name: str) -> None:
    elbo, evidence = _exact(name)
    alphas = (2.0, 1.0, 0.5, 0.0)
    bounds = [_mean(name, o.Renyi(alpha, 200), repeats=50) for alpha in alphas]
    _ascend(*bounds)
    assert ((bounds[1][0] - elbo).abs() < LIMIT * bounds[1][1]).all(), "alpha 1 is the ELBO"
    assert ((bounds[3][0] - evidence).abs() < 0.05).all(), "alpha 0 is IWAE"
    _ascend(_known(evidence), _mean(name, o.Renyi(-0.5, 20_000), calls=8, repeats=1))


@pytest.mark.parametrize("name", KNOWN)
def test_ciwae_lies_between_elbo_and_iwae(name: str) -> None:
    low, middle, high = (_mean(name, o.CIWAE(beta, 8), calls=40) for beta in (1.0, 0.4, 0.0))
    _ascend(low, middle, high)
    mixed = 0.4 * low[0] + 0.6 * high[0]
    assert ((middle[0] - mixed).abs() < LIMIT * (low[1] + high[1])).all()
    elbo, _ = _exact(name)
    assert ((low[0] - elbo).abs() < LIMIT * low[1]).all()


@pytest.mark.parametrize("name", KNOWN)
def test_groups_make_looser_and_steadier_bounds(name: str) -> None:
    """MIWAE is IWAE of a group, with less noise; PIWAE reports IWAE of all particles."""
    of_group, grouped, of_all, reported = (
        _drawn(name, objective, calls=40)
        for objective in (o.IWAE(4), o.MIWAE(6, 4), o.IWAE(24), o.PIWAE(6, 4))
    )

    def error(rows: Tensor) -> Tensor:
        return rows.std(0) / len(rows) ** 0.5

    assert ((grouped.mean(0) - of_group.mean(0)).abs() < LIMIT * error(of_group)).all()
    assert (grouped.var(0) < 0.3 * of_group.var(0)).all()
    assert ((reported.mean(0) - of_all.mean(0)).abs() < LIMIT * (error(of_all) + error(reported))).all()
    _ascend((grouped.mean(0), error(grouped)), (reported.mean(0), error(reported)))


@pytest.mark.parametrize("name", FINITE)
def test_estimates_have_the_mean_that_enumeration_gives(name: str) -> None:
    truth = TRUTHS[name]
    parameters = truth.make().parameters
    for objective, bound in (
        (o.IWAE(3), Bound(3)),
        (o.CIWAE(0.3, 3), Bound(3, beta=0.3)),
        (o.MIWAE(2, 2), Bound(2)),
        (o.PIWAE(1, 3), Bound(3)),
        (o.Renyi(0.5, 3), Bound(3, power=0.5)),
        (o.Renyi(-1.0, 3), Bound(3, power=2.0)),
        (o.CUBO(3), Bound(3, power=2.0)),
        (o.ReweightedWakeSleep(2), Bound(2)),
        (o.ELBO(2, estimators=o.ScoreFunction()), table.ELBO),
    ):
        with torch.no_grad():
            exact = truth.exact_bound(parameters, truth.data, bound.particles, bound)
        mean, error = _mean(name, objective, calls=4, repeats=500)
        assert ((mean - exact).abs() < LIMIT * error).all(), objective


@pytest.mark.parametrize("name", ENUMERABLE)
def test_an_enumerated_elbo_is_exact(name: str) -> None:
    elbo, _ = _exact(name)
    (row,) = _drawn(name, o.ELBO(), calls=1, repeats=1)
    torch.testing.assert_close(row, elbo, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_loss_is_minus_the_sum_of_the_bounds(name: str) -> None:
    truth = TRUTHS[name]
    for objective in (o.ELBO(3), o.IWAE(3), o.CUBO(3)):
        sign = 1 if isinstance(objective, o.CUBO) else -1
        model, guide, _ = truth.make()
        with pyro.get_param_store().scope():
            objective.prepare(model, guide, truth.data)
            pyro.set_rng_seed(1)
            rows = objective.per_datum(model, guide, truth.data)
            pyro.set_rng_seed(1)
            loss = objective.loss(model, guide, truth.data)
            pyro.set_rng_seed(1)
            learning = objective.differentiable_loss(model, guide, truth.data)
        assert loss == pytest.approx(sign * rows.sum().item(), rel=1e-12)
        assert learning.item() == pytest.approx(loss, rel=1e-12)


# What bounds nothing, or can't be.


def _model(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        y = pyro.sample("y", dist.Bernoulli(0.5))
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z + y.unsqueeze(-1), 1.0).to_event(1), obs=x)


def _guide(x: Tensor) -> None:
    scale = pyro.param("scale", torch.ones(2))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Bernoulli(torch.sigmoid(x.sum(-1))))
        pyro.sample("z", dist.Normal(x / 2, scale).to_event(1))


def _scaled(program: Callable[[Tensor], None], sites: str, by: float = 0.5) -> Callable[[Tensor], None]:
    """A program with one latent site scaled, as a user would weigh a KL term by hand."""

    class Scaling(poutine.messenger.Messenger):  # type: ignore[misc]
        def _pyro_sample(self, msg: Any) -> None:
            if msg["name"] in sites.split():
                msg["scale"] = msg["scale"] * by

    def run(x: Tensor) -> None:
        with Scaling():
            program(x)

    return run


def _shared_model(x: Tensor) -> None:
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal((w * z).unsqueeze(-1) * torch.ones(2), 1.0).to_event(1), obs=x)


def _shared_guide(x: Tensor) -> None:
    pyro.sample("w", dist.Normal(pyro.param("w_loc", torch.zeros(())), 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(x.sum(-1), 1.0))


PLAIN = (_model, _guide)
SHARED = (_shared_model, _shared_guide)
BETA = (_scaled(_model, "y z"), _scaled(_guide, "y z"))
PAIRS_REFUSED = {
    "a latent that all data share, IWAE": (SHARED, lambda: o.IWAE(3), "'w'.*share"),
    "a latent that all data share, VIMCO": (
        SHARED,
        lambda: o.IWAE(3, estimators=o.ScoreFunction(o.LeaveOneOut())),
        "'w'.*share",
    ),
    "a latent that all data share, CUBO": (SHARED, lambda: o.CUBO(3), "'w'.*share"),
    "beta, IWAE": (BETA, lambda: o.IWAE(3), "site '[yzx]'.*same scale.*IWAE.*ELBO.beta"),
    "beta, Renyi": (BETA, lambda: o.Renyi(0.5, 3), "site '[yzx]'.*same scale.*Renyi.*ELBO.beta"),
    "beta, wake-sleep": (BETA, lambda: o.ReweightedWakeSleep(3), "site '[yzx]'.*same scale"),
    "beta on the model's side alone": (
        (_scaled(_model, "z"), _guide),
        lambda: o.ELBO(),
        "site 'z'.*the same poutine.scale in model and guide.*0.5 in the model, 1.0 in the guide",
    ),
    "beta on the guide's side alone": (
        (_model, _scaled(_guide, "y")),
        lambda: o.ELBO(),
        "site 'y'.*1.0 in the model, 0.5 in the guide",
    ),
    "enumeration in IWAE": (
        PLAIN,
        lambda: o.IWAE(3, estimators={"y": o.Enumerate()}),
        "site 'y', Enumerate.*goes with IWAE.*no exact expectation",
    ),
    "others of one particle": (
        PLAIN,
        lambda: o.ELBO(estimators={"y": o.ScoreFunction(o.LeaveOneOut())}),
        "site 'y', LeaveOneOut.*num_particles=1: it needs num_particles=2",
    ),
    "a name that isn't there": (
        PLAIN,
        lambda: o.ELBO(estimators={"zz": o.Pathwise()}),
        r"estimators\['zz'\].*latent site of the guide.*'z'",
    ),
    "a path through a Bernoulli": (
        PLAIN,
        lambda: o.ELBO(estimators={"y": o.Pathwise()}),
        "site 'y', Pathwise.*rsample.*Bernoulli",
    ),
    "straight through a normal": (
        PLAIN,
        lambda: o.ELBO(estimators={"z": o.StraightThrough()}),
        "site 'z', StraightThrough.*0/1 or one-hot.*Normal",
    ),
    "enumeration of a normal": (
        PLAIN,
        lambda: o.ELBO(estimators={"z": o.Enumerate()}),
        "site 'z', Enumerate.*finite support.*Normal",
    ),
    "one path for two bounds": (
        PLAIN,
        lambda: o.PIWAE(2, 2, estimators={"z": o.Pathwise()}),
        "site 'z', Pathwise.*PIWAE.*model and guide by different bounds",
    ),
    "a path through CUBO": (
        PLAIN,
        lambda: o.CUBO(2, estimators={"z": o.Pathwise()}),
        "site 'z', Pathwise.*CUBO",
    ),
}


@pytest.mark.parametrize("label", PAIRS_REFUSED)
def test_a_pair_is_refused_by_the_name_of_the_site(label: str) -> None:
    (model, guide), make, message = PAIRS_REFUSED[label]
    for ask in ("loss", "loss_and_grads", "per_datum", "explain"):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            getattr(make(), ask)(model, guide, torch.ones(3, 2))


def test_an_enumerated_vector_is_refused() -> None:
    truth = TRUTHS["bernoulli"]
    with pytest.raises(ValueError, match=r"site 'z', Enumerate.*rather than a vector.*combinations"):
        o.ELBO(estimators=o.Enumerate()).loss(*truth.make()[:2], truth.data)


def test_what_is_scaled_alike_is_a_bound_still() -> None:
    """A plate that is subsampled, or everything twice, is no weight of the KL term."""
    for objective in (o.IWAE(3), o.ELBO(3)):
        pyro.set_rng_seed(0)
        plain = objective.loss(_model, _guide, torch.ones(3, 2))
        pyro.set_rng_seed(0)
        twice = objective.loss(*(poutine.scale(p, scale=2.0) for p in PLAIN), torch.ones(3, 2))
        assert twice == pytest.approx(2 * plain, rel=0.5)


def test_latents_that_all_data_share_have_an_elbo_but_no_bound_for_each() -> None:
    assert math.isfinite(o.ELBO(3).loss(*SHARED, torch.ones(3, 2)))
    with pytest.raises(ValueError, match=r"site 'w'.*inside the data plate"):
        o.ELBO(3).per_datum(*SHARED, torch.ones(3, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: o.ELBO(0), "ELBO, num_particles.*at least 1.*0"),
        (lambda: o.IWAE(0), "IWAE, num_particles.*at least 1.*0"),
        (lambda: o.IWAE(2.5), "IWAE, num_particles.*whole number.*2.5"),
        (lambda: o.MIWAE(0, 3), "MIWAE, num_groups"),
        (lambda: o.PIWAE(3, 0), "PIWAE, group_size"),
        (lambda: o.ELBO(beta=-1.0), "beta.*0 or more.*-1.0"),
        (lambda: o.ELBO(beta=math.nan), "beta.*0 or more.*nan"),
        (lambda: o.ELBO(beta=math.inf), "beta.*inf"),
        (lambda: o.ELBO(kl="exact"), "kl.*'auto' or 'closed' or 'monte carlo' or 'entropy'.*'exact'"),
        (lambda: o.Renyi(math.nan), "Renyi, alpha.*finite.*nan"),
        (lambda: o.Renyi(math.inf), "Renyi, alpha.*finite.*inf"),
        (lambda: o.CUBO(order=0.5), "CUBO, order.*at least 1.*0.5"),
        (lambda: o.CUBO(order=math.nan), "CUBO, order.*nan"),
        (lambda: o.CIWAE(1.5), r"CIWAE, beta.*\[0, 1\].*1.5"),
        (lambda: o.CIWAE(math.nan), "CIWAE, beta.*nan"),
        (lambda: o.ReweightedWakeSleep(sleep=-0.1), "sleep.*share.*-0.1"),
        (lambda: o.ReweightedWakeSleep(estimators=o.Pathwise()), "estimators.*an update of its own"),
        (lambda: o.DecayingAverage(1.0), "DecayingAverage.*decay.*1.0"),
        (lambda: o.Concrete(0.0), "temperature.*positive.*0.0"),
        (lambda: o.GumbelSoftmax(-1.0), "temperature.*positive.*-1.0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: o.ELBO(estimators="score"), "estimators.*'score'"),
        (lambda: o.ELBO(estimators={"z": 3}), r"estimators\['z'\].*3"),
        (lambda: o.ScoreFunction(0.9), "ScoreFunction.*baselines.*0.9"),
        (lambda: o.NeuralBaseline(3), "NeuralBaseline.*a network.*3"),
    ],
)
def test_things_that_are_none_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()
