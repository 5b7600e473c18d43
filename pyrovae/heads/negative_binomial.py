"""Negative binomial heads: overdispersed counts, of a dispersion from the network or of a shared one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.distributions.negative_binomial import NegativeBinomial as Counts
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, parts
from pyrovae.types import Distribution


class NegativeBinomial:
    r"""Independent counts of which the network gives the log mean and the log inverse dispersion.

    .. math::
        \mathrm{head}(t) = \prod_i \mathrm{NB}\big(x_i \mid \mu_i = e^{m_i},\ \theta_i = e^{r_i}\big),
        \qquad (m, r) = t, \qquad \operatorname{Var} x_i = \mu_i + \mu_i^2 / \theta_i

    with :math:`t` split in two halves along the first event dimension. The smaller :math:`\theta`, the more
    counts spread; for large :math:`\theta` they are Poisson.

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)`` become an event of shape ``(d,)``, and with ``event_dim=3`` channels
        ``(..., 2 C, H, W)`` become ``(C, H, W)``. Data are whole numbers from 0 on, as floats or integers.

    Raises:
        ValueError: when the split dimension is odd, so the network's output does not fit.

    References:
        Lopez, Regier, Cole, Jordan and Yosef, 2018, Deep Generative Modeling for Single-Cell Transcriptomics,
        Nature Methods 15, https://www.nature.com/articles/s41592-018-0229-2

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.NegativeBinomial()(torch.zeros(5, 2 * 3))
        >>> p.event_shape, p.variance[0]
        (torch.Size([3]), tensor([2., 2., 2.]))
    """

    def __init__(self, event_dim: int = 1) -> None:
        self.event_dim = check_event_dim("NegativeBinomial", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: 2 d."""
        return 2 * d

    def __call__(self, t: Tensor) -> Distribution:
        of = "a log mean and a log inverse dispersion"
        log_mean, log_theta = parts("NegativeBinomial", t, 2, event_dim=self.event_dim, of=of)
        counts: Any = Counts(log_mean, log_theta)
        joint: Distribution = counts.to_event(self.event_dim)
        return joint

    def __repr__(self) -> str:
        return f"NegativeBinomial(event_dim={self.event_dim})"


class SharedNegativeBinomial(nn.Module):
    r"""Independent counts of which the network gives the log mean; dispersions are learned, one an entry.

    .. math::
        \mathrm{head}(t) = \prod_i \mathrm{NB}\big(x_i \mid \mu_i = e^{t_i},\ \theta_i\big)

    with :math:`\log \theta_i` a parameter that all data share, 0 to begin with. This is scVI's default, a
    dispersion for each gene; how much it varies then tells genes apart, not cells.

    Arguments:
        size: the shape of a datum: ``SharedNegativeBinomial(64)`` for vectors, ``(1, 8, 8)``, say, as three
            arguments for images.

    Shapes: features ``(..., *size)`` become an event of that shape. Data are whole numbers from 0 on, as
        floats or integers.

    Raises:
        ValueError: for a size that isn't one of vectors or images, and an output of another.

    References:
        Lopez, Regier, Cole, Jordan and Yosef, 2018, Deep Generative Modeling for Single-Cell Transcriptomics,
        Nature Methods 15, https://www.nature.com/articles/s41592-018-0229-2

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.SharedNegativeBinomial(3)
        >>> head(torch.zeros(5, 3)).variance[0]
        tensor([2., 2., 2.], grad_fn=<SelectBackward0>)
    """

    def __init__(self, *size: int) -> None:
        super().__init__()
        if not size or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in size):
            raise ValueError(
                explain(
                    "heads.SharedNegativeBinomial, size",
                    expected="the positive sizes of a datum",
                    got=repr(size),
                    remedy="Write SharedNegativeBinomial(64), or SharedNegativeBinomial(1, 8, 8) for images.",
                )
            )
        self.size, self.event_dim = size, len(size)
        self.log_inverse_dispersion = nn.Parameter(torch.zeros(size))

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: d, which must be the head's own.

        Raises:
            ValueError: for another d.
        """
        if d != self.size[0]:
            raise ValueError(
                explain(
                    "heads.SharedNegativeBinomial",
                    expected=f"events of shape {self.size}",
                    got=f"events of size {d} along the first dimension",
                    remedy="Each entry has a dispersion: give the head the size of the data.",
                )
            )
        return d

    def forward(self, t: Tensor) -> Distribution:
        if tuple(t.shape[t.ndim - self.event_dim :]) != self.size or t.ndim < self.event_dim:
            raise ValueError(
                explain(
                    "heads.SharedNegativeBinomial",
                    expected=f"a network output of shape (..., {str(self.size)[1:-1].rstrip(',')})",
                    got=f"shape {tuple(t.shape)}",
                    remedy="The network gives a log mean for each entry; the head knows their number.",
                )
            )
        counts: Any = Counts(t, self.log_inverse_dispersion)
        joint: Distribution = counts.to_event(self.event_dim)
        return joint

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.size))
