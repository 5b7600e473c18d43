"""A KL term that is pulled to a capacity, which grows while training goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from pyrovae.objectives._draw import Draw
from pyrovae.objectives._terms import Term
from pyrovae.objectives.schedules import Linear, Schedule, weight
from pyrovae.objectives.termwise import TermOptions, Termwise, Weighed


class CapacityELBO(Termwise):
    r"""The capacity-annealed :math:`\beta`-VAE: the rate is held at a capacity.

    .. math:: \mathbb E_q[\log p(x \mid z)] - \gamma\, \big|\mathrm{KL}(q(z \mid x) \,\|\, p(z)) - C\big|

    with the KL term averaged over the batch, all latent sites together.

    Arguments:
        capacity: :math:`C`, nats per datum; a number, or a schedule such as ``Linear(0, 25, epochs=50)``.
        gamma: :math:`\gamma`, the weight of the distance.
        num_particles, options: as of :class:`Termwise`.

    Raises:
        ValueError: for a negative number.

    References:
        Burgess et al., 2018, Understanding disentangling in beta-VAE, https://arxiv.org/abs/1804.03599
    """

    def __init__(
        self,
        capacity: float | Schedule | None = None,
        *,
        gamma: float | Schedule = 100.0,
        num_particles: int = 1,
        **options: Unpack[TermOptions],
    ) -> None:
        super().__init__(num_particles, **options)
        self.capacity = weight("capacity", Linear(0.0, 25.0, epochs=20) if capacity is None else capacity)
        self.gamma = weight("gamma", gamma)

    def _weigh(self, drawn: Draw, terms: list[Term]) -> Weighed:
        rate = -self._total(drawn, [term for term in terms if term.is_latent]).detach()
        excess = rate - self._at(self.capacity, rate) * drawn.count
        gamma = self._at(self.gamma, rate)
        pulled = [term.times(gamma * excess.sign()) if term.is_latent else term for term in terms]
        stated = self._total(drawn, [term for term in terms if not term.is_latent])
        return Weighed(pulled, loss=gamma * excess.abs() - stated)

    def _schedules(self) -> Iterator[Schedule]:
        yield from super()._schedules()
        yield from (value for value in (self.capacity, self.gamma) if isinstance(value, Schedule))

    def _options(self) -> list[str]:
        return [*super()._options(), f"capacity={self.capacity}", f"gamma={self.gamma}"]
