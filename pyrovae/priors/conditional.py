"""The prior of a conditional model: what covariates say of a latent before the datum is seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.covariates import one_hot
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class Conditional(nn.Module):
    r"""A prior read off covariates by a network.

    .. math:: p(z \mid y) = \mathrm{head}(f(y))

    Called as ``prior(y)``; :class:`pyrovae.models.VAE` passes it what follows x in the batch.

    Arguments:
        net: the network f, ``(..., c)`` to whatever the head takes.
        head: as :data:`pyrovae.heads.normal`.
        classes: how many classes there are, where y is an integer label; it is then one-hot. None: y goes to
            the network as it is.

    Shapes: ``y`` ``(n, c)``, ``(n,)`` for labels, to a distribution of the batch shape ``(n,)``.

    Raises:
        ValueError: for fewer than two classes, or labels that aren't integers ``(n,)``.

    References:
        Sohn, Lee and Yan, 2015, Learning Structured Output Representation using Deep Conditional Generative
        Models, NeurIPS 28.

    Example:
        >>> import torch
        >>> from pyrovae import heads, nets, priors
        >>> prior = priors.Conditional(nets.MLP(10, 2 * 8), heads.normal, classes=10)
        >>> p = prior(torch.tensor([3, 1, 4]))
        >>> p.batch_shape, p.event_shape
        (torch.Size([3]), torch.Size([8]))
    """

    def __init__(self, net: nn.Module, head: Head, *, classes: int | None = None) -> None:
        super().__init__()
        if classes is not None and (isinstance(classes, bool) or classes < 2):
            raise ValueError(
                explain(
                    "priors.Conditional, classes",
                    expected="two or more classes",
                    got=repr(classes),
                    remedy="Try 10.",
                )
            )
        self.net, self.head, self.classes = net, head, classes

    def forward(self, y: Tensor) -> Distribution:
        if self.classes is not None:
            dtype = next((p.dtype for p in self.net.parameters()), torch.get_default_dtype())
            y = one_hot("priors.Conditional", y, self.classes).to(dtype)
        return self.head(self.net(y))

    def extra_repr(self) -> str:
        return "" if self.classes is None else f"classes={self.classes}"
