"""Free bits: a part of the rate that costs nothing, so that the latents have no reason to be given up."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, Unpack, get_args

import torch
from torch import Tensor
from torch.distributions import Independent

from pyrovae.distributions import per_dimension
from pyrovae.errors import explain
from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Latent, Term
from pyrovae.objectives.explanation import describe
from pyrovae.objectives.termwise import TermOptions, Termwise, Weighed

Group = Literal["dimension", "site"]


class FreeBits(Termwise):
    r"""The ELBO whose KL terms aren't pushed below a number of nats.

    .. math:: \mathbb E_q[\log p(x \mid z)] - \sum_g \max\big(\lambda,\; \overline{\mathrm{KL}}_g\big)

    with :math:`\overline{\mathrm{KL}}_g` the mean over the batch of one dimension's KL, or of one site's.

    Arguments:
        nats: :math:`\lambda`, for each group, nats per datum.
        per: what a group is: "dimension" of a latent vector, or "site".
        num_particles, options: as of :class:`Termwise`.

    Raises:
        ValueError: by site, where the dimensions of a latent vector can't be told apart: both distributions
            must factorise over them.

    References:
        Kingma et al., 2016, Improved Variational Inference with Inverse Autoregressive Flow, appendix C.8,
        https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        nats: float = 0.1,
        *,
        per: Group = "dimension",
        num_particles: int = 1,
        **options: Unpack[TermOptions],
    ) -> None:
        super().__init__(num_particles, **options)
        if per not in get_args(Group):
            raise ValueError(
                explain(
                    "FreeBits, per", expected='"dimension" or "site"', got=repr(per), remedy="Choose one."
                )
            )
        if not isinstance(nats, int | float) or not 0 <= nats < math.inf:
            raise ValueError(
                explain("FreeBits, nats", expected="a number, 0 or more", got=repr(nats), remedy="Try 0.1.")
            )
        self.nats, self.per = float(nats), per

    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        weighed = [term for term in terms if not term.is_latent]
        loss = -self._total(drawn, weighed)
        for latent in drawn.latents:
            own = [term for term in terms if term.is_latent and term.name == latent.name]
            groups = [self._groups(drawn, latent, term) for term in own]
            rates = -torch.stack([_batch_mean(drawn, term, values) for term, values in groups]).sum(0)
            loss = loss + rates.clamp(min=self.nats).sum() * drawn.count
            paid = (rates > self.nats).to(rates.dtype).detach()
            weighed += [replace(term, value=(values * paid).sum(-1)) for term, values in groups]
        return Weighed(weighed, loss=loss)

    def _groups(self, drawn: Draw, latent: Latent, term: Term) -> tuple[Term, Tensor]:
        """A term and its parts, ``(..., groups)``."""
        if self.per == "site" or not latent.guide.event_shape:
            return term, term.value.unsqueeze(-1)
        parts = []
        for run in latent.each:
            found = _elements(run, term)
            if found is not None:
                found = found.flatten(-len(run.guide.event_shape))
                parts.append(found.expand(*run.log_q.shape, found.shape[-1]))
        if not parts:
            raise ValueError(
                explain(
                    f"site {latent.name!r}",
                    expected="a guide and a prior that factorise over the dimensions of the latent",
                    got=f"{describe(latent.guide)} and {describe(latent.prior)}",
                    remedy='Use FreeBits(per="site").',
                )
            )
        together = torch.cat(parts, drawn.layout.dim - 1)
        return term, together if latent.mask is None else torch.where(latent.mask[..., None], together, 0.0)

    def _options(self) -> list[str]:
        return [*super()._options(), f"nats={self.nats}", f"per={self.per!r}"]


def _elements(latent: Latent, term: Term) -> Tensor | None:
    """A term's parts by element of the event, or None."""
    if term.kind == "rate":
        divergence = per_dimension(latent.guide, latent.prior)
        return None if divergence is None else -divergence
    fn = latent.prior if term.kind == "prior" else latent.guide
    if not isinstance(fn, Independent) or fn.base_dist.event_shape or latent.drawn.densities is not None:
        return None
    parts: Tensor = fn.base_dist.log_prob(latent.value)
    return parts if term.kind == "prior" else -parts


def _batch_mean(drawn: Draw, term: Term, values: Tensor) -> Tensor:
    """The mean over data and particles of the sum over other plates, for each group."""
    if values.shape[-1] == 1:
        values = drawn.expectation(values.squeeze(-1), term.plates).unsqueeze(-1)
    return values.sum(list(range(values.dim() - 1))) / (drawn.layout.particles * drawn.size)
