"""A head for one choice among several, as a vector of a single one."""

from __future__ import annotations

import pyro.distributions as dist
from torch import Tensor

from pyrovae.heads._vectors import entries, last, misfit
from pyrovae.types import Distribution


class OneHot:
    r"""A choice among d, by logits; an event is a vector of zeros and a single one.

    .. math:: \mathrm{head}(t) = \mathrm{Categorical}\big(\operatorname{softmax}(t)\big)

    A decoder takes the vector as it is. Draws have no gradients: of up to 64 values an ``ELBO`` takes the
    exact expectation, of more the score function (see :mod:`pyrovae.objectives`). The divergence to another
    such choice is in closed form. For events of one dimension only.

    Shapes: features ``(..., d)`` become an event ``(d,)``, d from 2 on.

    Raises:
        ValueError: for a last dimension of fewer than two.

    References:
        Kingma, Rezende, Mohamed and Welling, 2014, Semi-supervised Learning with Deep Generative Models,
        https://arxiv.org/abs/1406.5298

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> q = heads.OneHot()(torch.zeros(5, 4))
        >>> q.log_prob(torch.tensor([0.0, 0.0, 1.0, 0.0]))[0]  # ln(1/4)
        tensor(-1.3863)
    """

    event_dim = 1

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries."""
        return entries("heads.OneHot", d, least=2)

    def __call__(self, t: Tensor) -> Distribution:
        if last(t) < 2:
            raise misfit("heads.OneHot", t, "2 or more (a logit for each choice)", "Give it d outputs.")
        return dist.OneHotCategorical(logits=t)

    def __repr__(self) -> str:
        return "OneHot()"
