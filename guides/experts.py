"""Guides of several views: each has an expert, and what they say is multiplied, or mixed."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrovae.distributions import EqualMixture
from pyrovae.guides._expert_views import ExpertViews
from pyrovae.guides._normals import loc_and_scale
from pyrovae.types import Distribution


class ProductOfExperts(ExpertViews):
    r"""A posterior that multiplies what each view says with what the prior says, as Bayes' rule does.

    .. math::
        q(z \mid x_1, \dots, x_m) \propto p(z) \prod_{i\, \text{present}} \tilde q_i(z \mid x_i), \qquad
        \tilde q_i = \mathcal N(\mu_i, \operatorname{diag} \sigma_i^2)

    Given z the views are independent, so the true posterior is such a product, with
    :math:`\tilde q_i \propto p(x_i \mid z)`. Of normals it is a normal again:

    .. math::
        \frac{1}{\sigma^2} = \frac{1}{\sigma_0^2} + \sum_i \frac{1}{\sigma_i^2}, \qquad
        \mu = \sigma^2 \Big(\frac{\mu_0}{\sigma_0^2} + \sum_i \frac{\mu_i}{\sigma_i^2}\Big)

    with the prior's :math:`\mu_0, \sigma_0`. One posterior for all :math:`2^m` subsets of views: an expert
    whose view is missing is left out of the sums, exactly, and without any view the posterior is the prior.
    An expert that never had to speak alone may not have learned to: train on data of which some views are
    missing, if need be by setting them to NaN at random.

    Arguments:
        prior: of the model, the same object; a diagonal normal.
        views: by name, in the order of the data, pairs (network, head), the head one of diagonal normals.

    Shapes: called as ``guide(x_1, ..., x_m)``, each ``(n, ...)``. A view of a datum that is NaN throughout is
        missing, and so is, for all data, a view that is None or not given. Its network is given zeros
        in place of it, and must not mix the data, as batch normalisation does in training. Of a view with
        some NaN the network is given those: take :class:`pyrovae.nets.Filled`.

    Raises:
        TypeError: for no views, a view without a pair, or, when called, other distributions than normals.
        ValueError: when called without data.

    References:
        Wu and Goodman, 2018, Multimodal Generative Models for Scalable Weakly-Supervised Learning,
        https://arxiv.org/abs/1802.05335
        Hinton, 2002, Training Products of Experts by Minimizing Contrastive Divergence,
        Neural Computation 14.

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, heads, nets, priors
        >>> pyro.set_rng_seed(0)
        >>> guide = guides.ProductOfExperts(
        ...     priors.StandardNormal(2),
        ...     top=(nets.MLP(32, 16, 2 * 2), heads.normal),
        ...     bottom=(nets.MLP(32, 16, 2 * 2), heads.normal),
        ... )
        >>> print(repr(guide).splitlines()[0])
        ProductOfExperts: p(z) q(z | top) q(z | bottom)
        >>> nothing = torch.full((1, 32), torch.nan)
        >>> print(guide.posterior("z", nothing, nothing).mean)
        tensor([[0., 0.]], grad_fn=<SumBackward1>)
    """

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, up to a constant."""
        return " ".join(["p(z)", *(f"q(z | {view})" for view in self.views)])

    def posterior(self, site: str, *views: Tensor | None) -> Distribution:
        """The distribution q(z | views), batch shape ``(n,)``; a view may be None, or NaN datum by datum."""
        loc, scale = loc_and_scale("ProductOfExperts, prior", self.prior())
        locs, log_precisions = [loc], [-2 * scale.log()]
        for name, (posterior, present) in self._experts(views).items():
            loc, scale = loc_and_scale(f"ProductOfExperts, view {name!r}", posterior)
            there = present.unsqueeze(-1)
            locs.append(torch.where(there, loc, 0.0))
            log_precisions.append(torch.where(there, -2 * scale.log(), -torch.inf))
        stacked = torch.stack(torch.broadcast_tensors(*log_precisions))
        mean = (stacked.softmax(0) * torch.stack(torch.broadcast_tensors(*locs))).sum(0)
        return dist.Normal(mean, (-0.5 * stacked.logsumexp(0)).exp()).to_event(1)


class MixtureOfExperts(ExpertViews):
    r"""A posterior that mixes what each view says, in equal shares.

    .. math::
        q(z \mid x_1, \dots, x_m) = \frac{1}{|S|} \sum_{i \in S} q_i(z \mid x_i), \qquad
        S = \{i\, \text{present}\}

    Each view has a say for itself, the one that it would have alone; so all experts learn to speak alone, and
    none can veto the others. The price: what only several views together tell, no expert says, for each sees
    one. An expert whose view is missing is left out, exactly; without any view the posterior is the prior.

    A draw comes from one expert, at random. The paper draws from each, which has the same mean: use several
    particles.

    Arguments:
        prior: of the model, the same object.
        views: by name, in the order of the data, pairs (network, head), of any posteriors of one support.

    Shapes: as of :class:`ProductOfExperts`.

    Raises:
        TypeError: for no views, or a view without a pair.
        ValueError: when called, without data, or for experts of different shapes.

    References:
        Shi, Siddharth, Paige and Torr, 2019, Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep
        Generative Models, https://arxiv.org/abs/1911.03393

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, heads, nets, priors
        >>> pyro.set_rng_seed(0)
        >>> guide = guides.MixtureOfExperts(
        ...     priors.StandardNormal(2),
        ...     top=(nets.MLP(32, 16, 2 * 2), heads.normal),
        ...     bottom=(nets.MLP(32, 16, 2 * 2), heads.normal),
        ... )
        >>> print(repr(guide).splitlines()[0])
        MixtureOfExperts: q(z | top) / 2 + q(z | bottom) / 2
        >>> guide(torch.zeros(5, 32), torch.zeros(5, 32))["z"].shape
        torch.Size([5, 2])
    """

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, where no view is missing."""
        share = f" / {len(self.views)}" if len(self.views) > 1 else ""
        return " + ".join(f"q(z | {view}){share}" for view in self.views)

    def posterior(self, site: str, *views: Tensor | None) -> Distribution:
        """The distribution q(z | views), batch shape ``(n,)``; a view may be None, or NaN datum by datum."""
        experts = self._experts(views).values()
        present = torch.stack([expert.present for expert in experts], dim=-1)
        prior = self.prior().expand(present.shape[:-1])
        nothing = ~present.any(-1, keepdim=True)
        components = [*(expert.posterior for expert in experts), prior]
        return EqualMixture(components, torch.cat([present, nothing], dim=-1))
