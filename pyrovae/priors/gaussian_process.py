"""The Gaussian process prior of sequences: each latent dimension a function of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.distributions.gaussian_series import GaussianSeries
from pyrovae.errors import explain
from pyrovae.types import Distribution


class GaussianProcess(nn.Module):
    r"""Latent dimensions that are independent Gaussian processes, seen at given times.

    .. math::
        p(z) = \prod_{j=1}^d \mathcal N(z_{\cdot j} \mid 0, K_j), \qquad
        (K_j)_{st} = k_j(\tau_s - \tau_t)\, (1 + \epsilon\, [s = t])

    What is known of the latent is said by the kernel: how smooth it is, how fast it changes, that it repeats.
    The times may be irregular. Nothing is approximated: a call costs a Cholesky factor of T by T for each
    lengthscale, which is nothing for a hundred times and much for some thousands. A mean-field posterior is
    ``heads.Steps(heads.normal)``, a structured one :class:`pyrovae.heads.Markov`.

    Arguments:
        times: :math:`\tau_1, \dots, \tau_T`, all different, in any order; a number T: 0, 1, ..., T - 1.
        dim: the number of latent dimensions, d.
        kernel: a kernel such as :class:`pyrovae.kernels.SquaredExponential`, which all dimensions share where
            its numbers are single ones; it may have one for each of the d dimensions.
        jitter: :math:`\epsilon`, the variance of white noise relative to the kernel's, which keeps the factor
            of a smooth kernel finite. In float32 1e-3 keeps the density of a hundred times right to
            0.01 nats.

    Shapes: an event is ``(T, d)``.

    Raises:
        ValueError: times that are not finite, or equal; a negative jitter; a kernel of another number of
            dimensions.

    References:
        Casale, Dalca, Saglietti, Listgarten and Fusi, 2018, Gaussian Process Prior Variational Autoencoders,
            https://arxiv.org/abs/1810.11738
        Fortuin, Baranchuk, Rätsch and Mandt, 2020, GP-VAE: Deep Probabilistic Time Series Imputation,
            https://arxiv.org/abs/1907.04155

    Example:
        >>> import torch
        >>> from pyrovae import kernels, priors
        >>> kernel = kernels.OrnsteinUhlenbeck([1.0, 10.0], learn=False)
        >>> prior = priors.GaussianProcess([0.0, 0.5, 3.0, 3.1], 2, kernel=kernel)
        >>> prior()
        GaussianSeries(length=4, dim=2)
        >>> _ = torch.manual_seed(0)
        >>> z = prior().sample((20_000,))
        >>> print((z[:, 1] * z[:, 2]).mean(0))  # near exp(-2.5 / 1), exp(-2.5 / 10)
        tensor([0.0825, 0.7906])
    """

    difference: Tensor

    def __init__(
        self, times: Sequence[float] | int, dim: int, *, kernel: nn.Module, jitter: float = 1e-3
    ) -> None:
        super().__init__()
        if not _is_whole(dim):
            raise ValueError(
                explain(
                    "GaussianProcess, dim",
                    expected="a positive number of latent dimensions",
                    got=repr(dim),
                    remedy="Try 2.",
                )
            )
        if not (_is_real(jitter) and jitter >= 0):
            raise ValueError(
                explain(
                    "GaussianProcess, jitter",
                    expected="a share of the variance, from 0 on",
                    got=repr(jitter),
                    remedy="Try 1e-3.",
                )
            )
        self.times = tuple(times) if isinstance(times, Sequence) else times
        self.dim, self.kernel, self.jitter = dim, kernel, jitter
        # Differences first: far from zero, float32 would not tell two times apart.
        exact = torch.tensor(_listed(self.times), dtype=torch.float64)
        difference = (exact[:, None] - exact).to(torch.get_default_dtype())
        self.register_buffer("difference", difference, persistent=False)
        length = len(exact)
        shape = tuple(kernel(difference).shape)
        if shape not in {(length, length), (dim, length, length)}:
            raise ValueError(
                explain(
                    "GaussianProcess, kernel",
                    expected=f"covariances of shape ({length}, {length}), or ({dim}, {length}, {length})",
                    got=f"{shape}",
                    remedy=f"Give its numbers singly, or as sequences of {dim}.",
                )
            )

    def forward(self) -> Distribution:
        covariance = self.kernel(self.difference)
        noise = self.jitter * covariance.diagonal(dim1=-2, dim2=-1)
        try:
            scale_tril = torch.linalg.cholesky(covariance + torch.diag_embed(noise))
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise ValueError(
                explain(
                    "GaussianProcess",
                    expected=f"a positive definite covariance of the {len(self.difference)} times",
                    got="one that isn't, to the precision of its numbers",
                    remedy=f"Raise jitter={self.jitter:g}, or use double precision: prior.double().",
                )
            ) from error
        return GaussianSeries(scale_tril.new_zeros(len(self.difference), self.dim), scale_tril)

    def extra_repr(self) -> str:
        return f"times={self.times}, dim={self.dim}, jitter={self.jitter:g}"


def _listed(times: Any) -> list[float]:
    if _is_whole(times):
        return [float(t) for t in range(times)]
    if isinstance(times, tuple) and times and all(map(_is_real, times)) and len(set(times)) == len(times):
        return [float(t) for t in times]
    raise ValueError(
        explain(
            "GaussianProcess, times",
            expected="different finite numbers, or how many steps there are",
            got=repr(times),
            remedy="Write [0.0, 0.5, 3.0], say, or 10; one time has one value of the latent.",
        )
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
