"""The total correlation of the latents, weighed apart from the rest of the KL term."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Unpack

import torch
from torch import Tensor
from torch.distributions import Independent

from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Latent, Term
from pyrovae.objectives.estimators import Estimator
from pyrovae.objectives.explanation import describe
from pyrovae.objectives.objective import Options
from pyrovae.objectives.schedules import Schedule, weight
from pyrovae.objectives.termwise import Termwise, Weighed


class BetaTC(Termwise):
    r"""The :math:`\beta`-TC-VAE: the KL term in three parts, with a weight for each.

    .. math:: \mathbb E_q[\log p(x \mid z)] - \alpha\, I_q(x; z)
        - \beta\, \mathrm{KL}\Big(q(z) \,\Big\|\, \prod_j q(z_j)\Big)
        - \gamma\, \Big(\mathbb E \log \prod_j q(z_j) - \mathbb E \log p(z)\Big)

    with the aggregate posterior :math:`q(z) = \mathbb E_{p(x)}\, q(z \mid x)`, estimated from a batch of
    :math:`B` by minibatch weighted sampling, which is biased:

    .. math:: \log q(z_i) \approx \log \frac{1}{N B} \sum_j q(z_i \mid x_j)

    For :math:`\alpha = \beta = \gamma = 1` the parts add up to the ELBO.

    Arguments:
        num_data: :math:`N`, the size of the data set.
        beta: :math:`\beta`, of the total correlation; a number or a schedule.
        alpha, gamma: of the mutual information, and of the dimension-wise divergence.
        options: as of :class:`Termwise`.

    It needs one particle, reparameterized sites, and guides that factorise over the latent's dimensions.

    References:
        Chen et al., 2018, Isolating Sources of Disentanglement in Variational Autoencoders,
        https://arxiv.org/abs/1802.04942
    """

    enumerates = False

    def __init__(
        self,
        num_data: int,
        *,
        beta: float | Schedule = 6.0,
        alpha: float | Schedule = 1.0,
        gamma: float | Schedule = 1.0,
        **options: Unpack[Options],
    ) -> None:
        if not isinstance(num_data, int) or num_data < 1:
            raise ValueError(
                explain(
                    "BetaTC, num_data",
                    expected="the number of training data",
                    got=repr(num_data),
                    remedy="Try len(x_train).",
                )
            )
        super().__init__(1, kl="monte carlo", **options)
        self.num_data, self.beta = num_data, weight("beta", beta)
        self.alpha, self.gamma = weight("alpha", alpha), weight("gamma", gamma)

    def refuses(self, estimator: Estimator) -> str | None:
        return needs_path(estimator)

    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        weighed = [term for term in terms if not term.is_latent]
        for latent in drawn.latents:
            log_q, log_prior = drawn.posteriors[latent.name], drawn.priors[latent.name]
            joint, product = self._aggregate(drawn, latent)
            alpha, beta, gamma = (self._at(w, joint) for w in (self.alpha, self.beta, self.gamma))
            parts = alpha * (-log_q.value - joint) + beta * (joint - product)
            parts = parts + gamma * (product - log_prior.value)
            weighed.append(Term(latent.name, "prior", -parts, log_prior.scale, log_q.plates, latent.places))
        return Weighed(weighed)

    def _aggregate(self, drawn: Draw, latent: Latent) -> tuple[Tensor, Tensor]:
        """log q(z_i), and the sum of log q(z_ij) over dimensions, ``(1, n)``, by the batch's posteriors."""
        fn = latent.guide
        if not isinstance(fn, Independent) or fn.base_dist.event_shape or len(fn.event_shape) != 1:
            raise ValueError(
                explain(
                    f"guide, site {latent.name!r}",
                    expected="a distribution that factorises over the dimensions of a vector, .to_event(1)",
                    got=describe(fn),
                    remedy="Use InfoVAE, or give the guide such a head.",
                )
            )
        if drawn.data is None or drawn.data.dim != -1 or latent.plates != {drawn.data}:
            raise ValueError(
                explain(
                    f"guide, site {latent.name!r}",
                    expected="the data plate, and no other, at the rightmost dimension",
                    got=f"the plates {sorted(plate.name for plate in latent.plates)}",
                    remedy="BetaTC compares every latent with the posterior of every datum.",
                )
            )
        pairs = fn.base_dist.log_prob(latent.value.unsqueeze(-2))
        share = math.log(self.num_data * drawn.size)
        joint = torch.logsumexp(pairs.sum(-1), -1) - share
        product = (torch.logsumexp(pairs, -2) - share).sum(-1)
        shape = drawn.posteriors[latent.name].value.shape
        return joint.expand(shape), product.expand(shape)

    def _schedules(self) -> Iterator[Schedule]:
        yield from super()._schedules()
        yield from (value for value in (self.alpha, self.beta, self.gamma) if isinstance(value, Schedule))

    def _options(self) -> list[str]:
        return [
            *super()._options(),
            f"num_data={self.num_data}",
            f"alpha={self.alpha}",
            f"gamma={self.gamma}",
        ]


def needs_path(estimator: Estimator) -> str | None:
    """Refuses estimators whose draws can't be differentiated."""
    if estimator.scores or estimator.is_cut:
        return "its penalty is differentiated along the path of the draws"
    return None
