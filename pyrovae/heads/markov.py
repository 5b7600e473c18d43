"""The structured posterior of a sequence: each state given the one before, and features of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from pyrovae.arguments import new_activation, require_part
from pyrovae.distributions.markov import MarkovChain
from pyrovae.errors import explain
from pyrovae.heads.normal import Normal
from pyrovae.types import Distribution, Head


class Markov(nn.Module):
    r"""A Markov chain driven by features of the data, as the deep Markov model infers its latents.

    .. math::
        q(z \mid h) = \mathrm{head}(V h_1 + a)(z_1) \prod_{t=2}^T \mathrm{head}(U c_t + b)(z_t), \qquad
        c_t = \tfrac12 \big(\tanh(W z_{t-1} + w) + h_t\big)

    What it can know is in the features :math:`h_t` (:class:`pyrovae.nets.Recurrent`): forward ones make a
    filter, backward ones a smoother, which conditions as the exact posterior
    :math:`\prod_t p(z_t \mid z_{t-1}, x_{t:T})` does.

    The first state, which has a prior of its own, has a readout of its own. In the paper a learned
    :math:`z_0` comes before it and goes the way of the others, so that the data can't weigh differently
    there: on a linear-Gaussian model a backward guide lost half a nat by it.

    Arguments:
        dim: the number of latent dimensions of a step, d.
        hidden: the size H of a step's features.
        head: of one step; by default :class:`pyrovae.heads.Normal`.
        activation: what makes the activation of the state before; None: none, for a dynamics that is all but
            linear.

    Shapes: features ``(..., T, H)`` become an event of shape ``(T, d)``, any T; ``features(d)`` is H.

    Raises:
        ValueError: for sizes that are not positive, or features of another shape.

    References:
        Krishnan, Shalit and Sontag, 2017, Structured Inference Networks for Nonlinear State Space Models,
            https://arxiv.org/abs/1609.09869

    Example:
        >>> import torch
        >>> from pyrovae import guides, heads, nets
        >>> _ = torch.manual_seed(0)
        >>> features = nets.Recurrent(8, 32, direction="backward")
        >>> guide = guides.Amortized(z=(features, heads.Markov(2, 32)))
        >>> guide(torch.zeros(5, 10, 8))["z"].shape
        torch.Size([5, 10, 2])
    """

    event_dim = 2

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        head: Head | None = None,
        activation: Callable[[], nn.Module] | None = nn.Tanh,
    ) -> None:
        super().__init__()
        for name, size in (("dim", dim), ("hidden", hidden)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(
                    explain(
                        f"heads.Markov, {name}",
                        expected="a positive whole number",
                        got=repr(size),
                        remedy="Write Markov(2, 32): the sizes of a state and of a step's features.",
                    )
                )
        self.dim, self.hidden, self.activation = dim, hidden, activation
        chosen: Any = Normal() if head is None else head
        require_part("heads.Markov, head", chosen, "a head", "heads.Markov(2, 32, head=heads.Normal())")
        self.head: Head = chosen
        self.first = nn.Linear(hidden, chosen.features(dim))
        self.before = nn.Linear(dim, hidden)
        self.squash = nn.Identity() if activation is None else new_activation("heads.Markov", activation)
        self.readout = nn.Linear(hidden, chosen.features(dim))

    def features(self, d: int) -> int:
        """The size of a step's features, H.

        Raises:
            ValueError: for other states than the chain's.
        """
        if d != self.dim:
            raise ValueError(
                explain(
                    "heads.Markov.features",
                    expected=f"the chain's own {self.dim} dimensions",
                    got=repr(d),
                    remedy=f"Make Markov({d}, ...).",
                )
            )
        return self.hidden

    def forward(self, t: Tensor) -> Distribution:
        if t.ndim < 2 or t.shape[-1] != self.hidden or not t.shape[-2]:
            raise ValueError(
                explain(
                    "heads.Markov",
                    expected=f"features of shape (..., T, {self.hidden})",
                    got=f"shape {tuple(t.shape)}",
                    remedy="Take nets.Recurrent(..., hidden), or a network that keeps the dimension of time.",
                )
            )
        first = self.head(self.first(t[..., 0, :]))
        return MarkovChain(first, self._step, t.shape[-2], inputs=t[..., 1:, :])

    def _step(self, z: Tensor, h: Tensor) -> Distribution:
        step: Distribution = self.head(self.readout(0.5 * (self.squash(self.before(z)) + h)))
        return step
