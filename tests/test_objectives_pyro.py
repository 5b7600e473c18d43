"""Our objectives give Pyro's own numbers where Pyro's are right: losses, gradients and the random stream."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import engine_pairs
import engine_pairs_handlers
import engine_pairs_latents
import engine_pairs_modules
import engine_pairs_networks
import engine_pairs_plates
import engine_pairs_refused
import objective_programs
import pyro
import pytest
import torch
from objective_programs import DATA, PROGRAMS
from pyro import poutine
from pyro.infer import (
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceMeanField_ELBO,
)
from torch import Tensor

from pyrovae import objectives as o
from pyrovae.objectives._read import sites_of

# Pyro's own remarks on programs that are as they are on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was not registered in the param store because requires_grad=False"),
    pytest.mark.filterwarnings("ignore:TraceEnum_ELBO found no sample sites configured for enumeration"),
    pytest.mark.filterwarnings("ignore:(?s).*If you want to enumerate sites, you need to use TraceEnum_ELBO"),
    pytest.mark.filterwarnings("ignore:Found vars in model but not guide"),
]

TABLE = (
    engine_pairs_latents,
    engine_pairs_plates,
    engine_pairs_handlers,
    engine_pairs_modules,
    engine_pairs_networks,
    engine_pairs_refused,
)
"""Importing them fills in the rows."""

TOLERANCE = 1e-10

Maker = Callable[[Any, int], Any]
"""Makes an objective for a guide that has left this trace, with so many plates inside each other."""


class Numbers(NamedTuple):
    """What one call comes to."""

    loss: float
    gradients: dict[str, Tensor]
    stream: Tensor


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def batches(digits: Tensor) -> Tensor:
    """Four batches of six digits, of which only the fourth row of pixels."""
    return digits[:24].double().unflatten(-1, (8, engine_pairs.PIXELS))[:, 3].unflatten(0, (4, 6))


FAMILIES = {name.rsplit(": ", 1)[0]: row for name, row in engine_pairs.ROWS.items()}
"""A row of each family."""

STATEFUL = {"a buffer replaced in forward", "a count kept in forward"}
"""Each run changes the next, in ways that nobody can take back; an objective has a look at the pair first."""
ONE_SIDED = {
    "a number that changes outside",
    "a dictionary that changes outside, a number",
    "a dictionary that changes outside, a list in it",
}
"""Scaled on one side only, which is no bound."""
MESSENGERS = {"AutoNormalMessenger", "AutoHierarchicalNormalMessenger", "AutoRegressiveMessenger"}
SUMMED_OUT = {
    "mixture enumerated in the model",
    "mixture with global latents",
    "hidden Markov model",
    "hidden Markov model of order 2",
    "enumeration inside two plates",
}
"""Finite sites that only the model has: Trace_ELBO samples them from the prior, which is another bound."""
FLAT = {
    "reparameterised",
    "a bayesian network",
    "autoguide with an enumerated site",
    "a sequence with a gru guide",
    "mixture with global latents",
}
"""Their networks and indices take no dimension for particles."""
COMMON = set(FAMILIES) - STATEFUL - ONE_SIDED - MESSENGERS


def _ordinary(fn: Any) -> o.Estimator:
    return o.Pathwise() if fn.has_rsample else o.ScoreFunction()


def _as_pyro(trace: Any, enumerates: bool) -> dict[str, o.Estimator]:
    """The estimators that Pyro would take."""
    return {
        name: o.Enumerate()
        if enumerates and site["infer"].get("enumerate") == "parallel"
        else _ordinary(site["fn"])
        for name, site in sites_of(trace).items()
        if not site["is_observed"]
    }


def _ours(kind: Any, *numbers: float, enumerates: bool = False, **options: Any) -> Maker:
    return lambda trace, nesting: kind(*numbers, estimators=_as_pyro(trace, enumerates), **options)


def _plain(kind: Any, *numbers: float, **options: Any) -> Maker:
    return lambda trace, nesting: kind(*numbers, **options)


def _theirs(kind: Any, **options: Any) -> Maker:
    return lambda trace, nesting: kind(max_plate_nesting=nesting, **options)


MONTE_CARLO = functools.partial(_ours, o.ELBO, kl="monte carlo")
THREE = {"num_particles": 3, "vectorize_particles": True}


def _numbers(make_pair: Callable[[], Any], maker: Maker, x: Tensor, nesting: int) -> Numbers:
    """Loss and gradients from a seed; the pair's parameters are there before."""
    with pyro.get_param_store().scope():
        pyro.set_rng_seed(0)
        pair = make_pair()
        args, kwargs = pair.call(x, 0)
        with torch.no_grad():
            trace = poutine.trace(pair.guide).get_trace(*args, **kwargs)
            poutine.trace(poutine.replay(pair.model, trace=trace)).get_trace(*args, **kwargs)
        objective = maker(trace, nesting)
        if isinstance(objective, o.Objective):
            objective.prepare(pair.model, pair.guide, *args, **kwargs)
        parameters = {name: p.unconstrained() for name, p in pyro.get_param_store().items()}
        for parameter in parameters.values():
            parameter.grad = None
        pyro.set_rng_seed(1)
        loss = objective.loss_and_grads(pair.model, pair.guide, *args, **kwargs)
        named = {
            **parameters,
            **{f"watched {i}": p for i, p in enumerate(pair.watched) if isinstance(p, Tensor)},
        }
        gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named.items()}
        return Numbers(loss[0] if isinstance(loss, tuple) else loss, gradients, torch.get_rng_state())


