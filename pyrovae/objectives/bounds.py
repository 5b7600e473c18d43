"""Tighter lower bounds: importance weighted (IWAE, CIWAE, MIWAE, PIWAE) and Renyi's."""

from __future__ import annotations

import math
from typing import Unpack

from pyrovae.errors import explain
from pyrovae.objectives._power_means import Part
from pyrovae.objectives.multi_sample import MultiSample
from pyrovae.objectives.objective import Options


class IWAE(MultiSample):
    r"""The importance weighted bound, tighter with every particle.

    .. math:: \mathcal L_K = \mathbb E\Big[\log \frac1K \sum_{k=1}^K w_k\Big],
        \qquad \mathcal L_1 = \mathrm{ELBO} \le \mathcal L_K \le \log p(x)

    For latents that aren't reparameterized it is VIMCO: their gradient is the score function's, with what the
    bound would be without the particle as baseline. For others ``estimators=DoublyReparameterized()`` keeps
    the guide's gradient from drowning in noise as K grows.

    Arguments:
        num_particles: :math:`K`.

    References:
        Burda, Grosse and Salakhutdinov, 2016, Importance Weighted Autoencoders,
        https://arxiv.org/abs/1509.00519
        Mnih and Rezende, 2016, Variational Inference for Monte Carlo Objectives,
        https://arxiv.org/abs/1602.06725

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> pyro.set_rng_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), pv.heads.normal))
        >>> iwae = pv.objectives.IWAE(50, estimators=pv.objectives.DoublyReparameterized())
        >>> iwae.per_datum(model, guide, torch.zeros(3, 16)).shape
        torch.Size([3])
    """

    def __init__(self, num_particles: int = 50, **options: Unpack[Options]) -> None:
        super().__init__(num_particles, **options)

    def _parts(self) -> tuple[list[Part], list[Part]]:
        parts = [Part(1.0, 1, 1.0)]
        return parts, parts


class CIWAE(MultiSample):
    r"""A convex combination of ELBO and IWAE, from the same particles.

    .. math:: \beta\, \mathcal L_1 + (1 - \beta)\, \mathcal L_K

    Arguments:
        beta: the ELBO's share, in [0, 1].
        num_particles: :math:`K`.

    References:
        Rainforth et al., 2018, Tighter Variational Bounds are Not Necessarily Better,
        https://arxiv.org/abs/1802.04537
    """

    def __init__(self, beta: float = 0.5, num_particles: int = 50, **options: Unpack[Options]) -> None:
        if not 0 <= beta <= 1:
            raise ValueError(
                explain("CIWAE, beta", expected="a number in [0, 1]", got=repr(beta), remedy="Try 0.05.")
            )
        self.beta = float(beta)
        super().__init__(num_particles, **options)

    def _parts(self) -> tuple[list[Part], list[Part]]:
        parts = [Part(self.beta, self.num_particles, 0.0), Part(1 - self.beta, 1, 1.0)]
        return parts, parts

    def _options(self) -> list[str]:
        return [f"beta={self.beta}", f"num_particles={self.num_particles}"]


