"""Which estimator a latent site gets: the one asked for, or the best that is unbiased and available."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyro.distributions as dist
from torch import nn

from pyrovae.errors import explain, nearest
from pyrovae.objectives._broadcasting import disagreement
from pyrovae.objectives._draw import Choose, Draw
from pyrovae.objectives._read import sites_of
from pyrovae.objectives._state import State
from pyrovae.objectives._terms import Latent
from pyrovae.objectives.baselines import DecayingAverage, LeaveOneOut, NeuralBaseline
from pyrovae.objectives.estimators import Enumerate, Estimator, Pathwise, ScoreFunction
from pyrovae.objectives.schedules import Schedule

if TYPE_CHECKING:
    from pyrovae.objectives.objective import Objective

MOST_VALUES = 64
"""So many combinations of finite sites are enumerated without being asked for."""


class Chooser:
    """The estimator of each site of a pair, for one objective.

    Arguments:
        objective: that it chooses for.
        wanted: what the user has asked for: one for all sites, or by name.

    Raises:
        TypeError: for what is no estimator.
    """

    def __init__(self, objective: Objective, wanted: Estimator | Mapping[str, Estimator] | None) -> None:
        self.objective = objective
        self.everywhere = wanted if isinstance(wanted, Estimator) else None
        self.by_name = dict(wanted) if isinstance(wanted, Mapping) else {}
        for name, estimator in self.by_name.items():
            if not isinstance(estimator, Estimator):
                raise TypeError(_no_estimator(f"estimators[{name!r}]", estimator))
        if wanted is not None and not isinstance(wanted, Estimator | Mapping):
            raise TypeError(_no_estimator("estimators", wanted))
        self._default: dict[str, tuple[Estimator, str, str]] = {}
        self._listed: dict[str, int] = {}
        self._given_up: str | None = None

    def __call__(self, name: str, fn: Any, infer: dict[str, Any]) -> tuple[Estimator, str]:
        """The estimator of a site, and why.

        Raises:
            ValueError: by site, for one that its distribution or the objective can't go with.
        """
        if isinstance(fn, dist.Delta):
            path = self.objective.default_path
            return path if path.scores else Pathwise(), "a value without density of its own"
        asked = self.by_name.get(name, self.everywhere)
        if asked is not None:
            self._check(name, fn, asked)
            return asked, "asked for"
        if infer.get("enumerate") in ("parallel", "sequential") and self.objective.enumerates:
            self._check(name, fn, Enumerate())
            return Enumerate(), "marked for enumeration: exact"
        if name not in self._default:
            estimator, why = self._best(name, fn)
            self._check(name, fn, estimator)
            self._default[name] = estimator, why, _name_of(fn)
        estimator, why, kind = self._default[name]
        if kind != _name_of(fn):
            raise ValueError(
                explain(
                    f"guide, site {name!r}",
                    expected=f"a {kind}, as when its estimator was chosen",
                    got=_name_of(fn),
                    remedy="Use objective.fresh() for another pair, or name the estimator of the site.",
                )
            )
        return estimator, why

    def schedules(self) -> list[Schedule]:
        """Those of the estimators that were asked for."""
        asked = [self.everywhere] if self.everywhere else list(self.by_name.values())
        return [schedule for estimator in asked for schedule in estimator.schedules()]

    def networks(self) -> list[nn.Module]:
        """Those of the baselines that were asked for."""
        asked = [self.everywhere] if self.everywhere else list(self.by_name.values())
        baselines = [b for e in asked if isinstance(e, ScoreFunction) for b in e.baselines]
        return [baseline.net for baseline in baselines if isinstance(baseline, NeuralBaseline)]

    def check_names(self, guide_trace: Any) -> None:
        """Refuses estimators for sites that aren't there.

        Raises:
            ValueError: with the nearest name that is.
        """
        latents = [name for name, site in sites_of(guide_trace).items() if not site["is_observed"]]
        for name in self.by_name:
            if name not in latents:
                raise ValueError(
                    explain(
                        f"estimators[{name!r}]",
                        expected="a latent site of the guide",
                        got="no such site",
                        remedy=nearest(name, latents),
                    )
                )

    def settle(self, run: Callable[[Choose], Draw], use: Callable[[Draw], None]) -> Draw:
        """A draw with the finite sites enumerated, if the programs broadcast over them; otherwise without.

        Arguments:
            run: draws, with a choice of estimators.
            use: what the draw is wanted for, which fails if it doesn't serve.
        """
        try:
            drawn = run(self)
            use(drawn)
            problem = disagreement(drawn, run) if self._listed else None
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            if not self._listed:
                raise
            problem = str(error)
        if problem is None:
            return drawn
        self._given_up = problem.splitlines()[0][:80]
        for name in self._listed:
            self._default.pop(name, None)
        self._listed = {}
        drawn = run(self)
        use(drawn)
        return drawn

    def begin(self, latent: Latent, state: State, device: Any) -> None:
        """Makes what the baselines of a site keep."""
        if isinstance(latent.estimator, ScoreFunction):
            for baseline in latent.estimator.baselines:
                baseline.begin(latent.name, state, device)

    def _best(self, name: str, fn: Any) -> tuple[Estimator, str]:
        path = self.objective.default_path
        if path.lacks(fn) is None:
            return path, self.objective.why_default
        listed = self._enumerable(name, fn)
        if isinstance(listed, Estimator):
            return listed, f"{self._listed[name]} values: exact"
        several = self.objective.num_particles > 1
        estimator = ScoreFunction(LeaveOneOut() if several else DecayingAverage())
        return estimator, f"not reparameterized; {listed}"

    def _enumerable(self, name: str, fn: Any) -> Estimator | str:
        if not self.objective.enumerates:
            return "this bound has no exact expectation"
        lack = Enumerate().lacks(fn)
        if lack is not None:
            return "no finite support" if "finite" in lack else "too many combinations to enumerate"
        if self._given_up is not None:
            return f"the programs don't broadcast over its values ({self._given_up})"
        size = len(fn.enumerate_support(expand=False))
        total = size
        for other in self._listed.values():
            total *= other
        if total > MOST_VALUES:
            return f"{total} combinations to enumerate"
        self._listed[name] = size
        return Enumerate()

    def _check(self, name: str, fn: Any, estimator: Estimator) -> None:
        lack = estimator.lacks(fn)
        if lack is not None:
            raise ValueError(
                explain(
                    f"guide, site {name!r}, {estimator!r}",
                    expected=lack,
                    got=_name_of(fn),
                    remedy="Leave it out, and the best that is available is taken; explain() prints which.",
                )
            )
        if isinstance(estimator, ScoreFunction):
            for baseline in estimator.baselines:
                problem = baseline.check(self.objective.num_particles)
                if problem is not None:
                    raise ValueError(
                        explain(
                            f"guide, site {name!r}, {baseline!r}",
                            expected="a baseline that goes with the objective",
                            got=f"num_particles={self.objective.num_particles}: {problem}",
                            remedy="Take more particles, or DecayingAverage().",
                        )
                    )
        refusal = self.objective.refuses(estimator)
        if refusal is not None:
            raise ValueError(
                explain(
                    f"guide, site {name!r}, {estimator!r}",
                    expected=f"an estimator that goes with {type(self.objective).__name__}",
                    got=f"one that doesn't: {refusal}",
                    remedy="Take another objective, or another estimator for the site.",
                )
            )


def _no_estimator(where: str, got: Any) -> str:
    return explain(
        where,
        expected="an estimator, or a mapping from the names of sites to estimators",
        got=repr(got),
        remedy="Try pyrovae.objectives.ScoreFunction().",
    )


def _name_of(fn: Any) -> str:
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return type(fn).__name__