def _assert_equal(ours: Numbers, theirs: Numbers, *, gradients: bool = True) -> None:
    assert ours.loss == pytest.approx(float(theirs.loss), rel=TOLERANCE, abs=TOLERANCE)
    assert torch.equal(ours.stream, theirs.stream), "the random stream is consumed otherwise"
    if not gradients:
        return
    assert ours.gradients.keys() == theirs.gradients.keys()
    largest = max((g.abs().max().item() for g in theirs.gradients.values()), default=0.0)
    for name, gradient in theirs.gradients.items():
        gap = (ours.gradients[name] - gradient).abs().max().item()
        assert gap <= TOLERANCE * max(largest, 1e-3), f"{name}: off by {gap}"


def _is_reparameterized(make_pair: Callable[[], Any], x: Tensor) -> bool:
    with pyro.get_param_store().scope():
        pyro.set_rng_seed(0)
        pair = make_pair()
        args, kwargs = pair.call(x, 0)
        sites = sites_of(poutine.trace(pair.guide).get_trace(*args, **kwargs)).values()
    return all(site["fn"].has_rsample for site in sites if not site["is_observed"])


def _compare(name: str, ours: Maker, theirs: Maker, x: Tensor, *, scores: bool = False) -> None:
    """Compares a family; gradients by score function only where ``scores`` says that they are alike."""
    row = FAMILIES[name]
    numbers = [_numbers(row.make, maker, x, row.nesting) for maker in (ours, theirs)]
    _assert_equal(numbers[0], numbers[1], gradients=scores or _is_reparameterized(row.make, x))


TRACE = {
    "1": (MONTE_CARLO(), _theirs(Trace_ELBO)),
    "2, run by run": (MONTE_CARLO(2, vectorize_particles=False), _theirs(Trace_ELBO, num_particles=2)),
    "3": (MONTE_CARLO(3), _theirs(Trace_ELBO, **THREE)),
}


SAMPLED = sorted(COMMON - SUMMED_OUT)
ROWS = [
    *((name, "1") for name in SAMPLED),
    *((name, "2, run by run") for name in SAMPLED[::4]),
    *((name, "2, run by run" if name in FLAT else "3") for name in SAMPLED),
]


@pytest.mark.parametrize(("name", "particles"), dict.fromkeys(ROWS))
def test_trace_elbo(name: str, particles: str, batches: Tensor) -> None:
    _compare(name, *TRACE[particles], batches[0])


