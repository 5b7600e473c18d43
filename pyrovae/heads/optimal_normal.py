"""The normal head of sigma-VAE: one shared variance, set to what the residuals are instead of learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.arguments import is_positive, shown
from pyrovae.distributions import FittedNormal, LogScaleNormal
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, entries, joined
from pyrovae.types import Distribution


class OptimalNormal(nn.Module):
    r"""A normal around the network's output whose one scale is the optimal one, in closed form.

    In training mode, of the N entries of all data in a batch (and of all particles)

    .. math::
        \log p(x \mid t) = \log \mathcal N(x \mid t, \hat\sigma^2 I), \qquad
        \hat\sigma^2 = \frac1N \sum_{i=1}^N (x_i - t_i)^2

    so that the balance of reconstruction and KL needs no tuning and no learning rate of its own. The gradient
    is the paper's: it takes :math:`\hat\sigma` as given, and by its optimality that is the whole gradient of
    the ELBO.

    *What is a bound.* In training the numbers are no density: :math:`\hat\sigma` has seen the very data that
    it scores, so they exceed the log likelihood at any fixed scale, and an ELBO of them is not a bound on the
    evidence of one model. A running mean of :math:`\hat\sigma^2` is kept, as batch normalisation keeps its
    statistics; in evaluation mode (``model.eval()``, which :func:`pyrovae.fit` sets for validation and
    evaluation) the head is a normal of that fixed scale, with honest densities and bounds. Samples have the
    fixed scale in both modes.

    It is a likelihood: a posterior has no data to measure its scale by. Under objectives other than the ELBO
    (importance weighted ones) :math:`\hat\sigma` is still that of the plain mean. Missing entries would count
    as residuals: don't put it under ``Masked``.

    Arguments:
        momentum: the weight of a batch in the running mean, once 1 / momentum batches have come; until then
            it is the plain mean of all.
        least: :math:`\sigma` never falls below, on the scale of the data: where residuals vanish, as discrete
            data let them, the density would grow without bound.
        event_dim: how many rightmost dimensions make one datum.

    Shapes: features ``(..., d)`` become an event ``(d,)``, and with ``event_dim=3`` ``(..., C, H, W)`` one
        ``(C, H, W)``.

    Raises:
        ValueError: for a momentum outside (0, 1], a scale that is not positive and finite.

    References:
        Rybkin, Daniilidis and Levine, 2021, Simple and Effective VAE Training with Calibrated Decoders,
        https://arxiv.org/abs/2006.13202

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.OptimalNormal()
        >>> x = torch.tensor([[0.3, -0.1], [0.1, 0.5]])
        >>> total = head(torch.zeros(2, 2)).log_prob(x).sum()
        >>> print(head)  # the root of the mean of 0.09, 0.01, 0.01, 0.25
        OptimalNormal(scale=0.3, momentum=0.1, least=0.001, event_dim=1)
        >>> torch.allclose(head.eval()(torch.zeros(2, 2)).log_prob(x).sum(), total)
        True
    """

    variance: Tensor
    batches: Tensor

    def __init__(self, *, momentum: float = 0.1, least: float = 1e-3, event_dim: int = 1) -> None:
        super().__init__()
        if not (is_positive(momentum) and momentum <= 1):
            raise ValueError(
                explain(
                    "heads.OptimalNormal, momentum",
                    expected="a weight in (0, 1]",
                    got=shown(momentum),
                    remedy="Try 0.1.",
                )
            )
        if not is_positive(least):
            raise ValueError(
                explain(
                    "heads.OptimalNormal, least",
                    expected="a positive scale",
                    got=shown(least),
                    remedy="Try 1e-3, a quarter of a gray level of bytes in [0, 1].",
                )
            )
        self.momentum, self.least = momentum, least
        self.event_dim = check_event_dim("OptimalNormal", event_dim)
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: d."""
        return d

    def forward(self, t: Tensor) -> Distribution:
        loc = entries("OptimalNormal", t, self.event_dim)
        if not self.training:
            return joined(LogScaleNormal(loc, 0.5 * self.variance.log()), self.event_dim)
        return joined(FittedNormal(loc, self.variance.sqrt(), fit=self._fit), self.event_dim)

    def _fit(self, mean_square: Tensor) -> Tensor:
        """The variance for residuals of a mean square, taken into the running mean."""
        fitted = mean_square.clamp(min=self.least**2)
        with torch.no_grad():
            self.batches.add_(1)
            weight = self.batches.to(self.variance.dtype).reciprocal().clamp(min=self.momentum)
            self.variance.lerp_(fitted.to(self.variance.dtype), weight)
        return fitted

    def extra_repr(self) -> str:
        return (
            f"scale={self.variance.sqrt().item():.4g}, momentum={self.momentum:g}, least={self.least:g}, "
            f"event_dim={self.event_dim}"
        )
