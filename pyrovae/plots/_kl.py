"""What each latent dimension costs, and which of them are used at all."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pyrovae.errors import explain
from pyrovae.plots._arrays import Array, finite
from pyrovae.plots._style import BLUE, FAINT, INK, dress, label, new_figure, root

MOST_NAMED = 40  # more names of bars run into each other


def kl_per_dimension(
    kl: Array,
    *,
    threshold: float = 0.01,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    r"""Draw the mean KL divergence of each latent dimension as sorted bars, and count the active units.

    .. math::
        \mathrm{KL}_j = \frac1n \sum_{i=1}^n \mathrm{KL}\big(q(z_j \mid x_i) \,\|\, p(z_j)\big)

    A dimension is active if this mean exceeds the threshold; one that isn't carries next to nothing of the
    data.

    Arguments:
        kl: nats, ``(n, d)`` for n data, or ``(d,)`` already averaged.
        threshold: nats per datum.
        title: words to stand in front of the count.
        ax: axes to draw into, instead of a new figure.

    Raises:
        ValueError: if ``kl`` is empty, not finite, or of another shape.

    Example:
        >>> import torch
        >>> from pyrovae import plots
        >>> figure = plots.kl_per_dimension(torch.tensor([0.001, 2.0, 1.0]))
        >>> figure.axes[0].get_title(loc="left")
        '2 of 3 units active (KL > 0.01 nats), 3.00 nats in all'
    """
    values = finite(kl, "kl")
    if values.ndim not in (1, 2):
        raise ValueError(
            explain(
                "kl",
                expected="shape (n, d) or (d,)",
                got=str(values.shape),
                remedy="Sum groups of dimensions, or choose the latent site to draw.",
            )
        )
    means = values.mean(0) if values.ndim == 2 else values
    order = np.argsort(-means, kind="stable")
    means, count = means[order], len(order)
    active = int((means > threshold).sum())
    canvas = dress(new_figure(height=3.2, layout="constrained").add_subplot()) if ax is None else ax
    canvas.grid(False, axis="x")
    ranks = np.arange(1, count + 1)
    canvas.bar(ranks, means, width=0.82, color=[BLUE] * active + [FAINT] * (count - active))
    if 0 < active < count:
        canvas.axvline(active + 0.5, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        canvas.legend(
            handles=[Patch(color=BLUE, label="active"), Patch(color=FAINT, label="not active")],
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            loc="upper right",
        )
    canvas.set_xlim(0.4, count + 0.6)
    if count <= MOST_NAMED:
        canvas.set_xticks(ranks, labels=[str(index) for index in order], fontsize=9 if count <= 28 else 8)
        canvas.tick_params(axis="x", length=0)
        label(canvas, x="latent dimension, by its index in z")
    else:
        label(canvas, x="latent dimensions, by rank")
    heading = f"{active} of {count} units active (KL > {threshold:g} nats), {means.sum():.2f} nats in all"
    label(canvas, title=heading if title is None else f"{title}: {heading}", y="KL, nats per datum")
    return root(canvas)
