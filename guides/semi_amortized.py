"""The semi-amortized guide: an encoder's first guess, improved by gradient steps on each datum's bound."""

from __future__ import annotations

import functools
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Beta, Dirichlet

from pyrovae.arguments import is_part, is_positive, shown
from pyrovae.covariates import asked, given_to
from pyrovae.errors import explain
from pyrovae.guides._inner_bound import bound, clipped
from pyrovae.guides.amortized import Amortized
from pyrovae.types import Distribution, Program


class SemiAmortized(nn.Module):
    r"""An amortized posterior whose features are improved for each datum by gradient steps on its own bound.

    .. math::
        \lambda_0 = \mathrm{net}(x), \qquad
        \lambda_{k+1} = \lambda_k + \eta\, \nabla_{\lambda_k} \mathcal L(x; \lambda_k), \qquad
        q(z \mid x) = \mathrm{head}(\lambda_K)

    with the evidence lower bound of the given model

    .. math::
        \mathcal L(x; \lambda) =
        \mathbb E_{q(z; \lambda)} \log p(x \mid z) - \mathrm{KL}\big(q(z; \lambda) \,\|\, p(z)\big),

    the KL in closed form where torch or Pyro know one. It narrows the amortization gap at the price of
    ``steps * num_particles`` runs of the decoder, forward and backward. Whatever the steps do, :math:`q` is a
    posterior that can be scored, and the bound that it is trained by stays a bound.

    *No noise.* For normal posteriors the expectation is the mean over pairs of points
    :math:`\mu \pm \sigma \epsilon` with fixed signs :math:`\epsilon \in \{-1, 1\}^d`: what is odd about
    :math:`\mu` cancels, and the squares are exact. So a datum has one posterior, not another in every run,
    and the steps don't wander, as they do with so few random points. Other posteriors take random pathwise
    samples.

    *Gradients.* With ``second_order`` training differentiates through the steps, exactly: the encoder learns
    guesses that improve fast, the model to be improved upon. Without it the steps count as constants,
    :math:`\partial \lambda_K / \partial \lambda_0 = 1`, which costs no second backward pass. Under
    ``torch.no_grad()`` the features are refined all the same.

    The model is run inside the guide, hidden from all handlers around: a KL warm-up weighs the outer bound
    only, and the scales of plates don't count, since each datum has its bound for itself. So a network must
    not mix the data, as batch normalisation does in training. Of a loaded pair the guide holds a copy of the
    model, of the same weights; to train that pair further, write ``guide.model = model``.

    Arguments:
        base: the first guess. Its heads must have pathwise samples.
        model: the model that the guide is trained with, the same object.
        steps: how many gradient steps, K; with 0 it is ``base``.
        rate: :math:`\eta`.
        clip: the largest norm of one datum's gradient, all sites together, so that no step is longer than
            ``rate * clip``: a posterior of a small scale has a steep bound. None: as they come.
        num_particles: how many points a gradient is the mean of, one run of the model after the other; an odd
            one leaves the last point without its opposite.
        second_order: whether training differentiates through the steps.

    Shapes: as ``base`` and the model take them; called with the model's arguments.

    Raises:
        ValueError: for settings that mean nothing; by site, for a latent without pathwise samples, one whose
            samples have no second derivative under ``second_order``, or one that only one side has; by
            parameter, for another model than the one that is trained; without data.
        TypeError: when it is not given an ``Amortized`` and a model.

    References:
        Kim, Wiseman, Miller, Sontag and Rush, 2018, Semi-Amortized Variational Autoencoders,
        https://arxiv.org/abs/1802.02550
        Marino, Yue and Mandt, 2018, Iterative Amortized Inference, https://arxiv.org/abs/1807.09356
        Hjelm et al., 2016, Iterative Refinement of the Approximate Posterior for Directed Belief Networks,
        https://arxiv.org/abs/1511.06382

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, heads, models, nets, priors
        >>> pyro.set_rng_seed(0)
        >>> pyro.clear_param_store()
        >>> model = models.VAE(priors.StandardNormal(2), nets.MLP(2, 32, 64), heads.bernoulli)
        >>> base = guides.Amortized(z=(nets.MLP(64, 32, 2 * 2), heads.normal))
        >>> guide = guides.SemiAmortized(base, model, steps=5)
        >>> print("\n".join(repr(guide).splitlines()[:2]))
        SemiAmortized: q(z | x)
        5 gradient steps of rate 0.1 on each datum's bound
        >>> guide(torch.zeros(5, 64))["z"].shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        base: Amortized,
        model: Program,
        *,
        steps: int = 5,
        rate: float = 0.1,
        clip: float | None = 1.0,
        num_particles: int = 2,
        second_order: bool = True,
    ) -> None:
        super().__init__()
        _check_parts(base, model)
        _check_settings(steps, rate, clip, num_particles)
        self.base, self.model = base, model
        self.steps, self.rate, self.clip = steps, rate, clip
        self.num_particles, self.second_order = num_particles, second_order

    @property
    def sites(self) -> dict[str, Any]:
        """The latent sites by name, each a pair (network, head)."""
        return self.base.sites

    @property
    def covariates(self) -> int:
        """How many tensors of a batch the networks ask for beyond ``x``."""
        return self.base.covariates

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, ``q(z1 | x) q(z2 | x)``."""
        return self.base.factorisation

    def features(self, x: Tensor, *given: Any) -> dict[str, Tensor]:
        """The refined features of each site, ``(n, ...)``; ``given`` are the model's further arguments."""
        found = {
            name: net(x, *given_to(f"SemiAmortized, network of {name!r}", asked(net, 1), given))
            for name, (net, _) in self.sites.items()
        }
        trains = torch.is_grad_enabled()
        for step in range(self.steps):
            with torch.enable_grad():
                gradients = self._gradients(found, step, (x, *given), trains)
            found = {name: value + self.rate * gradients[name] for name, value in found.items()}
        return found

    def forward(self, x: Tensor | None = None, *given: Any, size: int | None = None) -> dict[str, Tensor]:
        """Draws every latent site given ``x``, by name."""
        if x is None:
            raise ValueError(
                explain(
                    "SemiAmortized",
                    expected="data x: the posterior is read off them",
                    got=f"x=None, size={size}",
                    remedy="To draw from the prior, run the model: model(size=n).",
                )
            )
        # The model names its own parameters, in its own run.
        pyro.module("semi_amortized", self.base)
        posteriors = self._posteriors(self.features(x, *given))
        with pyro.plate("data", len(x)):
            return {name: pyro.sample(name, posterior) for name, posterior in posteriors.items()}

    def _posteriors(self, features: dict[str, Tensor]) -> dict[str, Distribution]:
        return {name: head(features[name]) for name, (_, head) in self.sites.items()}

    def _gradients(
        self, features: dict[str, Tensor], step: int, args: tuple[Any, ...], trains: bool
    ) -> dict[str, Tensor]:
        """The gradients of each datum's bound: of their sum, in which no datum's features meet another's."""
        exact = self.second_order and trains
        at = {
            name: value if exact and value.requires_grad else value.detach().requires_grad_()
            for name, value in features.items()
        }
        # An even number of rows to each step keeps opposites together.
        first = step * (self.num_particles + self.num_particles % 2)
        posteriors = self._posteriors(at)
        if exact:
            for name, posterior in posteriors.items():
                _require_second_order(name, posterior)
        strict = trains and self.training
        bounds = [
            bound(self.model, posteriors, first + i, args, strict=strict) for i in range(self.num_particles)
        ]
        mean = functools.reduce(torch.add, bounds) / self.num_particles
        gradients = torch.autograd.grad(
            mean, list(at.values()), create_graph=exact, allow_unused=True, materialize_grads=True
        )
        if self.clip is not None:
            gradients = clipped(gradients, self.clip)
        return dict(zip(at, gradients, strict=True))

    def __repr__(self) -> str:
        how = f"{self.steps} gradient steps of rate {self.rate:g} on each datum's bound"
        return f"SemiAmortized: {self.factorisation}\n{how}\n{super().__repr__()}"


