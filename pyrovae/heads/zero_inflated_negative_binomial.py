"""The zero-inflated negative binomial head: overdispersed counts of which some have dropped out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.distributions.zero_inflated import ZeroInflated
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, parts
from pyrovae.heads.negative_binomial import NegativeBinomial, SharedNegativeBinomial
from pyrovae.types import Distribution


class ZeroInflatedNegativeBinomial(nn.Module):
    r"""Independent negative binomial counts, each of which is 0 instead with a probability of its own.

    .. math::
        \mathrm{head}(t) = \prod_i
        \big[\pi_i\, 1(x_i = 0) + (1 - \pi_i)\, \mathrm{NB}(x_i \mid \mu_i, \theta_i)\big],
        \\ \pi_i = \operatorname{sigmoid}(g_i), \qquad (\dots, g) = t

    the likelihood of scVI. The features are those of ``counts``, then the logits :math:`g`, along the first
    event dimension. At 0 the two ways there are added up by their logarithms, so that nothing underflows.

    Arguments:
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.
        counts: the head of what hasn't dropped out; by default ``NegativeBinomial(event_dim)``. With
            ``SharedNegativeBinomial(d)`` the network gives means and logits only.

    Shapes: features ``(..., 3 d)`` become an event of shape ``(d,)``, and with ``event_dim=3`` channels
        ``(..., 3 C, H, W)`` become ``(C, H, W)``; 2 in place of 3 with a shared dispersion. Data are whole
        numbers from 0 on, as floats or integers.

    Raises:
        TypeError: for ``counts`` that are no negative binomial head.
        ValueError: for ``counts`` of another ``event_dim``, and an output that doesn't fit.

    References:
        Lopez, Regier, Cole, Jordan and Yosef, 2018, Deep Generative Modeling for Single-Cell Transcriptomics,
        Nature Methods 15, https://www.nature.com/articles/s41592-018-0229-2

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.ZeroInflatedNegativeBinomial()(torch.zeros(5, 3))
        >>> round(p.log_prob(torch.zeros(1))[0].exp().item(), 4)  # 1/2 + 1/2 * 1/2
        0.75
    """

    def __init__(
        self, event_dim: int = 1, *, counts: NegativeBinomial | SharedNegativeBinomial | None = None
    ) -> None:
        super().__init__()
        if not isinstance(counts, NegativeBinomial | SharedNegativeBinomial | None):
            raise TypeError(
                explain(
                    "heads.ZeroInflatedNegativeBinomial, counts",
                    expected="a NegativeBinomial or SharedNegativeBinomial head",
                    got=repr(counts),
                    remedy="Leave it out for a dispersion from the network.",
                )
            )
        if counts is not None and counts.event_dim != event_dim:
            raise ValueError(
                explain(
                    "heads.ZeroInflatedNegativeBinomial, event_dim",
                    expected=f"that of counts, {counts.event_dim}",
                    got=str(event_dim),
                    remedy=f"Write event_dim={counts.event_dim}.",
                )
            )
        self.event_dim, self.counts = check_event_dim("ZeroInflatedNegativeBinomial", event_dim), counts

    @property
    def _of_counts(self) -> Any:
        return NegativeBinomial(self.event_dim) if self.counts is None else self.counts

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: 3 d, or 2 d with a shared dispersion.

        Raises:
            ValueError: for a d that isn't the shared dispersion's.
        """
        return int(self._of_counts.features(d)) + d

    def forward(self, t: Tensor) -> Distribution:
        is_shared = isinstance(self.counts, SharedNegativeBinomial)
        *of_counts, logits = parts(
            "ZeroInflatedNegativeBinomial",
            t,
            2 if is_shared else 3,
            event_dim=self.event_dim,
            of="a log mean, a logit" if is_shared else "a log mean, a log inverse dispersion, a logit",
        )
        counts = self._of_counts(torch.cat(of_counts, -self.event_dim)).base_dist
        inflated: Any = ZeroInflated(counts, logits)
        joint: Distribution = inflated.to_event(self.event_dim)
        return joint

    def extra_repr(self) -> str:
        inside = "" if isinstance(self.counts, nn.Module) else f", counts={self.counts!r}"
        return f"event_dim={self.event_dim}{inside if self.counts is not None else ''}"