POINTS = {
    "AutoNormal",
    "AutoDiagonalNormal",
    "AutoMultivariateNormal",
    "AutoLowRankMultivariateNormal",
    "AutoIAFNormal",
    "AutoLaplaceApproximation",
    "AutoGuideList",
    "AutoStructured",
    "AutoGaussian",
    "reparameterised",
}
"""They end in a point with a density of its own, which TraceMeanField_ELBO leaves out of the KL term."""


@pytest.mark.parametrize("name", sorted(COMMON - SUMMED_OUT - POINTS))
def test_mean_field_elbo(name: str, batches: Tensor) -> None:
    row = FAMILIES[name]
    if not _is_reparameterized(row.make, batches[0]):
        pytest.skip("TraceMeanField_ELBO takes reparameterized guides only")
    _compare(name, _plain(o.ELBO), _theirs(TraceMeanField_ELBO), batches[0])


@pytest.mark.parametrize("name", sorted(COMMON - {"sequential enumeration"}))
def test_enumerating_elbo(name: str, batches: Tensor) -> None:
    """Its gradients by score function have the same costs as ours."""
    _compare(name, MONTE_CARLO(enumerates=True), _theirs(TraceEnum_ELBO), batches[0], scores=True)


SHARED = {
    "mask by a boolean",
    "a pyro module",
    "a bayesian network",
    "reparameterised",
    "autoguide with an enumerated site",
    "subsampled plate and a global",
    "a plate of the whole data set",
    "plates around globals",
    "mixture with global latents",
    "sequential enumeration",
    "sequential plates",
    "two plates and a mask",
    *(name for name in FAMILIES if name.startswith("Auto") and name not in MESSENGERS),
}
"""Latents that the data share, or data without a plate around them: there is no bound for each datum."""
SCALED = {
    "scale by a float",
    "scale by a tensor",
    "scale inside by a scalar tensor",
    "a parameter per datum",
    "enumeration under masks and scales",
}
"""Ours scales the bound of each datum; Pyro's the weights inside the logarithm."""
SEVERAL = COMMON - SHARED - SCALED - SUMMED_OUT
MANY = {
    "IWAE": (_plain(o.IWAE, 3), _theirs(RenyiELBO, alpha=0.0, **THREE)),
    "Renyi": (_plain(o.Renyi, 0.5, 3), _theirs(RenyiELBO, alpha=0.5, **THREE)),
    "Renyi, run by run": (
        _plain(o.Renyi, -1.0, 3, vectorize_particles=False),
        _theirs(RenyiELBO, alpha=-1.0, num_particles=3),
    ),
}


@pytest.mark.parametrize("bound", MANY)
@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_bounds_of_several_particles(name: str, bound: str, batches: Tensor) -> None:
    if name in FLAT and "run by run" not in bound:
        pytest.skip("its networks take no dimension for particles")
    _compare(name, *MANY[bound], batches[0])


OF_ONE_DATUM = (
    "normal vae",
    "gamma",
    "dirichlet",
    "full normal",
    "low-rank normal",
    "poisson",
    "negative binomial",
    "bernoulli by score function",
    "one hot by score function",
    "category as an index",
    "relaxed bernoulli",
    "continuous and discrete sites",
    "m2 by score function",
    "flow, inverse autoregressive",
    "flow, conditional coupling",
    "flow, splines",
    "one network on both sides",
    "factors and deterministic sites",
)
"""Pyro's wake-sleep weighs whole batches; of a single datum it is ours."""


