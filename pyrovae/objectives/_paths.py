"""The path derivative of a target through draws that were cut off from the guide's parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrovae.objectives._terms import Latent


def followed(target: Tensor, latents: list[Latent]) -> Tensor | None:
    r"""A surrogate whose gradient is that of a target along the paths of its draws, and no other.

    The values of cut sites are leaves :math:`z_i`; their paths :math:`g_i(\phi, z_{<i})` may lead over
    earlier ones. It is :math:`\sum_i \langle a_i, g_i(\phi) \rangle` with

    .. math:: a_i = \frac{\partial T}{\partial z_i}
        + \sum_{j > i} \Big(\frac{\partial g_j}{\partial z_i}\Big)^{\!\top} a_j

    taken from the last to the first and then held fixed.

    Arguments:
        target: :math:`T`, a scalar.
        latents: the guide's sites, in its order.

    Returns: a scalar, or None where no site was cut.
    """
    cut = [latent for latent in latents if latent.drawn.path is not None]
    if not cut:
        return None
    leaves = [latent.value for latent in cut]
    paths = [latent.drawn.path for latent in cut if latent.drawn.path is not None]
    found = torch.autograd.grad(target, leaves, retain_graph=True, allow_unused=True)
    adjoints = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
    for j in range(len(cut) - 1, 0, -1):
        reached = torch.autograd.grad(paths[j], leaves[:j], adjoints[j], retain_graph=True, allow_unused=True)
        for i, gradient in enumerate(reached):
            if gradient is not None:
                adjoints[i] = adjoints[i] + gradient
    parts = [(path * adjoint.detach()).sum() for path, adjoint in zip(paths, adjoints, strict=True)]
    return torch.stack(parts).sum()
