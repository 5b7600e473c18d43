"""Gradient estimators: how a latent site is drawn, and how the guide learns from the draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyrovae.distributions.unwrapping import unwrapped
from pyrovae.errors import explain
from pyrovae.objectives.baselines import Baseline
from pyrovae.objectives.schedules import Schedule


@dataclass
class Drawn:
    """What an estimator leaves at the site that it has drawn.

    Attributes:
        value: what the programs see, or None where Pyro is to draw.
        path: the draw as a function of the guide's parameters, where the value is cut off from them.
        densities: the log densities of guide and prior at the draw, from their distributions, where these
            are not the ones that the programs name.
    """

    value: Tensor | None = None
    path: Tensor | None = None
    densities: Any = None


@dataclass(frozen=True)
class Setting:
    """What an estimator may know when it draws.

    Attributes:
        site: the name of the site.
        step: the number of steps taken, for schedules.
    """

    site: str
    step: Tensor
    infer: dict[str, Any] = field(default_factory=dict)


class Estimator:
    """How the gradient with respect to the guide's parameters is estimated at one latent site.

    Attributes:
        unbiased: whether the mean of the gradient is that of the bound.
        is_cut: whether the value is cut off from the guide's parameters, and the path followed apart.
        scores: whether the guide learns by the score function.
    """

    unbiased = True
    is_cut = False
    scores = False

    def lacks(self, fn: Any) -> str | None:
        """What the site's distribution lacks for this estimator, or None."""
        return None if callable(fn) else "a distribution"

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        """Draws the site; by default as Pyro does."""
        return Drawn()

    def schedules(self) -> list[Schedule]:
        """The schedules that it follows."""
        return []

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Pathwise(Estimator):
    r"""Reparameterized: the draw is a differentiable function of noise and the guide's parameters.

    .. math:: \nabla_\phi \mathbb E_{q_\phi}[f(z)] = \mathbb E_\epsilon[\nabla_\phi f(g_\phi(\epsilon))]

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114
        Rezende, Mohamed and Wierstra, 2014, https://arxiv.org/abs/1401.4082
    """

    def lacks(self, fn: Any) -> str | None:
        return _lacks_rsample(fn)


class StickingTheLanding(Pathwise):
    r"""Pathwise, without the score of the guide, whose mean is zero: no variance where the guide is exact.

    .. math:: \nabla_\phi \mathrm{ELBO} = \mathbb E_\epsilon\Big[
        \frac{\partial}{\partial z} \big(\log p(x, z) - \log q_{\bar\phi}(z \mid x)\big)
        \frac{\partial z}{\partial \phi}\Big]

    with :math:`\bar\phi` held fixed. The KL term of the site is a Monte Carlo estimate. For a bound of
    several particles it is biased; :class:`DoublyReparameterized` is what takes its place there.

    References:
        Roeder, Wu and Duvenaud, 2017, Sticking the Landing, https://arxiv.org/abs/1703.09194
    """

    is_cut = True

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        path = fn()
        if not (torch.is_grad_enabled() and path.requires_grad):
            return Drawn(path)
        return Drawn(path.detach().requires_grad_(), path)


class DoublyReparameterized(StickingTheLanding):
    r"""DReG: the score in a bound of several particles is turned into a path derivative too.

    .. math:: \nabla_\phi = \mathbb E\Big[\sum_k \tilde w_k^2\, \frac{\partial \log w_k}{\partial z_k}
        \frac{\partial z_k}{\partial \phi}\Big], \qquad \tilde w_k = w_k \Big/ \sum_j w_j

    for the IWAE bound; :math:`(1 - s) \tilde w_k + s\, \tilde w_k^2` for
    :math:`\frac1s \log \frac1K \sum_k w_k^s` with weights :math:`\propto w_k^s`. In an ELBO it is
    :class:`StickingTheLanding`.

    References:
        Tucker et al., 2019, Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives,
        https://arxiv.org/abs/1810.04152
    """


class ScoreFunction(Estimator):
    r"""Score function (REINFORCE), for any site that has a density.

    .. math:: \nabla_\phi \mathbb E_q[c] = \mathbb E_q\big[(c - b)\, \nabla_\phi \log q_\phi(z)\big]

    The cost :math:`c` is Rao-Blackwellised: entry by entry of the site's plates, and without the terms that
    the draw can't have any part in. Several baselines are applied one after the other, each to what the
    earlier ones leave.

    Arguments:
        baselines: none, or any of :class:`LeaveOneOut`, :class:`DecayingAverage`, :class:`NeuralBaseline`.

    References:
        Williams, 1992, Simple Statistical Gradient-Following Algorithms, Machine Learning 8
        Ranganath, Gerrish and Blei, 2014, Black Box Variational Inference, https://arxiv.org/abs/1401.0118
    """

    scores = True

    def __init__(self, *baselines: Baseline) -> None:
        for baseline in baselines:
            if not isinstance(baseline, Baseline):
                raise TypeError(
                    explain(
                        "ScoreFunction",
                        expected="baselines",
                        got=repr(baseline),
                        remedy="Try ScoreFunction(LeaveOneOut()), or ScoreFunction() for none.",
                    )
                )
        self.baselines = baselines

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        with torch.no_grad():
            # A copy: a flow would remember its own draw, and with it a density without gradient.
            return Drawn(fn().clone())

    def __repr__(self) -> str:
        return f"ScoreFunction({', '.join(map(repr, self.baselines))})"


class Enumerate(Estimator):
    r"""The exact expectation over a finite support, all its values in parallel.

    .. math:: \mathbb E_q[f(z)] = \sum_z q_\phi(z)\, f(z)

    The value gets a dimension of its own to the left of all plates; the programs must broadcast over it.
    """

    def lacks(self, fn: Any) -> str | None:
        if not getattr(unwrapped(fn), "has_enumerate_support", False):
            return "a finite support"
        if not getattr(fn, "has_enumerate_support", False):
            return "one value rather than a vector, which has all combinations of its entries'"
        return None

    def draw(self, fn: Any, setting: Setting) -> Drawn:
        setting.infer["enumerate"] = "parallel"
        return Drawn()


def _lacks_rsample(fn: Any) -> str | None:
    return None if getattr(fn, "has_rsample", False) else "a reparameterized draw (rsample)"
