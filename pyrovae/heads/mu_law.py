"""The mu-law categorical head: waveforms in [-1, 1]."""

from __future__ import annotations

from torch import Tensor

from pyrovae.distributions import MuLawCategorical, mu_law_decode, mu_law_encode
from pyrovae.distributions._supports import check_levels
from pyrovae.heads._outputs import check_event_dim, joined, per_entry
from pyrovae.types import Distribution


class MuLaw:
    r"""Amplitudes with a density that is constant in each of L bins, of which the network gives the logits.

    .. math::
        \mathrm{head}(t) = \prod_i \frac{\operatorname{softmax}(t_i)_{k_i}}{|B_{k_i}|}, \qquad x_i \in B_{k_i}

    The bins are those of mu-law companding, narrow around silence, as the ear is. The density integrates to
    one over [-1, 1]; the cross-entropy of WaveNet is minus its logarithm less a term that no network changes
    (the mean of :math:`\log |B_k|`). Samples are uniform within their bin.

    Arguments:
        levels: L.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors of samples, 2 for channels of
            them.

    Shapes: features ``(..., d L)``, the L logits of an entry side by side, become an event of shape ``(d,)``,
        and with ``event_dim=2`` ``(..., C L, T)`` become ``(C, T)``.

    Raises:
        ValueError: for fewer than two levels; a split dimension that is no multiple of L; data outside [-1,
            1].

    References:
        van den Oord et al., 2016, WaveNet: A Generative Model for Raw Audio, https://arxiv.org/abs/1609.03499

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.MuLaw(levels=256)
        >>> head(torch.zeros(5, 16 * 256)).event_shape
        torch.Size([16])
        >>> head.decode(head.encode(torch.tensor([0.5])))
        tensor([0.4967])
    """

    def __init__(self, levels: int = 256, event_dim: int = 1) -> None:
        check_levels("heads.MuLaw", levels)
        self.levels = levels
        self.event_dim = check_event_dim("MuLaw", event_dim)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: L d."""
        return self.levels * d

    def __call__(self, t: Tensor) -> Distribution:
        logits = per_entry("MuLaw", t, self.levels, event_dim=self.event_dim, of=f"{self.levels} logits")
        return joined(MuLawCategorical(logits), self.event_dim)

    def encode(self, x: Tensor) -> Tensor:
        """The bin of each amplitude, 0 to levels - 1 (:func:`pyrovae.distributions.mu_law_encode`)."""
        return mu_law_encode(x, self.levels)

    def decode(self, index: Tensor) -> Tensor:
        """The amplitude that stands for each bin (:func:`pyrovae.distributions.mu_law_decode`)."""
        return mu_law_decode(index, self.levels)

    def __repr__(self) -> str:
        return f"MuLaw(levels={self.levels}, event_dim={self.event_dim})"
