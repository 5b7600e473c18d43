"""What each view of a datum says of its latent, and which views are missing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import pyro
from torch import Tensor, nn

from pyrovae.arguments import is_part, require_part, shown
from pyrovae.distributions._missing_rows import rows_present, without_missing
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head, Prior


class Expert(NamedTuple):
    """What one view says.

    Attributes:
        posterior: q(z | view), batch shape ``(n,)``; where the view is missing, of nothing.
        present: where it is not, booleans ``(n,)``.
    """

    posterior: Distribution
    present: Tensor


class ExpertViews(nn.Module, ABC):
    """A guide of one latent ``"z"`` and several views, each with a network and a head.

    Arguments:
        prior: of the model, the same object.
        views: by name, in the order of the data, pairs (network, head).
    """

    takes_missing = True

    def __init__(self, prior: Prior, **views: tuple[nn.Module, Head]) -> None:
        super().__init__()
        name = type(self).__name__
        require_part(
            f"{name}, prior", prior, "the prior of the model", "prior = priors.StandardNormal(8), for both"
        )
        if not views:
            raise TypeError(
                explain(
                    name,
                    expected="at least one view",
                    got="none",
                    remedy=f"Write {name}(prior, image=(net, head), text=(net, head)).",
                )
            )
        for view, pair in views.items():
            if not (isinstance(pair, Sequence) and len(pair) == 2 and all(map(is_part, pair))):
                raise TypeError(
                    explain(
                        f"{name}, view {view!r}",
                        expected="a pair (network, head)",
                        got=shown(pair),
                        remedy=f"Write {view}=(net, pyrovae.heads.normal).",
                    )
                )
        self.prior, self.views = prior, dict(views)
        self.nets = nn.ModuleDict({view: net for view, (net, _) in views.items()})
        self.heads = nn.ModuleDict({v: head for v, (_, head) in views.items() if isinstance(head, nn.Module)})

    @property
    def sites(self) -> dict[str, dict[str, tuple[nn.Module, Head]]]:
        """The latent site, with the views that it is read off."""
        return {"z": self.views}

    @property
    def covariates(self) -> int:
        """How many views there are beyond the first."""
        return len(self.views) - 1

    @property
    @abstractmethod
    def factorisation(self) -> str:
        """The posterior as it is written."""

    @abstractmethod
    def posterior(self, site: str, *views: Tensor | None) -> Distribution:
        """The distribution q(z | views), batch shape ``(n,)``; a view may be None, or NaN datum by datum."""

    def forward(self, *views: Tensor | None, size: int | None = None) -> dict[str, Tensor]:
        """Draws ``"z"`` given the views; one that is None is missing for all data."""
        given = next((view for view in views[: len(self.views)] if view is not None), None)
        if given is None:
            raise ValueError(
                explain(
                    type(self).__name__,
                    expected=f"data x: at least one of the views {list(self.views)}",
                    got=f"none, size={size}",
                    remedy="To draw from the prior, run the model: model(size=n).",
                )
            )
        # The prior is the model's to name.
        pyro.module("experts", self.nets)
        pyro.module("expert_heads", self.heads)
        with pyro.plate("data", len(given)):
            return {"z": pyro.sample("z", self.posterior("z", *views))}

    def _experts(self, views: tuple[Tensor | None, ...]) -> dict[str, Expert]:
        """What each view that was given says, by name."""
        found = {}
        for (name, (net, head)), view in zip(self.views.items(), views, strict=False):
            if view is not None:
                present = rows_present(view)
                found[name] = Expert(head(net(without_missing(view, present))), present)
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.factorisation}\n{super().__repr__()}"
