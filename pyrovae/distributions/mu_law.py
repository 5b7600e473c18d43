"""The mu-law categorical: a density of waveforms in [-1, 1], constant within each companded bin."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.distributions import _rows
from pyrovae.distributions._supports import check_levels


def mu_law_encode(x: Tensor, levels: int = 256) -> Tensor:
    r"""The bin of each amplitude, 0 to levels - 1, fine around silence and coarse at the ends.

    .. math::
        k = \Big\lfloor \tfrac{y + 1}{2} \mu + \tfrac12 \Big\rfloor, \qquad
        y = \operatorname{sign}(x)\, \frac{\log(1 + \mu |x|)}{\log(1 + \mu)}, \qquad \mu = L - 1

    Arguments:
        x: amplitudes in [-1, 1], any shape; beyond, they count as the ends.
        levels: L.

    Raises:
        ValueError: for fewer than two levels.

    References:
        ITU-T Recommendation G.711, 1988, Pulse Code Modulation of Voice Frequencies.
        van den Oord et al., 2016, WaveNet: A Generative Model for Raw Audio, https://arxiv.org/abs/1609.03499

    Example:
        >>> import torch
        >>> from pyrovae.distributions import mu_law_encode
        >>> mu_law_encode(torch.tensor([-1.0, 0.0, 0.01, 1.0]))
        tensor([  0, 128, 157, 255])
    """
    check_levels("mu_law_encode", levels)
    mu = levels - 1
    companded = x.sign() * (mu * x.abs()).log1p() / math.log1p(mu)
    return (0.5 * (companded + 1) * mu + 0.5).floor().clamp(0, mu).long()


def mu_law_decode(index: Tensor, levels: int = 256) -> Tensor:
    """The amplitude that stands for each bin, in [-1, 1]; for integers in torch's default dtype.

    Arguments:
        index: bins, 0 to levels - 1, any shape.
        levels: how many there are.

    Raises:
        ValueError: for fewer than two levels.

    Example:
        >>> import torch
        >>> from pyrovae.distributions import mu_law_decode, mu_law_encode
        >>> k = torch.arange(256)
        >>> torch.equal(mu_law_encode(mu_law_decode(k)), k)
        True
    """
    check_levels("mu_law_decode", levels)
    index = index if index.is_floating_point() else index.to(torch.get_default_dtype())
    return _expanded(2 * index / (levels - 1) - 1, levels)


def _expanded(companded: Tensor, levels: int) -> Tensor:
    mu = levels - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu


class MuLawCategorical(TorchDistribution):
    r"""A density on [-1, 1] that is constant in each of L bins, those of mu-law companding.

    .. math::
        p(x) = \frac{\operatorname{softmax}(t)_k}{|B_k|}, \qquad x \in B_k = \{x : \mathrm{encode}(x) = k\}

    It integrates to one, so it is comparable with any other density of the waveform; what is left off by
    those who report the cross-entropy of the bins, :math:`\log |B_k|`, doesn't depend on the network. Draws
    are uniform within their bin.

    Arguments:
        logits: t, ``(..., L)``.

    Raises:
        ValueError: for fewer than two logits; a value outside [-1, 1].

    References:
        van den Oord et al., 2016, WaveNet: A Generative Model for Raw Audio, https://arxiv.org/abs/1609.03499

    Example:
        >>> import torch
        >>> from pyrovae.distributions import MuLawCategorical
        >>> p = MuLawCategorical(torch.zeros(256))
        >>> p.log_prob(torch.tensor([0.0, 0.9]))  # the same mass in narrower bins, and in wider ones
        tensor([ 3.1094, -2.3270])
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012
    support = constraints.interval(-1.0, 1.0)

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.levels = logits.shape[-1] if logits.ndim else 0
        check_levels("MuLawCategorical", self.levels)
        self.logits = _rows.log_softmax(logits)
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MuLawCategorical:
        new: MuLawCategorical = self._get_checked_instance(  # type: ignore[no-untyped-call]
            MuLawCategorical, _instance
        )
        batch = torch.Size(batch_shape)
        new.levels, new.logits = self.levels, self.logits.expand((*batch, self.levels))
        super(MuLawCategorical, new).__init__(batch, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def edges(self) -> Tensor:
        """Where the bins end, -1 to 1, ``(L + 1,)``."""
        cuts = torch.arange(self.levels + 1, dtype=self.logits.dtype, device=self.logits.device)
        return _expanded(((2 * cuts - 1) / (self.levels - 1) - 1).clamp(-1, 1), self.levels)

    @property
    def mean(self) -> Tensor:
        """In [-1, 1]."""
        edges = self.edges
        return self.logits.exp() @ (0.5 * (edges[1:] + edges[:-1]))

    @property
    def variance(self) -> Tensor:
        """Within the bins and between them."""
        low, high = self.edges[:-1], self.edges[1:]
        mean_square = self.logits.exp() @ ((low.square() + low * high + high.square()) / 3)
        return mean_square - self.mean.square()

    @property
    def mode(self) -> Tensor:
        """The middle of the bin where the density is highest."""
        edges = self.edges
        best = (self.logits - edges.diff().log()).argmax(-1)
        return (0.5 * (edges[1:] + edges[:-1]))[best]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats."""
        if self._validate_args:
            self._validate_sample(value)
        index = mu_law_encode(value, self.levels)
        return _rows.at_index(self.logits, index) - self.edges.diff().log()[index]

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Amplitudes in [-1, 1], uniform within their bin."""
        with torch.no_grad():
            index = torch.distributions.Categorical(logits=self.logits).sample(torch.Size(sample_shape))
            low, high = self.edges[index], self.edges[index + 1]
            return low + (high - low) * torch.rand_like(low)

    def __repr__(self) -> str:
        return f"MuLawCategorical(batch_shape={tuple(self.batch_shape)}, levels={self.levels})"
