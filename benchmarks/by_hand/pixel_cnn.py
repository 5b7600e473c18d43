"""A gated PixelCNN of binary images: scored in one pass, drawn pixel by pixel with what was found kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def gate(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class Layer(nn.Module):
    """Both stacks; each is given images moved by a row or by a column."""

    def __init__(self, width: int, context: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach + 1), bias=False)
        self.across = nn.Conv2d(width, 2 * width, 1)
        self.given = nn.Conv2d(context, 4 * width, 1, bias=False)
        self.residual = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, above: Tensor, left: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        to_above, to_left = self.given(t).chunk(2, 1)
        reach = self.reach
        above = above + gate(self.vertical(F.pad(above, (reach, reach, reach, 0))) + to_above)
        found = gate(self.horizontal(F.pad(left, (reach, 0))) + self.across(above) + to_left)
        return above, left + self.residual(found)


class PixelCNN(nn.Module):
    """Images ``(n, 1, H, W)`` of zeros and ones, given features ``(n, context, H, W)``."""

    def __init__(self, context: int, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.above, self.left = nn.Conv2d(1, width, 1), nn.Conv2d(1, width, 1)
        self.layers = nn.ModuleList([Layer(width, context, kernel) for _ in range(layers)])
        self.hidden, self.readout = nn.Conv2d(width, width, 1), nn.Conv2d(width, 1, 1)

    def logits(self, x: Tensor, t: Tensor) -> Tensor:
        """Of all pixels, in one pass."""
        x = 2 * x - 1
        above = self.above(F.pad(x, (0, 0, 1, 0))[:, :, :-1])
        left = self.left(F.pad(x, (1, 0))[..., :-1])
        for layer in self.layers:
            above, left = layer(above, left, t)
        return self.readout(torch.relu(self.hidden(torch.relu(left))))

    def log_density(self, t: Tensor, x: Tensor) -> Tensor:
        """Nats, ``(n,)``."""
        return -F.binary_cross_entropy_with_logits(self.logits(x, t), x, reduction="none").sum((1, 2, 3))

    @torch.no_grad()
    def sample_naively(self, t: Tensor) -> Tensor:
        """A full pass for each pixel, as most published code does."""
        n, _, rows, columns = t.shape
        x = t.new_zeros(n, 1, rows, columns)
        for i in range(rows):
            for j in range(columns):
                x[:, :, i, j] = torch.bernoulli(torch.sigmoid(self.logits(x, t)[:, :, i, j]))
        return x

    @torch.no_grad()
    def sample(self, t: Tensor) -> Tensor:
        """The vertical stack a row at a time, the horizontal one a pixel at a time; both remember."""
        n, _, rows, columns = t.shape
        x = t.new_zeros(n, 1, rows, columns)
        width, reach = self.above.out_channels, self.layers[0].reach
        above_kept = [t.new_zeros(n, width, rows + reach, columns) for _ in self.layers]
        given = [layer.given(t).chunk(2, 1) for layer in self.layers]
        horizontal = [layer.horizontal.weight.flatten(1) for layer in self.layers]
        residual = [layer.residual.weight.flatten(1) for layer in self.layers]
        left_weight, left_bias = self.left.weight.flatten(1), self.left.bias
        hidden_weight, readout_weight = self.hidden.weight.flatten(1), self.readout.weight.flatten(1)
        for i in range(rows):
            before = 2 * x[:, :, i - 1 : i] - 1 if i else x[:, :, :1]
            above, added = self.above(before), []
            for k, layer in enumerate(self.layers):
                above_kept[k][:, :, i + reach] = above[:, :, 0]
                seen = above_kept[k][:, :, i : i + reach + 1]
                found = F.conv2d(seen, layer.vertical.weight, layer.vertical.bias, padding=(0, reach))
                above = above + gate(found + given[k][0][:, :, i : i + 1])
                added.append((layer.across(above) + given[k][1][:, :, i : i + 1])[:, :, 0].unbind(-1))
            left_kept = [t.new_zeros(n, width, columns + reach) for _ in self.layers]
            for j in range(columns):
                entering = 2 * x[:, :, i, j - 1] - 1 if j else x.new_zeros(n, 1)
                left = F.linear(entering, left_weight, left_bias)
                for k in range(len(self.layers)):
                    left_kept[k][:, :, j + reach] = left
                    seen = left_kept[k][:, :, j : j + reach + 1].flatten(1)
                    found = gate(F.linear(seen, horizontal[k]) + added[k][j])
                    left = left + F.linear(found, residual[k])
                found = torch.relu(F.linear(torch.relu(left), hidden_weight, self.hidden.bias))
                logits = F.linear(found, readout_weight, self.readout.bias)
                x[:, :, i, j] = torch.bernoulli(torch.sigmoid(logits))
        return x
