"""A head without any uncertainty: all the mass at one point."""

from __future__ import annotations

import pyro.distributions as dist
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim
from pyrovae.heads._vectors import entries
from pyrovae.types import Distribution


class Delta:
    r"""A point, the network's output: the posterior of an autoencoder.

    .. math:: \mathrm{head}(t) = \delta_t

    With it the ELBO is :math:`\log p(x \mid z(x)) + \log p(z(x))`: the reconstruction error and what a prior
    on codes costs, maximised over the code. That is a regularised autoencoder, and no bound of
    :math:`\log p(x)`: a point has no density, its divergence from any prior with one is infinite, and the
    infinite constant is left out. It grows without limit where the model can shrink the codes, as with a
    prior whose scale is learned. For the same reason ``evaluate.log_evidence``, and bounds of several
    particles, come to :math:`\log p(x, z(x))`, which is no evidence and to be compared with none. Generation
    from the prior needs a penalty that draws the codes to it (``objectives.WAE``), or a prior fitted to the
    codes afterwards.

    Arguments:
        event_dim: how many rightmost dimensions make one latent: 1 for vectors, 3 for feature maps.

    Shapes: features ``(..., d)`` are an event ``(d,)``, and with ``event_dim=3`` ``(..., C, H, W)`` are an
        event ``(C, H, W)``.

    Raises:
        ValueError: for an event_dim that isn't positive, an output of fewer dimensions than an event has.

    References:
        Ghosh, Sajjadi, Vergari, Black and Schölkopf, 2020, From Variational to Deterministic Autoencoders,
        https://arxiv.org/abs/1903.12436

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> heads.Delta()(torch.tensor([[0.5, -1.0]])).sample()
        tensor([[ 0.5000, -1.0000]])
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("Delta", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d."""
        return entries("heads.Delta", d)

    def __call__(self, t: Tensor) -> Distribution:
        if t.ndim < self.event_dim:
            raise ValueError(
                explain(
                    "heads.Delta",
                    expected=f"a network output of {self.event_dim} dimensions or more",
                    got=f"shape {tuple(t.shape)}",
                    remedy="Set event_dim to the dimensions of one latent.",
                )
            )
        return dist.Delta(t, event_dim=self.event_dim)

    def __repr__(self) -> str:
        return f"Delta(event_dim={self.event_dim})"
