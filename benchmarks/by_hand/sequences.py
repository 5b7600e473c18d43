"""Sequences by a GRU and by a causal transformer: scored in one pass, drawn element by element."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GRU(nn.Module):
    """Categories; the state starts from the latent's features, which enter at each place too."""

    def __init__(self, length: int, context: int, categories: int, hidden: int) -> None:
        super().__init__()
        self.length = length
        self.nothing = nn.Parameter(torch.zeros(hidden))
        self.embedding = nn.Embedding(categories, hidden)
        self.given, self.readout = nn.Linear(context, hidden), nn.Linear(hidden, categories)
        self.start = nn.Linear(context, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def log_density(self, t: Tensor, x: Tensor) -> Tensor:
        """Of codes ``(n, T)``, nats, ``(n,)``."""
        nothing = self.nothing.expand(len(x), 1, -1)
        inputs = torch.cat([nothing, self.embedding(x[:, :-1])], 1) + self.given(t).unsqueeze(1)
        states, _ = self.gru(inputs, torch.tanh(self.start(t)).unsqueeze(0))
        return -F.cross_entropy(self.readout(states).transpose(1, 2), x, reduction="none").sum(-1)

    @torch.no_grad()
    def sample(self, t: Tensor) -> Tensor:
        """Codes ``(n, T)``."""
        given, state = self.given(t), torch.tanh(self.start(t)).unsqueeze(0)
        entering, drawn = self.nothing.expand(len(t), -1), []
        for _ in range(self.length):
            output, state = self.gru((entering + given).unsqueeze(1), state)
            probs = F.softmax(self.readout(output[:, 0]), -1)
            drawn.append(torch.multinomial(probs, 1))
            entering = self.embedding(drawn[-1][:, 0])
        return torch.cat(drawn, 1)


class Block(nn.Module):
    """Attention and a perceptron, each normalised first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, cache: list[Tensor] | None = None) -> Tensor:
        """With a cache ``x`` is the next place alone; its keys and values are added to the cache."""
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        found = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.out(found.transpose(1, 2).reshape(n, length, width))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Categories; the latent's features enter at each place."""

    def __init__(
        self, length: int, context: int, categories: int, width: int, blocks: int, heads: int
    ) -> None:
        super().__init__()
        self.length = length
        self.nothing = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(torch.zeros(length, width))
        self.embedding = nn.Embedding(categories, width)
        self.given, self.readout = nn.Linear(context, width), nn.Linear(width, categories)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)

    def log_density(self, t: Tensor, x: Tensor) -> Tensor:
        """Of codes ``(n, T)``, nats, ``(n,)``."""
        nothing = self.nothing.expand(len(x), 1, -1)
        h = torch.cat([nothing, self.embedding(x[:, :-1])], 1) + self.given(t).unsqueeze(1) + self.places
        for block in self.blocks:
            h = block(h)
        outputs = self.readout(self.norm(h))
        return -F.cross_entropy(outputs.transpose(1, 2), x, reduction="none").sum(-1)

    @torch.no_grad()
    def sample(self, t: Tensor) -> Tensor:
        """Codes ``(n, T)``."""
        given, entering = self.given(t), self.nothing.expand(len(t), -1)
        caches: list[list[Tensor]] = [[] for _ in self.blocks]
        drawn: list[Tensor] = []
        for place in self.places:
            h = (entering + given + place).unsqueeze(1)
            for block, cache in zip(self.blocks, caches, strict=True):
                h = block(h, cache)
            probs = F.softmax(self.readout(self.norm(h[:, 0])), -1)
            drawn.append(torch.multinomial(probs, 1))
            entering = self.embedding(drawn[-1][:, 0])
        return torch.cat(drawn, 1)
