"""A head with several modes: a mixture of diagonal normals."""

from __future__ import annotations

from torch import Tensor

from pyrovae import distributions
from pyrovae.heads._sizes import positive
from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class NormalMixture:
    r"""A mixture of diagonal normals, of which the network gives weights, locs and variances.

    .. math::
        \mathrm{head}(t) = \sum_{k=1}^K \pi_k\, \mathcal N(\mu_k, \operatorname{diag} e^{s_k}), \qquad
        \pi = \operatorname{softmax}(\ell), \qquad (\mu, s, \ell) = t

    Its draws have unbiased gradients, see :class:`pyrovae.distributions.NormalMixture`; those of the weights
    are noisy where the components lie far apart. No divergence of it is known in closed form: the ELBO takes
    the draws' densities. At :math:`t = 0` the components are one and the same; the network's weights tell
    them apart. For events of one dimension only.

    Arguments:
        components: K, how many.

    Shapes: features ``(..., K (2 d + 1))`` become an event ``(d,)``: K rows of d locs, K rows of d log
    variances, K logits.

    Raises:
        ValueError: for a number of components that isn't positive, or a last dimension of another size.

    References:
        Figurnov, Mohamed and Mnih, 2018, Implicit Reparameterization Gradients,
        https://arxiv.org/abs/1805.08498
        Jankowiak and Karaletsos, 2019, Pathwise Derivatives for Multivariate Distributions,
        https://arxiv.org/abs/1806.01851

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.NormalMixture(components=3)
        >>> head.features(2)
        15
        >>> head(torch.zeros(5, 15))
        NormalMixture(components=3, batch_shape=(5,), event_shape=(2,))
    """

    event_dim = 1

    def __init__(self, components: int) -> None:
        positive("NormalMixture", components=components)
        self.components = components

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        return self.components * (2 * entries("heads.NormalMixture", d) + 1)

    def __call__(self, t: Tensor) -> Distribution:
        count = self.components
        d = (last(t) // count - 1) // 2
        if d < 1 or self.features(d) != last(t):
            raise misfit(
                "heads.NormalMixture",
                t,
                f"{count} * (2 d + 1) (for each component d locs, d log variances and a logit)",
                "Give the network features(d) outputs.",
            )
        loc, log_variance, logits = t.split([count * d, count * d, count], -1)
        loc, log_variance = (x.unflatten(-1, (count, d)) for x in (loc, log_variance))
        return distributions.NormalMixture(loc, (0.5 * log_variance).exp(), logits)

    def __repr__(self) -> str:
        return f"NormalMixture(components={self.components})"
