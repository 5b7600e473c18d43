"""The masked autoregressive network: one pass, and each output sees only the entries before its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.arguments import new_activation
from pyrovae.errors import explain


class MaskedMLP(nn.Module):
    r"""A perceptron whose outputs for entry i depend on the entries before i, and on all of the context.

    .. math:: y_i = f_i(x_1, \dots, x_{i-1}, c), \qquad i = 1, \dots, d

    Each hidden unit has a degree k and sees the first k entries of x, or units of a degree up to k; the
    outputs of entry i see units of a degree below i. Degrees are spread evenly, and with a context some are
    0: :math:`y_1` is a non-linear function of c. Where a hidden layer is too narrow to hold every degree, a
    masked linear map straight from input to output keeps each :math:`y_i` a function of all that comes
    before it.

    Arguments:
        dim: the number of entries of x, d.
        outputs: the number of outputs for each entry.
        context: the size of the context, 0 for none.
        hidden: the widths of the hidden layers; none make a masked linear map.
        activation: what makes the activation, a class such as ``torch.nn.Tanh``.

    Shapes: x ``(..., d)`` and context ``(..., context)``, whose leading dimensions broadcast, to
        ``(..., d, outputs)``. What the context needs is computed once, however many x share it.

    Raises:
        ValueError: for sizes that are not positive, and for an x or a context of another size.

    References:
        Germain, Gregor, Murray and Larochelle, 2015, MADE: Masked Autoencoder for Distribution Estimation,
        https://arxiv.org/abs/1502.03509

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> _ = torch.manual_seed(0)
        >>> net = nets.MaskedMLP(3, outputs=2, context=4, hidden=(16,))
        >>> x = torch.zeros(5, 3, requires_grad=True)
        >>> y = net(x, torch.ones(5, 4))
        >>> y.shape
        torch.Size([5, 3, 2])
        >>> y[0, 1].sum().backward()
        >>> x.grad[0].ne(0)  # the second entry's outputs see the first alone
        tensor([ True, False, False])
    """

    def __init__(
        self,
        dim: int,
        outputs: int = 1,
        *,
        context: int = 0,
        hidden: Sequence[int] = (64,),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.dim, self.outputs, self.context = dim, outputs, context
        self.hidden, self.activation = tuple(hidden), activation
        for name, size, least in (("dim", dim, 1), ("outputs", outputs, 1), ("context", context, 0)):
            _check_size(name, size, least)
        for width in self.hidden:
            _check_size("hidden", width, 1)

        start = torch.arange(1, dim + 1)
        end = torch.arange(dim).repeat_interleave(outputs)
        lowest = 0 if context else min(1, dim - 1)
        between = [lowest + torch.arange(width) * (dim - lowest) // width for width in self.hidden]
        layers: list[Any] = []
        for before, after in pairwise([start, *between, end]):
            layers += [_MaskedLinear(after.unsqueeze(-1) >= before), new_activation("MaskedMLP", activation)]
        self.first, self.rest = layers[0], nn.Sequential(*layers[1:-1])
        narrow = any(width < dim - lowest for width in self.hidden)
        self.direct = _MaskedLinear(end.unsqueeze(-1) >= start) if narrow else None
        self.aside = nn.Linear(context, layers[0].out_features, bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        _check_input("x", x, self.dim)
        aside = self._aside(context)
        y: Tensor = self.first(x)
        y = self.rest(y if aside is None else y + aside)
        if self.direct is not None:
            y = y + self.direct(x)
        return y.unflatten(-1, (self.dim, self.outputs))

    def _aside(self, context: Tensor | None) -> Tensor | None:
        if self.aside is None:
            if context is not None:
                raise ValueError(
                    explain(
                        "MaskedMLP",
                        expected="no context",
                        got=f"one of shape {tuple(context.shape)}",
                        remedy=f"Build it with context={context.shape[-1] if context.ndim else 1}.",
                    )
                )
            return None
        if context is None:
            raise ValueError(
                explain(
                    "MaskedMLP",
                    expected=f"a context of shape (..., {self.context})",
                    got="None",
                    remedy="Call net(x, context), or build it with context=0.",
                )
            )
        _check_input("context", context, self.context)
        added: Tensor = self.aside(context)
        return added

    def extra_repr(self) -> str:
        return f"dim={self.dim}, outputs={self.outputs}, context={self.context}, hidden={self.hidden}"


class _MaskedLinear(nn.Linear):
    """A linear layer of which some weights are held at zero.

    Arguments:
        mask: 1 where a weight is free, ``(outputs, inputs)``.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        with torch.no_grad():
            self.weight *= self.mask

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


def _check_size(name: str, size: int, least: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < least:
        raise ValueError(
            explain(
                f"MaskedMLP, {name}",
                expected=f"an integer from {least} on",
                got=repr(size),
                remedy="Write MaskedMLP(dim, outputs, context=16, hidden=(64,)), say.",
            )
        )


def _check_input(name: str, x: Tensor, size: int) -> None:
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(
            explain(
                f"MaskedMLP, {name}",
                expected=f"a tensor of shape (..., {size})",
                got=str(tuple(x.shape)),
                remedy="Its last dimension must have the size that the network was built for.",
            )
        )
