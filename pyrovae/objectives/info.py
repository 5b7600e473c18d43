"""Matching the aggregate posterior to the prior: InfoVAE and the Wasserstein autoencoder."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Latent, Term
from pyrovae.objectives.beta_tc import needs_path
from pyrovae.objectives.discrepancy import InverseMultiquadric, Kernel, squared_mmd
from pyrovae.objectives.estimators import Estimator
from pyrovae.objectives.schedules import weight
from pyrovae.objectives.termwise import TermOptions, Termwise, Weighed


class InfoVAE(Termwise):
    r"""The ELBO with less of its KL term, and a discrepancy between aggregate posterior and prior.

    .. math:: \mathbb E_q[\log p(x \mid z)] - (1 - \alpha)\, \mathrm{KL}(q(z \mid x) \,\|\, p(z))
        - (\alpha + \lambda - 1)\, \mathrm{MMD}^2(q(z), p(z))

    The squared maximum mean discrepancy is that of the batch's draws, all particles, and as many draws of the
    prior; each datum pays it once.

    Arguments:
        alpha: :math:`\alpha`, at most 1: the higher, the more the latents may tell about the data.
        strength: :math:`\lambda`, at least :math:`1 - \alpha`.
        kernel: of the discrepancy; by default the sum of inverse multiquadrics.
        num_particles, options: as of :class:`Termwise`.

    It is defined for one latent vector per datum, reparameterized, whose prior is the same for all data.

    References:
        Zhao, Song and Ermon, 2019, InfoVAE: Balancing Learning and Inference in Variational Autoencoders,
        https://arxiv.org/abs/1706.02262
    """

    enumerates = False

    def __init__(
        self,
        alpha: float = 0.0,
        strength: float = 10.0,
        *,
        kernel: Kernel | None = None,
        num_particles: int = 1,
        **options: Unpack[TermOptions],
    ) -> None:
        super().__init__(num_particles, **options)
        if not isinstance(alpha, int | float) or not alpha <= 1:
            raise ValueError(
                explain("InfoVAE, alpha", expected="a number of at most 1", got=repr(alpha), remedy="Try 0.")
            )
        self.alpha, self.strength = float(alpha), weight("strength", strength)
        if not isinstance(strength, int | float) or strength < 1 - alpha:
            raise ValueError(
                explain(
                    f"{type(self).__name__}, strength",
                    expected=f"a number of at least 1 - alpha = {1 - alpha:g}",
                    got=repr(strength),
                    remedy="Below that the discrepancy would be rewarded.",
                )
            )
        self.kernel = InverseMultiquadric() if kernel is None else kernel

    def refuses(self, estimator: Estimator) -> str | None:
        return needs_path(estimator)

    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        share = 1.0 - self.alpha
        kept = [term.times(share) if term.is_latent else term for term in terms]
        if share == 0.0:
            kept = [term for term in terms if not term.is_latent]
        strength = self.alpha + float(self.strength) - 1.0  # type: ignore[arg-type]
        penalty = strength * squared_mmd(*_samples(_only(drawn)), self.kernel) * drawn.count
        return Weighed(kept, loss=penalty - self._total(drawn, kept), penalty=penalty)

    def _check(self, drawn: Draw) -> None:
        super()._check(drawn)
        _only(drawn)

    def _options(self) -> list[str]:
        return [
            *super()._options(),
            f"alpha={self.alpha}",
            f"strength={self.strength}",
            f"kernel={self.kernel}",
        ]


class WAE(InfoVAE):
    r"""The Wasserstein autoencoder: reconstruction, and the discrepancy in place of the KL term.

    .. math:: \mathbb E_q[\log p(x \mid z)] - \lambda\, \mathrm{MMD}^2(q(z), p(z))

    The cost of transport is :math:`-\log p(x \mid z)`: with a normal likelihood of fixed scale, squared
    distance. The guide may be a point: ``dist.Delta``.

    Arguments:
        strength: :math:`\lambda`.
        kernel, num_particles, options: as of :class:`InfoVAE`.

    References:
        Tolstikhin et al., 2018, Wasserstein Auto-Encoders, https://arxiv.org/abs/1711.01558
    """

    def __init__(
        self,
        strength: float = 10.0,
        *,
        kernel: Kernel | None = None,
        num_particles: int = 1,
        **options: Unpack[TermOptions],
    ) -> None:
        super().__init__(1.0, strength, kernel=kernel, num_particles=num_particles, **options)

    def _options(self) -> list[str]:
        return [option for option in super()._options() if not option.startswith("alpha=")]


def _only(drawn: Draw) -> Latent:
    """The one latent vector that a discrepancy is about."""
    first = drawn.latents[0]
    if len(drawn.latents) != 1 or first.prior is None or len(first.guide.event_shape) != 1:
        names = ", ".join(repr(latent.name) for latent in drawn.latents)
        raise ValueError(
            explain(
                f"sites {names}",
                expected="one latent vector per datum, to compare its aggregate with the prior",
                got="several latent sites, or no vector",
                remedy="Use ELBO, CapacityELBO or FreeBits, which take any number of sites.",
            )
        )
    return first


def _samples(latent: Latent) -> tuple[Tensor, Tensor]:
    """The draws of the aggregate posterior, and as many of the prior, ``(m, d)``."""
    dim = latent.value.shape[-1]
    with torch.no_grad():
        prior = [run.prior.sample().expand(run.value.shape).reshape(-1, dim) for run in latent.each]
    return torch.cat([run.value.reshape(-1, dim) for run in latent.each]), torch.cat(prior)
