"""Flows made of layers: autoregressive ones, direct on one of the two ways, and couplings, direct on both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.flows._conditioning import Told, masked
from pyrovae.flows._maps import Map
from pyrovae.flows.base import Activation, Flow, Moved, check_size


class Layered(Flow):
    """A flow of networks that are applied one after the other.

    Arguments:
        layers: how many.
        hidden: the widths of each network's hidden layers.
        activation: what makes their activation.
    """

    def __init__(
        self, dim: int, *, context: int, layers: int, hidden: Sequence[int], activation: Activation
    ) -> None:
        super().__init__(dim, context=context)
        check_size(f"{type(self).__name__}, layers", layers, 1)
        self.layers, self.hidden, self.activation = layers, tuple(hidden), activation

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, layers={self.layers}, hidden={self.hidden}"


class Autoregressive(Layered):
    """Layers in which the entries before tell what is done to each; every second one runs from the last.

    Subclasses say which of the two ways is direct, one pass for all entries. The other takes a pass for each
    entry.
    """

    map: Map
    nets: nn.ModuleList

    def _make_nets(self) -> None:
        made = [
            masked(self.dim, self.map.outputs, self.context, self.hidden, self.activation)
            for _ in range(self.layers)
        ]
        self.nets = nn.ModuleList(made)

    def _direct(self, x: Tensor, context: Tensor | None, move: Callable[..., Moved]) -> Moved:
        log_dets = []
        for layer, net in enumerate(self.nets):
            x = x.flip(-1) if layer % 2 else x
            x, log_slopes = move(x, net(x, context))
            x = x.flip(-1) if layer % 2 else x
            log_dets.append(log_slopes.sum(-1))
        return x, functools.reduce(torch.add, log_dets)

    def _one_by_one(self, y: Tensor, context: Tensor | None, move: Callable[..., Moved]) -> Moved:
        if context is not None:
            y = y.expand(torch.broadcast_shapes(y.shape, (*context.shape[:-1], self.dim)))
        log_dets = []
        for layer in reversed(range(self.layers)):
            y = y.flip(-1) if layer % 2 else y
            entries: list[Tensor] = []
            for i, entry in enumerate(y.unbind(-1)):
                # Zeros for what is not known yet, which the network does not look at.
                unknown = [torch.zeros_like(entry)] * (self.dim - i)
                told = self.nets[layer](torch.stack(entries + unknown, -1), context)
                found, log_slope = move(entry, told[..., i, :])
                entries.append(found)
                log_dets.append(log_slope)
            y = torch.stack(entries, -1)
            y = y.flip(-1) if layer % 2 else y
        return y, functools.reduce(torch.add, log_dets)


class Couplings(Layered):
    """Layers in which one half of the entries tells what is done to the other, and back.

    The halves are the first and the last entries in the first two layers, the even and the odd ones in the
    next two, and so on in turn.
    """

    map: Map

    def _make_layers(self) -> None:
        if self.dim < 2:
            raise ValueError(
                explain(
                    f"{type(self).__name__}, dim",
                    expected="2 entries or more, of which one half tells the other",
                    got=repr(self.dim),
                    remedy="Take flows.MAF or flows.AutoregressiveSpline for one.",
                )
            )
        made = [
            _Coupling(self.dim, layer, self.map, self.context, self.hidden, self.activation)
            for layer in range(self.layers)
        ]
        self.couplings = nn.ModuleList(made)

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        log_dets = []
        for coupling in self.couplings:
            x, log_det = coupling(x, context, self.map.push)
            log_dets.append(log_det)
        return x, functools.reduce(torch.add, log_dets)

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        log_dets = []
        for coupling in reversed(self.couplings):
            y, log_det = coupling(y, context, self.map.pull)
            log_dets.append(log_det)
        return y, functools.reduce(torch.add, log_dets)


class _Coupling(nn.Module):
    """One layer; the last argument of its call is a map's ``push`` or ``pull``."""

    def __init__(
        self,
        dim: int,
        layer: int,
        map: Map,
        context: int,
        hidden: Sequence[int],
        activation: Activation,
    ) -> None:
        super().__init__()
        self.halves, self.second_tells = layer % 4 < 2, layer % 2 == 1
        first = dim // 2 if self.halves else dim - dim // 2
        self.sizes = (first, dim - first)
        kept, moved = self.sizes[::-1] if self.second_tells else self.sizes
        self.outputs = map.outputs
        self.net = Told(kept, moved * map.outputs, context, hidden, activation)

    def forward(self, x: Tensor, context: Tensor | None, move: Callable[..., Moved]) -> Moved:
        parts = x.split(self.sizes, -1) if self.halves else (x[..., ::2], x[..., 1::2])
        kept, moved = parts[::-1] if self.second_tells else parts
        told = self.net(kept, context).unflatten(-1, (-1, self.outputs))
        moved, log_slopes = move(moved, told)
        kept = kept.expand(*moved.shape[:-1], -1)
        first, second = (moved, kept) if self.second_tells else (kept, moved)
        joined = torch.cat((first, second), -1) if self.halves else _in_turn(first, second)
        return joined, log_slopes.sum(-1)


def _in_turn(even: Tensor, odd: Tensor) -> Tensor:
    """The entries of both by turns; there may be one more of the even ones."""
    count = odd.shape[-1]
    pairs = torch.stack((even[..., :count], odd), -1).flatten(-2)
    return pairs if even.shape[-1] == count else torch.cat((pairs, even[..., count:]), -1)
