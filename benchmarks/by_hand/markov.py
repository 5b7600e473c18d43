"""The Markov chains of the deep Markov model, in a loop over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from by_hand.normal import draw, log_normal


class Transition(nn.Module):
    """The gated transition: to loc and log variance of the next state, each ``(n, d)``."""

    def __init__(self, d: int, hidden: int) -> None:
        super().__init__()
        self.linear, self.first = nn.Linear(d, d), nn.Linear(d, 2 * hidden)
        self.gate, self.proposal = nn.Linear(hidden, d), nn.Linear(hidden, d)
        self.log_variance = nn.Linear(d, d)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        for_gate, for_proposal = torch.relu(self.first(z)).chunk(2, -1)
        gate, proposal = torch.sigmoid(self.gate(for_gate)), self.proposal(for_proposal)
        loc = (1 - gate) * self.linear(z) + gate * proposal
        return loc, self.log_variance(torch.relu(proposal))


class Prior(nn.Module):
    """A first state of its own, then the transition."""

    def __init__(self, d: int, hidden: int) -> None:
        super().__init__()
        self.loc, self.log_scale = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d))
        self.transition = Transition(d, hidden)

    def log_density(self, z: Tensor) -> Tensor:
        """Of sequences ``(n, T, d)``, nats, ``(n,)``: all steps at once."""
        first = log_normal(z[:, 0], self.loc, 2 * self.log_scale).sum(-1)
        return first + log_normal(z[:, 1:], *self.transition(z[:, :-1])).sum((-2, -1))


class Posterior(nn.Module):
    """Each state from the one before and the features of its step."""

    def __init__(self, d: int, hidden: int) -> None:
        super().__init__()
        self.first, self.before = nn.Linear(hidden, 2 * d), nn.Linear(d, hidden)
        self.readout = nn.Linear(hidden, 2 * d)

    def draw(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences ``(n, T, d)`` and their log densities, summed on the way."""
        z, log_density = draw(*self.first(h[:, 0]).chunk(2, -1))
        states = [z]
        for t in range(1, h.shape[1]):
            c = 0.5 * (torch.tanh(self.before(z)) + h[:, t])
            z, added = draw(*self.readout(c).chunk(2, -1))
            states.append(z)
            log_density = log_density + added
        return torch.stack(states, 1), log_density
