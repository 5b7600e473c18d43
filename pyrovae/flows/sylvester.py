"""The Sylvester flow: planar layers of several directions at once, orthogonal by Householder reflections."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyrovae.errors import explain
from pyrovae.flows._conditioning import START, Read
from pyrovae.flows._root import root
from pyrovae.flows.base import Flow, Moved, check_size

LEAST = 1e-3
"""How far below 1 the diagonals stay: a layer leaves at least so much of the volume along each direction."""


class Sylvester(Flow):
    r"""Householder Sylvester flow.

    .. math::
        y = x + Q R\, h, \qquad h = \tanh(\tilde R Q^\top x + b),

    .. math::
        \Big|\det \frac{\partial y}{\partial x}\Big| = \prod_{i=1}^M 1 + r_{ii} \tilde r_{ii} (1 - h_i^2)

    Q holds M orthonormal columns, the first of a product of Householder reflections; R and :math:`\tilde R`
    are upper triangular, their diagonals in (-1, 1), which makes the layer invertible; R = 0 is the identity.
    All are read off the context, or constants without one. The way back solves the triangular system from its
    last row on, each by a root of one variable, found to rounding: densities of any value are exact.

    Arguments:
        dim: the number of entries, d.
        context: the size of what the encoder tells the flow, 0 for nothing.
        layers: how many.
        units: M, at most d; by default the smaller of d and 8.
        reflections: how many make Q; by default as many as units.

    Raises:
        ValueError: for sizes that are not positive, and more units than entries.

    References:
        van den Berg, Hasenclever, Tomczak and Welling, 2018, Sylvester Normalizing Flows for Variational
        Inference, https://arxiv.org/abs/1803.05649
        Schreiber and Van Loan, 1989, A Storage-Efficient WY Representation for Products of Householder
        Transformations, SIAM J. Sci. Stat. Comput. 10(1)

    Example:
        >>> import torch
        >>> from pyrovae import flows
        >>> _ = torch.manual_seed(0)
        >>> transform = flows.Sylvester(6, context=8, layers=4, units=3)(torch.randn(5, 8))
        >>> x = torch.randn(5, 6)
        >>> torch.allclose(transform.inv(transform(x)), x, atol=1e-6)
        True
    """

    def __init__(
        self,
        dim: int,
        *,
        context: int = 0,
        layers: int = 4,
        units: int | None = None,
        reflections: int | None = None,
    ) -> None:
        super().__init__(dim, context=context)
        units = min(dim, 8) if units is None else units
        reflections = units if reflections is None else reflections
        for name, size in (("layers", layers), ("units", units), ("reflections", reflections)):
            check_size(f"Sylvester, {name}", size, 1)
        if units > dim:
            raise ValueError(
                explain(
                    "Sylvester, units",
                    expected=f"at most dim, {dim}",
                    got=repr(units),
                    remedy="There are no more orthogonal directions.",
                )
            )
        self.layers, self.units, self.reflections = layers, units, reflections
        square = units * units
        small = START * torch.randn(layers, 2 * square) / math.sqrt(units)
        # The diagonal of the second factor starts away from 0: at 0 neither of the two would move.
        small[:, square :: units + 1] = 1.0
        directions = torch.randn(layers, reflections * dim)
        start = torch.cat((small, torch.zeros(layers, units), directions), -1)
        self.read = Read(start.flatten(), context)

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        log_det = x.new_zeros(())
        for r, r_too, b, q in self._by_layer(context):
            h = (_times(r_too, _times(q.mT, x)) + b).tanh()
            x = x + _times(q, _times(r, h))
            log_det = log_det + _log_det(_diagonal(r) * _diagonal(r_too), h)
        return x, log_det

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        log_det = y.new_zeros(())
        for r, r_too, b, q in reversed(self._by_layer(context)):
            h = self._solve(r, r_too, b, _times(q.mT, y))
            y = y - _times(q, _times(r, h))
            log_det = log_det + _log_det(_diagonal(r) * _diagonal(r_too), h)
        return y, log_det

    def _solve(self, r: Tensor, r_too: Tensor, b: Tensor, w: Tensor) -> Tensor:
        """h of :math:`w = v + R h`, :math:`h = \\tanh(\\tilde R v + b)`, from the last row to the first."""
        v: list[Tensor] = []
        h: list[Tensor] = []
        for i in reversed(range(self.units)):
            left, c = w[..., i], b[..., i]
            for j in range(i + 1, self.units):
                left = left - r[..., i, j] * h[self.units - 1 - j]
                c = c + r_too[..., i, j] * v[self.units - 1 - j]
            alpha = root(r_too[..., i, i] * left + c, r[..., i, i] * r_too[..., i, i])
            h.append(alpha.tanh())
            v.append(left - r[..., i, i] * h[-1])
        return torch.stack(h[::-1], -1)

    def _by_layer(self, context: Tensor | None) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """For each layer R, the other R, b and Q."""
        units, square = self.units, self.units**2
        t = self.read(context).unflatten(-1, (self.layers, -1))
        r, r_too, b, directions = t.split((square, square, units, self.reflections * self.dim), -1)
        q = self._orthogonal(directions.unflatten(-1, (self.reflections, self.dim)))
        r, r_too = (_triangular(part.unflatten(-1, (units, units))) for part in (r, r_too))
        layers = (r.unbind(-3), r_too.unbind(-3), b.unbind(-2), q.unbind(-3))
        return [*zip(*layers, strict=True)]

    def _orthogonal(self, directions: Tensor) -> Tensor:
        r"""The first M columns of :math:`\prod_k (1 - 2 v_k v_k^\top)`, ``(..., d, M)``, of rows v.

        Without a loop, as :math:`1 - V^\top T V` with :math:`T^{-1}` the upper part of :math:`V V^\top` and
        one half on its diagonal.
        """
        v = directions / directions.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        upper = (v @ v.mT).triu(1)
        half = 0.5 * torch.eye(self.reflections, dtype=v.dtype, device=v.device)
        tv = torch.linalg.solve_triangular(upper + half, v[..., : self.units], upper=True)
        columns = torch.eye(self.dim, self.units, dtype=v.dtype, device=v.device)
        return columns - v.mT @ tv

    def extra_repr(self) -> str:
        sizes = f"layers={self.layers}, units={self.units}, reflections={self.reflections}"
        return f"{super().extra_repr()}, {sizes}"


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    """Matrices times vectors; by einsum, which does not copy a matrix for every particle."""
    return torch.einsum("...ij,...j->...i", matrix, x)


def _triangular(square: Tensor) -> Tensor:
    diagonal = (1 - LEAST) * square.diagonal(dim1=-2, dim2=-1).tanh()
    return square.triu(1) + diagonal.diag_embed()


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


def _log_det(products: Tensor, h: Tensor) -> Tensor:
    return (products * (1 - h.square())).log1p().sum(-1)