class MIWAE(MultiSample):
    r"""The mean of several IWAE bounds, each of particles of its own.

    .. math:: \frac1M \sum_{m=1}^M \log \frac1K \sum_{k=1}^K w_{m,k}

    Arguments:
        num_groups: :math:`M`.
        group_size: :math:`K`, particles in each.

    References:
        Rainforth et al., 2018, Tighter Variational Bounds are Not Necessarily Better,
        https://arxiv.org/abs/1802.04537
    """

    def __init__(self, num_groups: int = 8, group_size: int = 8, **options: Unpack[Options]) -> None:
        for name, value in (("num_groups", num_groups), ("group_size", group_size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    explain(
                        f"{type(self).__name__}, {name}",
                        expected="a whole number of at least 1",
                        got=repr(value),
                        remedy="Try 8.",
                    )
                )
        self.num_groups, self.group_size = num_groups, group_size
        super().__init__(num_groups * group_size, **options)

    def _parts(self) -> tuple[list[Part], list[Part]]:
        parts = [Part(1.0, self.num_groups, 1.0)]
        return parts, parts

    def _options(self) -> list[str]:
        return [f"num_groups={self.num_groups}", f"group_size={self.group_size}"]


class PIWAE(MIWAE):
    r"""The model is trained by IWAE of all particles, the guide by MIWAE, which keeps its gradient strong.

    .. math:: \theta: \; \log \frac{1}{MK} \sum_{m,k} w_{m,k}, \qquad
        \phi: \; \frac1M \sum_m \log \frac1K \sum_k w_{m,k}

    Reparameterized sites are doubly reparameterized. What is reported is the model's bound.

    Arguments:
        num_groups: :math:`M`.
        group_size: :math:`K`, particles in each.

    References:
        Rainforth et al., 2018, Tighter Variational Bounds are Not Necessarily Better,
        https://arxiv.org/abs/1802.04537
    """

    def _parts(self) -> tuple[list[Part], list[Part]]:
        return [Part(1.0, 1, 1.0)], [Part(1.0, self.num_groups, 1.0)]


class Renyi(MultiSample):
    r"""The variational Renyi bound.

    .. math:: \mathcal L_\alpha = \frac{1}{1 - \alpha} \log \frac1K \sum_k w_k^{1 - \alpha}

    :math:`\alpha = 0` is IWAE, :math:`\alpha \to 1` the ELBO, and :math:`\alpha < 0` an upper bound as
    :math:`K \to \infty`, with a downward bias for few particles.

    Arguments:
        alpha: :math:`\alpha`, finite.
        num_particles: :math:`K`.

    References:
        Li and Turner, 2016, Rényi Divergence Variational Inference, https://arxiv.org/abs/1602.02311
    """

    def __init__(self, alpha: float = 0.5, num_particles: int = 50, **options: Unpack[Options]) -> None:
        if not isinstance(alpha, int | float) or not math.isfinite(alpha):
            raise ValueError(
                explain("Renyi, alpha", expected="a finite number", got=repr(alpha), remedy="Try 0.5.")
            )
        self.alpha = float(alpha)
        super().__init__(num_particles, **options)

    def _parts(self) -> tuple[list[Part], list[Part]]:
        parts = [Part(1.0, 1, 1.0 - self.alpha)]
        return parts, parts

    def _options(self) -> list[str]:
        return [f"alpha={self.alpha}", f"num_particles={self.num_particles}"]


class CUBO(MultiSample):
    r"""The chi-square upper bound, a companion to the lower ones.

    .. math:: \mathcal U = \frac1n \log \mathbb E_q[w^n] \ge \log p(x), \qquad
        \hat{\mathcal U} = \frac1n \log \frac1K \sum_k w_k^n

    Minimised over the guide only: an upper bound pulled down by the model would lower the evidence. The
    estimate approaches the bound from below as the particles grow in number. The loss is the bound itself.

    Arguments:
        num_particles: :math:`K`.
        order: :math:`n`, at least 1.

    References:
        Dieng et al., 2017, Variational Inference via chi Upper Bound Minimization,
        https://arxiv.org/abs/1611.00328
    """

    def __init__(self, num_particles: int = 50, *, order: float = 2.0, **options: Unpack[Options]) -> None:
        if not isinstance(order, int | float) or not 1 <= order < math.inf:
            raise ValueError(
                explain("CUBO, order", expected="a number of at least 1", got=repr(order), remedy="Try 2.0.")
            )
        self.order = float(order)
        super().__init__(num_particles, **options)

    def _parts(self) -> tuple[list[Part], list[Part]]:
        return [], [Part(-1.0, 1, self.order)]

    @property
    def _sign(self) -> float:
        return -1.0

    def _options(self) -> list[str]:
        return [f"num_particles={self.num_particles}", f"order={self.order}"]
