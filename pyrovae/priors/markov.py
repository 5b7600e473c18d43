"""The Markov prior of sequences, that of state space models and of the deep Markov model."""

from __future__ import annotations

from torch import Tensor, nn

from pyrovae.distributions.markov import MarkovChain
from pyrovae.errors import explain
from pyrovae.heads.normal import Normal
from pyrovae.priors.normal import DiagonalNormal
from pyrovae.types import Distribution, Head, Prior


class Markov(nn.Module):
    r"""A sequence of states, each drawn by what a network makes of the one before.

    .. math:: p(z) = p(z_1) \prod_{t=2}^T \mathrm{head}\big(f(z_{t-1})\big)(z_t)

    With :class:`pyrovae.nets.GatedTransition` it is the prior of the deep Markov model; with a linear f,
    ``nets.MLP(d, d)``, and :class:`pyrovae.heads.IsotropicNormal` that of a linear-Gaussian state space.
    The whole sequence is one latent: the site's event is ``(T, d)``, the decoder maps ``(..., T, d)`` step by
    step, as :class:`pyrovae.nets.MLP` does, and :class:`pyrovae.heads.Steps` makes the likelihood.

    Arguments:
        dim: the number of latent dimensions of a step, d.
        length: the number of steps, T.
        net: the transition f, ``(..., d)`` to what the head takes for d dimensions.
        head: of one step; by default :class:`pyrovae.heads.Normal`.
        initial: makes :math:`p(z_1)`, event ``(d,)``; by default a learned diagonal normal.

    Raises:
        ValueError: sizes that are not positive, or a transition or an initial state of other dimensions.

    References:
        Krishnan, Shalit and Sontag, 2017, Structured Inference Networks for Nonlinear State Space Models,
            https://arxiv.org/abs/1609.09869

    Example:
        >>> import torch
        >>> from pyrovae import heads, models, nets, priors
        >>> _ = torch.manual_seed(0)
        >>> prior = priors.Markov(4, 10, net=nets.GatedTransition(4, 32))
        >>> prior()
        MarkovChain(length=10, dim=4)
        >>> model = models.VAE(prior, nets.MLP(4, 32, 8), heads.Steps(heads.bernoulli))
        >>> model(size=5).shape
        torch.Size([5, 10, 8])
    """

    def __init__(
        self,
        dim: int,
        length: int,
        *,
        net: nn.Module,
        head: Head | None = None,
        initial: Prior | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("dim", dim), ("length", length)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(
                    explain(
                        f"priors.Markov, {name}",
                        expected="a positive whole number",
                        got=repr(size),
                        remedy="Write Markov(4, 10, net=...): the sizes of a state and of a sequence.",
                    )
                )
        self.dim, self.length, self.net = dim, length, net
        self.head: Head = Normal() if head is None else head
        self.initial: Prior = DiagonalNormal(dim) if initial is None else initial
        shape = tuple(self.initial().event_shape)
        if shape != (dim,):
            raise ValueError(
                explain(
                    "priors.Markov, initial",
                    expected=f"a prior of the event shape ({dim},)",
                    got=f"{shape}",
                    remedy=f"Write initial=DiagonalNormal({dim}), say.",
                )
            )

    def forward(self) -> Distribution:
        return MarkovChain(self.initial(), self._step, self.length)

    def _step(self, z: Tensor) -> Distribution:
        return self.head(self.net(z))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, length={self.length}"