def _require_second_order(site: str, posterior: Any) -> None:
    """Refuses draws through whose gradient none passes: the encoder's would lack terms, without a word."""
    base = posterior
    while hasattr(base, "base_dist"):
        base = base.base_dist
    if getattr(base, "first_order", False) or isinstance(base, Dirichlet | Beta):
        raise ValueError(
            explain(
                f"SemiAmortized, site {site!r}",
                expected="a posterior whose draws can be differentiated twice",
                got=type(base).__name__,
                remedy="Write second_order=False: the steps then count as constants.",
            )
        )


def _check_parts(base: Any, model: Any) -> None:
    if not isinstance(base, Amortized):
        raise TypeError(
            explain(
                "base",
                expected="a guides.Amortized",
                got=type(base).__name__,
                remedy="Write SemiAmortized(Amortized(z=(net, head)), model).",
            )
        )
    if not is_part(model):
        raise TypeError(
            explain(
                "model",
                expected="the model, a callable",
                got=shown(model),
                remedy="Pass the same object that is trained.",
            )
        )


def _check_settings(steps: int, rate: float, clip: float | None, num_particles: int) -> None:
    for name, value, least in (("steps", steps, 0), ("num_particles", num_particles, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                explain(
                    name, expected=f"an integer from {least}", got=repr(value), remedy=f"Try {max(least, 1)}."
                )
            )
    for name, length in (("rate", rate), ("clip", 1.0 if clip is None else clip)):
        if not is_positive(length):
            raise ValueError(
                explain(
                    name, expected="a positive number", got=shown(length), remedy="Try rate=0.1, clip=5.0."
                )
            )
