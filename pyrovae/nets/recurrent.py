"""Recurrent features of a sequence: at each step what is behind it, what is ahead of it, or both."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from pyrovae.errors import explain, nearest

Direction = Literal["forward", "backward", "both"]


class Recurrent(nn.Module):
    r"""Features of a sequence by gated recurrent units, one vector for each step.

    .. math::
        \overrightarrow h_t = \mathrm{GRU}(x_t, \overrightarrow h_{t-1}), \qquad
        \overleftarrow h_t = \mathrm{GRU}(x_t, \overleftarrow h_{t+1})

    Forward, :math:`h_t` knows :math:`x_1, \dots, x_t`; backward :math:`x_t, \dots, x_T`; both, it is the mean
    of the two. Backward features are what the exact posterior of a Markov chain needs: given
    :math:`z_{t-1}`, the past tells nothing more.

    Arguments:
        inputs: the size D of a step's data.
        hidden: the size H of its features.
        direction: which part of the sequence a step's features know.
        layers: how many units are stacked.
        outputs: the size of a linear readout of each step's features, for heads that read numbers of any size
            off them; None: the features themselves, between -1 and 1.

    Shapes: ``(..., T, D)`` to ``(..., T, H)``, or to ``(..., T, outputs)``, any T.

    Raises:
        ValueError: for sizes that are not positive, an unknown direction, or data of another shape.

    References:
        Cho et al., 2014, Learning Phrase Representations using RNN Encoder-Decoder,
            https://arxiv.org/abs/1406.1078
        Krishnan, Shalit and Sontag, 2017, Structured Inference Networks for Nonlinear State Space Models,
            https://arxiv.org/abs/1609.09869

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> net = nets.Recurrent(8, 32, direction="backward")
        >>> x = torch.zeros(3, 8)
        >>> net(x).shape
        torch.Size([3, 32])
        >>> other = x.clone()
        >>> other[1] = 1.0
        >>> (net(x) != net(other)).any(-1)  # the second step is news to itself and to the first
        tensor([ True,  True, False])
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        direction: Direction = "forward",
        layers: int = 1,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        sizes = {"inputs": inputs, "hidden": hidden, "layers": layers}
        if outputs is not None:
            sizes["outputs"] = outputs
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(
                    explain(
                        f"Recurrent, {name}",
                        expected="a positive whole number",
                        got=repr(size),
                        remedy="Write Recurrent(8, 64): the size of a step's data, and of its features.",
                    )
                )
        if direction not in get_args(Direction):
            raise ValueError(
                explain(
                    "Recurrent, direction",
                    expected=f"one of {list(get_args(Direction))}",
                    got=repr(direction),
                    remedy=nearest(str(direction), get_args(Direction)),
                )
            )
        self.inputs, self.hidden, self.direction, self.layers = inputs, hidden, direction, layers
        self.outputs = outputs
        both = direction == "both"
        self.gru = nn.GRU(inputs, hidden, num_layers=layers, batch_first=True, bidirectional=both)
        self.readout = nn.Identity() if outputs is None else nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[-1] != self.inputs or not x.shape[-2]:
            raise ValueError(
                explain(
                    "Recurrent",
                    expected=f"sequences of shape (..., T, {self.inputs})",
                    got=f"shape {tuple(x.shape)}",
                    remedy="Time is the last dimension but one: x.unflatten(-1, (T, D)) for flat sequences.",
                )
            )
        flat = x.reshape(-1, *x.shape[-2:])
        backward = self.direction == "backward"
        output: Tensor = self.gru(flat.flip(-2) if backward else flat)[0]
        if backward:
            output = output.flip(-2)
        elif self.direction == "both":
            output = output.unflatten(-1, (2, self.hidden)).mean(-2)
        read: Tensor = self.readout(output)
        return read.reshape(*x.shape[:-1], read.shape[-1])
