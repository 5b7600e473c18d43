"""Several views of one latent: an image and its text, two halves of a picture, modalities of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro
from torch import Tensor, nn

from pyrovae.arguments import is_part, require_part, shown
from pyrovae.distributions._missing_rows import rows_present, typical, without_missing
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head, Prior


class Views(nn.Module):
    r"""One latent vector per datum, of which several views are seen, independent given the latent.

    .. math::
        z \sim p(z), \qquad x_i \sim p_i\big(x_i \mid f_i(z)\big), \qquad i = 1, \dots, m

    A view that is missing is integrated out, which here is to leave its factor out: of datum n with the views
    :math:`S_n` the model is :math:`p(z) \prod_{i \in S_n} p_i(x_i \mid z)`.

    Arguments:
        prior: makes :math:`p(z)`.
        views: by name, in the order of the data, pairs (decoder, likelihood). The observed sites have these
            names; the latent one is ``"z"``.

    Shapes: called as ``model(x_1, ..., x_m)``, each ``(n, ...)``. A view of a datum that is NaN throughout is
        missing; one with some NaN is a matter of its likelihood, :class:`pyrovae.heads.Masked`. Views that
        are None, or not given, are generated; without any, ``size`` data are.

    Raises:
        TypeError: for no views, a view without a pair, or a prior that can't be called.
        ValueError: for a view called ``"z"`` or ``"data"``; when called without data and size.

    References:
        Wu and Goodman, 2018, Multimodal Generative Models for Scalable Weakly-Supervised Learning,
        https://arxiv.org/abs/1802.05335

    Example:
        >>> import pyro
        >>> from pyrovae import heads, models, nets, priors
        >>> pyro.clear_param_store()
        >>> model = models.Views(
        ...     priors.StandardNormal(2),
        ...     top=(nets.MLP(2, 16, 32), heads.bernoulli),
        ...     bottom=(nets.MLP(2, 16, 32), heads.bernoulli),
        ... )
        >>> print(repr(model).splitlines()[0])
        Views: p(top | z) p(bottom | z) p(z)
        >>> [tuple(view.shape) for view in model(size=5)]
        [(5, 32), (5, 32)]
    """

    takes_missing = True

    def __init__(self, prior: Prior, **views: tuple[nn.Module, Head]) -> None:
        super().__init__()
        require_part(
            "Views, prior", prior, "a prior", "Views(priors.StandardNormal(8), image=(decoder, likelihood))"
        )
        _check(views)
        self.prior, self.views = prior, dict(views)
        self.decoders = nn.ModuleDict({name: net for name, (net, _) in views.items()})
        self.heads = nn.ModuleDict({n: head for n, (_, head) in views.items() if isinstance(head, nn.Module)})

    @property
    def covariates(self) -> int:
        """How many views there are beyond the first."""
        return len(self.views) - 1

    @property
    def factorisation(self) -> str:
        """The joint density as it is written, ``p(a | z) p(b | z) p(z)``."""
        return " ".join([*(f"p({name} | z)" for name in self.views), "p(z)"])

    def forward(self, *views: Tensor | None, size: int | None = None) -> tuple[Tensor, ...]:
        """Observes the views, generates those that are None, and returns all, each ``(n, ...)``."""
        given = dict(zip(self.views, views, strict=False))
        sizes = [len(view) for view in given.values() if view is not None]
        if not sizes and size is None:
            raise ValueError(
                explain(
                    "Views",
                    expected="data x of one view at least, or the number of data to generate",
                    got="neither",
                    remedy="Call model(x1, x2), or model(size=16).",
                )
            )
        pyro.module("views", self)
        with pyro.plate("data", sizes[0] if sizes else size):
            z = pyro.sample("z", self.prior())
            return tuple(
                _see(name, likelihood(decoder(z)), given.get(name))
                for name, (decoder, likelihood) in self.views.items()
            )

    def __repr__(self) -> str:
        return f"Views: {self.factorisation}\n{super().__repr__()}"


def _see(name: str, fn: Distribution, x: Tensor | None) -> Tensor:
    """The statement of a view: what is missing is in it by a stand-in, with a density that doesn't count."""
    if x is None or not x.is_floating_point():
        drawn: Tensor = pyro.sample(name, fn, obs=x)
        return drawn
    present: Any = rows_present(x)
    with pyro.poutine.mask(mask=present):
        pyro.sample(name, fn, obs=without_missing(x, present, typical(fn, x)))
    return x


def _check(views: dict[str, tuple[nn.Module, Head]]) -> None:
    if not views:
        raise TypeError(
            explain(
                "Views",
                expected="at least one view",
                got="none",
                remedy="Write Views(prior, image=(decoder, likelihood), text=(decoder, likelihood)).",
            )
        )
    for name, view in views.items():
        if name in ("z", "data"):
            raise ValueError(
                explain(
                    "Views",
                    expected="views of other names than z and data",
                    got=repr(name),
                    remedy="Rename it.",
                )
            )
        if not (isinstance(view, Sequence) and len(view) == 2 and all(map(is_part, view))):
            raise TypeError(
                explain(
                    f"Views, view {name!r}",
                    expected="a pair (decoder, likelihood)",
                    got=shown(view),
                    remedy=f"Write {name}=(net, pyrovae.heads.bernoulli).",
                )
            )
