"""A masked network entry by entry: each unit is computed once, when the entries that it sees are known."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from pyrovae.nets.masked import MaskedMLP


class Part(NamedTuple):
    """The units ``start:stop`` of a layer, which see the first ``seen`` of the layer before it."""

    start: int
    stop: int
    seen: int


def plan(net: MaskedMLP) -> list[list[Part]]:
    """For each entry, what of each layer can be computed once the entries before it are known."""
    layers = [net.first, *net.rest[1::2]]
    known = list(range(1, net.dim + 1))  # after how many entries each input is
    parts: list[list[Part]] = [[] for _ in range(net.dim)]
    for layer in layers:
        # Masks are stairs: each unit sees the first few of the layer before, a later unit no fewer.
        seen = [int(count) for count in layer.mask.sum(-1).tolist()]
        if layer is layers[-1]:
            known = [unit // net.outputs for unit in range(len(seen))]
        else:
            known = [known[count - 1] if count else 0 for count in seen]
        for i, row in enumerate(parts):
            start, stop = (sum(k < bound for k in known) for bound in (i, i + 1))
            row.append(Part(start, stop, seen[stop - 1] if stop > start else 0))
    return parts


class MaskedSteps:
    """The network at work: ``outputs()`` of the next entry, then ``enter`` it, and so on.

    Arguments:
        net: the network.
        parts: its plan.
        context: for each datum, ``(m, context)``.
    """

    def __init__(self, net: MaskedMLP, parts: list[list[Part]], context: Tensor) -> None:
        layers = [net.first, *net.rest[1::2]]
        self.parts, self.activations = parts, net.rest[::2]
        self.weights = [layer.weight * layer.mask for layer in layers]
        self.biases = [layer.bias for layer in layers]
        self.aside = None if net.aside is None else net.aside(context)
        self.direct = None if net.direct is None else (net.direct.weight * net.direct.mask, net.direct.bias)
        self.inputs = [context.new_zeros(len(context), weight.shape[1]) for weight in self.weights]
        self.i = 0

    def outputs(self) -> Tensor:
        """What the next entry's emission takes, ``(m, outputs)``."""
        last = len(self.weights) - 1
        for k, (start, stop, seen) in enumerate(self.parts[self.i]):
            if start == stop:
                continue
            y = F.linear(
                self.inputs[k][:, :seen], self.weights[k][start:stop, :seen], self.biases[k][start:stop]
            )
            if k == 0 and self.aside is not None:
                y = y + self.aside[:, start:stop]
            if k < last:
                self.inputs[k + 1][:, start:stop] = self.activations[k](y)
        if self.direct is not None:
            weight, bias = self.direct
            y = y + F.linear(self.inputs[0][:, : self.i], weight[start:stop, : self.i], bias[start:stop])
        return y

    def enter(self, value: Tensor) -> None:
        """The next entry, ``(m, 1)``, as the network sees it."""
        self.inputs[0][:, self.i : self.i + 1] = value
        self.i += 1
