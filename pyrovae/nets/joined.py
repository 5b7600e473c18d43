"""A network that also reads covariates: they are appended to its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.covariates import one_hot
from pyrovae.errors import explain


class Joined(nn.Module):
    """A network on the input and the covariates of each datum, side by side.

    As the decoder of :class:`pyrovae.models.VAE` it makes :math:`p(x | z, y)`, as an encoder of
    :class:`pyrovae.guides.Amortized` :math:`q(z | x, y)`: both give a network that takes ``(x, y)`` what
    follows x in the batch.

    Arguments:
        net: takes inputs and covariates in one vector.
        classes: how many classes there are, where the covariate is an integer label; it is then one-hot.
            None: the covariates are numbers.

    Shapes: ``x`` ``(..., d)`` and ``y`` ``(n, c)``, or ``(n,)`` for labels, to ``net`` of ``(..., d + c)``; x
        may have leading dimensions of particles that y lacks.

    Raises:
        ValueError: for labels that aren't integers in one dimension; covariates that aren't vectors.

    References:
        Sohn, Lee and Yan, 2015, Learning Structured Output Representation using Deep Conditional Generative
        Models, NeurIPS 28.

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> net = nets.Joined(nets.MLP(2 + 10, 64), classes=10)
        >>> net(torch.zeros(5, 2), torch.arange(5)).shape
        torch.Size([5, 64])
    """

    def __init__(self, net: nn.Module, *, classes: int | None = None) -> None:
        super().__init__()
        if classes is not None and (isinstance(classes, bool) or classes < 2):
            raise ValueError(
                explain("classes", expected="two or more classes", got=repr(classes), remedy="Try 10.")
            )
        self.net, self.classes = net, classes

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.classes is not None:
            y = one_hot("Joined", y, self.classes)
        if y.ndim < 2:
            raise ValueError(
                explain(
                    "Joined, y",
                    expected="covariates of shape (n, c)",
                    got=str(tuple(y.shape)),
                    remedy="Write y[:, None] for one number a datum; labels need Joined(net, classes=...).",
                )
            )
        y = y.to(x.dtype)
        batch = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        joined = torch.cat([x.expand(*batch, x.shape[-1]), y.expand(*batch, y.shape[-1])], -1)
        output: Tensor = self.net(joined)
        return output
