"""A plane through latent space, decoded: the picture of what lies where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.predict.decoding import decode, require_positive
from pyrovae.predict.programs import ready, structure
from pyrovae.training.fitted import Fit


class Manifold(NamedTuple):
    """A plane through latent space, decoded.

    Attributes:
        images: the likelihood's means, ``(rows, columns, ...)``.
        rows: the second coordinate of each row, ``(rows,)``, falling, as on the page.
        columns: the first coordinate of each column, ``(columns,)``, rising.
    """

    images: Tensor
    rows: Tensor
    columns: Tensor


def manifold(
    run: Fit,
    *,
    steps: int = 20,
    extent: tuple[float, float] | None = None,
    dims: tuple[int, int] | None = None,
    site: str | None = None,
) -> Manifold:
    r"""The likelihood's mean over a grid of two latent dimensions.

    Arguments:
        steps: points along each side.
        extent: the lowest and the highest coordinate of an even grid; None: the quantiles
            :math:`\Phi^{-1}\big((i - 1/2) / \text{steps}\big)` of the standard normal, so that under that
            prior every cell stands for the same probability.
        dims: which two dimensions of a latent of more than two; the others are 0.
        site: which observed site; by default the only one, or ``"x"`` among several.

    Raises:
        ValueError: more than one latent site, a latent that is not a vector of two or more dimensions,
            dimensions that it does not have, an empty extent.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, figure 4, https://arxiv.org/abs/1312.6114

    Example:
        >>> import torch, pyrovae as pv
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> plane = manifold(pv.Fit(model, guide), steps=4, extent=(-3, 3))
        >>> plane.images.shape, plane.columns
        (torch.Size([4, 4, 64]), tensor([-3., -1.,  1.,  3.]))
    """
    require_positive("steps", steps)
    if extent is not None and not extent[0] < extent[1]:
        raise ValueError(
            explain("extent", expected="(low, high), low < high", got=repr(extent), remedy="Try (-3, 3).")
        )
    latent, width = _plane(run)
    if dims is None and width > 2:
        raise ValueError(
            explain(
                "dims",
                expected=f"two of the {width} dimensions of {latent!r}",
                got="None",
                remedy="Choose: dims=(0, 1).",
            )
        )
    i, j = check_dims((0, 1) if dims is None else dims, width, count=2)
    if extent is None:
        quantiles = (torch.arange(steps, device=run.device) + 0.5) / steps
        columns = torch.special.ndtri(quantiles)
    else:
        columns = torch.linspace(*extent, steps, device=run.device)
    rows = columns.flip(0)
    z = torch.zeros(steps, steps, width, device=run.device)
    z[..., i], z[..., j] = columns[None, :], rows[:, None]
    images = decode(run, {latent: z.reshape(-1, width)}, site=site)
    return Manifold(images.reshape(steps, steps, *images.shape[1:]), rows, columns)


def _plane(run: Fit) -> tuple[str, int]:
    """The one latent site of the model and its number of dimensions."""
    with ready(run, 0) as (model, _):
        sites = structure(run, model, None)
    names = list(sites.latents)
    if len(names) != 1:
        raise ValueError(
            explain(
                "manifold",
                expected="a model with one latent site",
                got=f"the latent sites {names}",
                remedy="Make the grid yourself and decode it: pyrovae.predict.decode(run, {...}).",
            )
        )
    shape = tuple(sites.latents[names[0]]["value"].shape[1:])
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(
            explain(
                f"latent site {names[0]!r}",
                expected="a vector of two or more dimensions for each datum",
                got=f"shape {shape}",
                remedy="Use traverse, which moves one dimension at a time.",
            )
        )
    return names[0], shape[0]


def check_dims(dims: Sequence[int], width: int, count: int | None = None) -> list[int]:
    """The dimensions as a list; ValueError for ones that a latent of that width does not have."""
    chosen = list(dims)
    valid = all(isinstance(d, int) and 0 <= d < width for d in chosen) and len(set(chosen)) == len(chosen)
    if not valid or not chosen or (count is not None and len(chosen) != count):
        raise ValueError(
            explain(
                "dims",
                expected=f"{count or 'some'} different dimensions from 0 to {width - 1}",
                got=repr(dims),
                remedy="Dimensions count from 0.",
            )
        )
    return chosen
