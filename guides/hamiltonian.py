"""The Hamiltonian guide: an encoder's draw, moved by leapfrog steps on the model's own posterior."""

from __future__ import annotations

import functools
import math
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.arguments import is_part, is_positive, shown
from pyrovae.distributions import Augmented
from pyrovae.distributions.unwrapping import family
from pyrovae.errors import explain
from pyrovae.guides._hidden_run import log_joint
from pyrovae.guides.amortized import Amortized
from pyrovae.types import Distribution, Program


class Hamiltonian(nn.Module):
    r"""A posterior whose draws start at an encoder's and follow Hamilton's equations on the true posterior.

    .. math::
        z_0 \sim q_0(z_0 \mid x), \qquad \rho_0 = \sqrt{T_0}\, \gamma, \quad \gamma \sim \mathcal N(0, I),

    then K leapfrog steps, :math:`k = 1, \dots, K`, with a learned step size :math:`\epsilon` per dimension,

    .. math::
        \rho' = \rho_{k-1} + \tfrac \epsilon 2 \nabla_z \log p(x, z_{k-1}), \qquad
        z_k = z_{k-1} + \epsilon \rho', \qquad
        \rho'' = \rho' + \tfrac \epsilon 2 \nabla_z \log p(x, z_k),

    each followed by a change of temperature, :math:`\rho_k = \sqrt{T_k / T_{k-1}}\, \rho''`, along
    :math:`\sqrt{T_k} = \sqrt{T_0} + (1 - \sqrt{T_0})\, k^2 / K^2` to :math:`T_K = 1`; :math:`T_0` is learned.
    A leapfrog step keeps volume, and the temperatures scale it by :math:`T_0^{-d/2}` in all, which takes back
    what :math:`\rho_0` was scaled by. So with :math:`r(\rho_K) = \mathcal N(0, I)` the draw is weighed by

    .. math::
        \log \tilde q = \log q_0(z_0 \mid x) + \log \mathcal N(\gamma; 0, I) - \log \mathcal N(\rho_K; 0, I) .

    *It stays a bound.* :math:`p(x, z_K) / \tilde q` has the mean :math:`p(x)` whatever the steps do
    (:class:`pyrovae.distributions.Augmented`), so the ELBO, the IWAE bound and estimates of the evidence mean
    what they say. The marginal :math:`q(z_K \mid x)` has no closed form; the density of other points than
    its own draws is not known, and every KL is one of samples.

    *What it buys.* Hamilton's equations themselves keep :math:`p(x, z)\, \mathcal N(\rho)`, and the gap with
    it: at :math:`T_0 = 1` many small steps have, draw by draw, the weights of ``base``. The gap narrows by
    temperature, which lets a wide start gather (:math:`T_0 < 1`) or a narrow one spread, and by steps coarse
    enough to bend space: :math:`K \epsilon` in the order of the posterior's width. *What it costs:* K + 1
    gradients of the model for each draw; training differentiates through them, to the second order.

    The model is run inside the guide, hidden from all handlers around: a KL warm-up weighs the outer bound
    only, and the scales of plates don't count. A network must not mix the data, as batch normalisation does
    in training. Of a loaded pair the guide may hold a copy of the model, of the same weights; to train that
    pair further, write ``guide.model = model``.

    Arguments:
        base: :math:`q_0`, of one latent site, real vectors with pathwise samples.
        model: the model that the guide is trained with, the same object.
        dim: the number of latent dimensions, d.
        steps: how many leapfrog steps, K; with 0 it is ``base``.
        step_size: where each :math:`\epsilon` starts; learned on the log scale.
        temperature: where :math:`T_0` starts; learned on the log scale.

    Shapes: as ``base`` and the model take them; called with the model's arguments.

    Raises:
        ValueError: for settings that mean nothing, or a base of several sites; when called, without data, for
            a base that is no real vector of ``dim`` or has no pathwise samples, by site for a latent of one
            side only, by parameter for another model than the one that is trained.
        TypeError: when it is not given an ``Amortized`` and a model.

    References:
        Caterini, Doucet and Sejdinovic, 2018, Hamiltonian Variational Auto-Encoder,
        https://arxiv.org/abs/1805.11328
        Salimans, Kingma and Welling, 2015, Markov Chain Monte Carlo and Variational Inference: Bridging the
        Gap, https://arxiv.org/abs/1410.6460

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, heads, models, nets, priors
        >>> pyro.set_rng_seed(0)
        >>> pyro.clear_param_store()
        >>> model = models.VAE(priors.StandardNormal(2), nets.MLP(2, 32, 64), heads.bernoulli)
        >>> base = guides.Amortized(z=(nets.MLP(64, 32, 2 * 2), heads.normal))
        >>> guide = guides.Hamiltonian(base, model, dim=2, steps=3)
        >>> print("\n".join(repr(guide).splitlines()[:2]))
        Hamiltonian: q(z | x)
        3 leapfrog steps from the base's draw
        >>> guide(torch.zeros(5, 64))["z"].shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        base: Amortized,
        model: Program,
        *,
        dim: int,
        steps: int = 5,
        step_size: float = 0.1,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        _check_parts(base, model)
        _check_settings(dim, steps, step_size, temperature)
        self.base, self.model = base, model
        self.dim, self.steps, self.step_size, self.temperature = dim, steps, step_size, temperature
        self.learned = nn.ParameterDict(
            {
                "log_step": torch.full((dim,), math.log(step_size)),
                "log_temperature": torch.tensor(math.log(temperature)),
            }
        )

    @property
    def sites(self) -> dict[str, Any]:
        """The latent site by its name, with the base's pair (network, head)."""
        return self.base.sites

    @property
    def covariates(self) -> int:
        """How many tensors of a batch the base's network asks for beyond ``x``."""
        return self.base.covariates

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, ``q(z | x)``."""
        return self.base.factorisation

    def posterior(self, site: str, x: Tensor, *given: Any) -> Distribution:
        """The distribution q(site | x), known by its draws, batch shape ``(n,)``."""
        start = self.base.posterior(site, x, *given)
        self._check_start(site, start)
        draw = functools.partial(self._draw, site, start, (x, *given))
        return Augmented(draw, start.batch_shape, start.event_shape)

    def forward(self, x: Tensor | None = None, *given: Any, size: int | None = None) -> dict[str, Tensor]:
        """Draws the latent site given ``x``, by name."""
        if x is None:
            raise ValueError(
                explain(
                    "Hamiltonian",
                    expected="data x: the posterior is read off them",
                    got=f"x=None, size={size}",
                    remedy="To draw from the prior, run the model: model(size=n).",
                )
            )
        # The model names its own parameters, in its own run.
        pyro.module("hamiltonian", self.base)
        pyro.module("leapfrog", self.learned)
        (site,) = self.sites
        with pyro.plate("data", len(x)):
            return {site: pyro.sample(site, self.posterior(site, x, *given))}

    def _draw(
        self, site: str, start: Distribution, args: tuple[Any, ...], shape: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """Draws of a shape, and the log density that each is weighed by."""
        start = start.expand(shape)
        z: Tensor = start.rsample()
        log_density: Tensor = start.log_prob(z)
        if not self.steps:
            return z, log_density
        noise = torch.randn_like(z)
        step, heat = self.learned["log_step"].exp(), (0.5 * self.learned["log_temperature"]).exp()
        momentum, warmth = heat * noise, heat
        slope = self._slope(site, z, args)
        for k in range(1, self.steps + 1):
            momentum = momentum + 0.5 * step * slope
            z = z + step * momentum
            slope = self._slope(site, z, args)
            before, warmth = warmth, heat + (1 - heat) * (k / self.steps) ** 2
            momentum = (momentum + 0.5 * step * slope) * (warmth / before)
        return z, log_density + 0.5 * (momentum.square() - noise.square()).sum(-1)

    def _slope(self, site: str, z: Tensor, args: tuple[Any, ...]) -> Tensor:
        """The gradient of log p(x, z) in each z: of their sum, in which no datum meets another."""
        trains = torch.is_grad_enabled()
        with torch.enable_grad():
            at = z if trains and z.requires_grad else z.detach().requires_grad_()
            total = log_joint("Hamiltonian", self.model, {site: at}, args, strict=trains and self.training)
            (slope,) = torch.autograd.grad(
                total, at, create_graph=trains, allow_unused=True, materialize_grads=True
            )
        return slope

    def _check_start(self, site: str, start: Any) -> None:
        if not (start.has_rsample and _is_real_vector(start.support)):
            raise ValueError(
                explain(
                    f"Hamiltonian, site {site!r}",
                    expected="a base of real vectors with pathwise samples",
                    got=f"{family(start)} on {start.support}",
                    remedy="Take a normal head, or guides.Amortized, for latents that can't move freely.",
                )
            )
        if tuple(start.event_shape) != (self.dim,):
            raise ValueError(
                explain(
                    f"Hamiltonian, site {site!r}",
                    expected=f"a base with events ({self.dim},), as dim says",
                    got=str(tuple(start.event_shape)),
                    remedy=f"Write dim={start.event_shape[-1]}.",
                )
            )

    def __repr__(self) -> str:
        how = f"{self.steps} leapfrog steps from the base's draw"
        return f"Hamiltonian: {self.factorisation}\n{how}\n{super().__repr__()}"


def _is_real_vector(support: Any) -> bool:
    event_dim = support.event_dim
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real and event_dim == 1


def _check_parts(base: Any, model: Any) -> None:
    if not isinstance(base, Amortized):
        raise TypeError(
            explain(
                "base",
                expected="a guides.Amortized",
                got=type(base).__name__,
                remedy="Write Hamiltonian(Amortized(z=(net, head)), model, dim=8).",
            )
        )
    if len(base.sites) != 1:
        raise ValueError(
            explain(
                "base",
                expected="one latent site, of which the density comes with the draw",
                got=str(list(base.sites)),
                remedy="Make them one vector, of which the decoder takes its parts.",
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


def _check_settings(dim: int, steps: int, step_size: float, temperature: float) -> None:
    for name, count, least in (("dim", dim, 1), ("steps", steps, 0)):
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(
                explain(name, expected=f"an integer from {least}", got=repr(count), remedy="Try 5.")
            )
    for name, value, typical in (("step_size", step_size, 0.1), ("temperature", temperature, 1.0)):
        if not is_positive(value):
            raise ValueError(
                explain(name, expected="a positive number", got=shown(value), remedy=f"Try {typical}.")
            )
