"""The evidence lower bound, and the weight of its KL term."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Term
from pyrovae.objectives.schedules import Schedule, weight
from pyrovae.objectives.termwise import TermOptions, Termwise, Weighed


class ELBO(Termwise):
    r"""The evidence lower bound, and the :math:`\beta`-VAE's objective.

    .. math:: \mathcal L = \mathbb E_{q(z \mid x)}\big[\log p(x \mid z)\big]
        - \beta\, \mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big) \le \log p(x) \quad \text{for } \beta = 1

    Expectations are means over particles, exact over what is enumerated. Latent sites that only the model
    has are summed out of it, where they are finite and marked ``infer={"enumerate": "parallel"}``.

    Arguments:
        num_particles: draws of the guide for each datum.
        beta: the weight of the KL terms, a number or a schedule, of both sides of every latent site alike.
        options: ``kl`` of :class:`Termwise`; ``estimators`` and others of :class:`Objective`.

    Raises:
        ValueError: by site, for a pair that it isn't defined for.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114
        Higgins et al., 2017, beta-VAE, https://openreview.net/forum?id=Sy2fzU9gl

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> pyro.set_rng_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), pv.heads.normal))
        >>> elbo = pv.objectives.ELBO(num_particles=4)
        >>> elbo.per_datum(model, guide, torch.zeros(3, 16)).shape
        torch.Size([3])
        >>> print(elbo.explain(model, guide, torch.zeros(3, 16)))
        ELBO(num_particles=4)
        site  guide      prior      gradient    unbiased  term         why
        z     Normal(2)  Normal(2)  Pathwise()  yes       closed form  reparameterized: no bias, low variance
    """

    def __init__(
        self, num_particles: int = 1, *, beta: float | Schedule = 1.0, **options: Unpack[TermOptions]
    ) -> None:
        super().__init__(num_particles, **options)
        self.beta = weight("beta", beta)

    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        """What is made of the terms of the ELBO."""
        if isinstance(self.beta, float) and self.beta == 1.0:
            return Weighed(terms)
        beta = self._at(self.beta, terms[0].value)
        return Weighed([term.times(beta) if term.is_latent else term for term in terms])

    def _schedules(self) -> Iterator[Schedule]:
        if isinstance(self.beta, Schedule):
            yield self.beta

    def _options(self) -> list[str]:
        return [*super()._options(), *([] if self.beta == 1.0 else [f"beta={self.beta!r}"])]