@pytest.mark.parametrize("name", OF_ONE_DATUM)
def test_wake_sleep_of_a_single_datum(name: str, batches: Tensor) -> None:
    theirs = _theirs(ReweightedWakeSleep, **THREE)
    _compare(name, _plain(o.ReweightedWakeSleep, 3), theirs, batches[0, :1], scores=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_enumerated(name: str) -> None:
    program = PROGRAMS[name]
    pair = engine_pairs.Pair(program.model, program.guide)
    options: dict[str, Any] = {"kl": "monte carlo"} if program.draws else {}
    ours = _numbers(lambda: pair, _plain(o.ELBO, **options), DATA, program.nesting)
    theirs = _numbers(lambda: pair, _theirs(TraceEnum_ELBO), DATA, program.nesting)
    _assert_equal(ours, theirs)
    assert any(gradient.any() for gradient in theirs.gradients.values())


@pytest.mark.parametrize("name", [n for n, p in PROGRAMS.items() if p.guide is objective_programs.empty])
def test_a_bound_of_several_particles_of_what_is_summed_out_is_exact(name: str) -> None:
    program = PROGRAMS[name]
    if program.nesting == 0 or "shared" in name or program.draws:
        pytest.skip("no data plate around all sites, or draws")
    pair = engine_pairs.Pair(program.model, program.guide)
    exact = _numbers(lambda: pair, _theirs(TraceEnum_ELBO), DATA, program.nesting)
    for maker in (_plain(o.IWAE, 2), _plain(o.Renyi, 0.5, 2), _plain(o.ELBO, 3)):
        _assert_equal(_numbers(lambda: pair, maker, DATA, program.nesting), exact)


REFUSED = {
    **{
        f"{name}: {kind}": (name, kind, "site 'z'.*scale")
        for name in sorted(ONE_SIDED)
        for kind in ("ELBO", "IWAE")
    },
    **{
        f"{name}: {kind}": (name, kind, "site '[^']+'.*inside the data plate")
        for name in sorted(SHARED - SUMMED_OUT)
        for kind in ("IWAE", "Renyi", "ReweightedWakeSleep", "CUBO")
    },
    **{
        f"{name}: sticking": (name, "sticking", "site 'z'.*StickingTheLanding.*Pathwise")
        for name in (
            "flow, neural autoregressive",
            "flow, planar, radial, Householder",
            "flow, conditional planar, permuted",
        )
    },
    "poisson: enumerate": ("poisson", "enumerate", "site 'z', Enumerate.*finite support"),
    "binomial: pathwise": ("binomial", "pathwise", "site 'z', Pathwise.*reparameterized"),
}
MAKERS: dict[str, Callable[[], o.Objective]] = {
    "ELBO": o.ELBO,
    "IWAE": lambda: o.IWAE(3, vectorize_particles=False),
    "Renyi": lambda: o.Renyi(0.5, 3, vectorize_particles=False),
    "ReweightedWakeSleep": lambda: o.ReweightedWakeSleep(3, vectorize_particles=False),
    "CUBO": lambda: o.CUBO(3, vectorize_particles=False),
    "sticking": lambda: o.ELBO(estimators=o.StickingTheLanding()),
    "enumerate": lambda: o.ELBO(estimators=o.Enumerate()),
    "pathwise": lambda: o.ELBO(estimators=o.Pathwise()),
}


@pytest.mark.parametrize("key", REFUSED)
def test_refused_by_the_name_of_a_site(key: str, batches: Tensor) -> None:
    name, kind, reason = REFUSED[key]
    pair = FAMILIES[name].make()
    args, kwargs = pair.call(batches[0], 0)
    with pytest.raises(ValueError, match=f"(?s){reason}"):
        MAKERS[kind]().loss_and_grads(pair.model, pair.guide, *args, **kwargs)


@pytest.mark.parametrize("name", sorted(MESSENGERS))
def test_guides_that_are_handlers(name: str, batches: Tensor) -> None:
    """Their traces hold the data too, which are no part of the guide's density."""
    _compare(name, _plain(o.ELBO, kl="monte carlo"), _theirs(Trace_ELBO), batches[0])


def test_a_guide_whose_enumeration_reuses_dimensions_is_refused() -> None:
    def guide(x: Tensor) -> None:
        objective_programs.chain_enumerated_in_the_guide(x, pyro.markov(range(4)))

    with pytest.raises(ValueError, match=r"site 'k2'.*'k0'.*markov"):
        o.ELBO().loss(PROGRAMS["chain"].model, guide, DATA)
