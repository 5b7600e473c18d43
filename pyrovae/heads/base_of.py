"""The base of a flowed posterior, from the same features."""

from __future__ import annotations

from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.heads.flowed import Flowed
from pyrovae.types import Distribution


class BaseOf(nn.Module):
    r"""What a :class:`Flowed` head moves: its base, the features of the context passed over.

    For a :class:`pyrovae.priors.VampPrior` beside a posterior whose flow has no cheap way back, such as
    :class:`pyrovae.flows.IAF`: the mixture of whole posteriors would take the way back for each component at
    each draw, the mixture of their bases takes none. It is a prior of its own, as flexible, and no longer the
    one that is optimal for the posterior at hand.

    Arguments:
        flowed: the guide's head, the same object.

    Shapes: the features of ``flowed`` become an event ``(d,)``.

    Raises:
        TypeError: for another head.

    Example:
        >>> import torch
        >>> from pyrovae import flows, heads, nets, priors
        >>> _ = torch.manual_seed(0)
        >>> posterior = heads.Flowed(heads.normal, flows.IAF(3, context=4))
        >>> encoder = nets.MLP(64, posterior.features(3))
        >>> priors.VampPrior(encoder, heads.BaseOf(posterior), 20, (64,))()
        SharedMixture(components=20, batch_shape=(), event_shape=(3,))
    """

    def __init__(self, flowed: Flowed) -> None:
        super().__init__()
        if not isinstance(flowed, Flowed):
            raise TypeError(
                explain(
                    "heads.BaseOf",
                    expected="a heads.Flowed",
                    got=type(flowed).__name__,
                    remedy="Other heads have no base: use them as they are.",
                )
            )
        # In a list, so that the flow's parameters are the guide's alone.
        self._flowed = [flowed]

    @property
    def flowed(self) -> Flowed:
        """The guide's head."""
        return self._flowed[0]

    def features(self, d: int) -> int:
        """How many features the flowed head takes for an event of d entries."""
        return self.flowed.features(d)

    def forward(self, t: Tensor) -> Distribution:
        size = t.shape[-1] if t.ndim else 0
        if size != self.features(self.flowed.flow.dim):
            raise ValueError(
                explain(
                    "heads.BaseOf",
                    expected=f"features of shape (..., {self.features(self.flowed.flow.dim)})",
                    got=f"shape {tuple(t.shape)}",
                    remedy="Give it what the flowed head is given.",
                )
            )
        return self.flowed.head(t[..., : size - self.flowed.flow.context])

    def extra_repr(self) -> str:
        return repr(self.flowed)
