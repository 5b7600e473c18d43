"""One figure of each kind, on digits, for the tests of plots."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from pyrovae import plots

DIGITS = load_digits()
X = torch.tensor(DIGITS.data / 16, dtype=torch.float32)
Y = torch.tensor(DIGITS.target)
ROWS = [
    {
        "epoch": e,
        "train_loss": 60.0 + 30.0 / e,
        "validation_loss": 64.0 + abs(e - 6),
        "kl_weight": min(1.0, e / 4),
    }
    for e in range(1, 11)
]


def words(texts: Any) -> list[str]:
    return [text.get_text() for text in texts]


def title(ax: Axes) -> str:
    return ax.get_title(loc="left")


def drawn(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


FIGURES: dict[str, Callable[..., Figure]] = {
    "samples": lambda **o: plots.samples(X[:20], **o),
    "reconstructions": lambda **o: plots.reconstructions(X[:30], X[30:60], **o),
    "manifold": lambda **o: plots.manifold(X[:30].reshape(5, 6, 64), extent=(-2, 2, -3, 3), **o),
    "interpolation": lambda **o: plots.interpolation(X[:33].reshape(3, 11, 64), **o),
    "traversals": lambda **o: plots.traversals(X[:10].reshape(2, 5, 64), values=range(-2, 3), **o),
    "latent_scatter": lambda **o: plots.latent_scatter(X[:300], Y[:300], **o),
    "training_curves": lambda **o: plots.training_curves(ROWS, **o),
    "kl_per_dimension": lambda **o: plots.kl_per_dimension(X.var(0), **o),
}
