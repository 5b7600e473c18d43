"""A prior made by a flow: any density, of which samples are drawn by moving a simple one's."""

from __future__ import annotations

from torch import nn

from pyrovae.errors import explain
from pyrovae.flows.base import Flow as AnyFlow
from pyrovae.heads.flowed import moved
from pyrovae.priors.normal import StandardNormal
from pyrovae.types import Distribution, Prior


class Flow(nn.Module):
    r"""A flow over a standard normal, or over any other prior.

    .. math::
        z = f(x), \quad x \sim p_0, \qquad
        \log p(z) = \log p_0(x) - \log \Big|\det \frac{\partial f(x)}{\partial x}\Big|

    A prior scores what the guide drew, at every step: take a flow with a short way back,
    :class:`pyrovae.flows.MAF`, :class:`pyrovae.flows.RealNVP` or :class:`pyrovae.flows.NeuralSpline`.

    Arguments:
        flow: one of :mod:`pyrovae.flows`, without context.
        base: the prior :math:`p_0`; a standard normal where not given.

    Raises:
        ValueError: for a flow with a context, or one of another size than the base.

    References:
        Chen et al., 2017, Variational Lossy Autoencoder, https://arxiv.org/abs/1611.02731

    Example:
        >>> from pyrovae import flows, priors
        >>> prior = priors.Flow(flows.RealNVP(8))
        >>> prior().batch_shape, prior().event_shape
        (torch.Size([]), torch.Size([8]))
    """

    def __init__(self, flow: AnyFlow, base: Prior | None = None) -> None:
        super().__init__()
        if flow.context:
            raise ValueError(
                explain(
                    "priors.Flow",
                    expected="a flow without context",
                    got=f"one with context={flow.context}",
                    remedy="Build it with context=0.",
                )
            )
        self.flow = flow
        self.base = StandardNormal(flow.dim) if base is None else base

    @property
    def dim(self) -> int:
        """The number of latent dimensions."""
        return self.flow.dim

    def forward(self) -> Distribution:
        return moved(self.base(), self.flow, where="priors.Flow")
