"""A mixture of diagonal normals whose draws have gradients, by the weights of the components too."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.nn.functional import pad

from pyrovae.errors import explain

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class NormalMixture(TorchDistribution):
    r"""A mixture of diagonal normals.

    .. math::
        q(z) = \sum_{k=1}^K \pi_k \prod_{i=1}^d \mathcal N(z_i; \mu_{ki}, \sigma_{ki}^2),
        \qquad \pi = \operatorname{softmax}(\ell)

    *Gradients of draws.* The choice of a component is no differentiable function of noise, but the draws have
    velocities v that carry the mass to where it goes as a parameter :math:`\phi` changes,
    :math:`\nabla_z \cdot (q v) = -\partial_\phi q`, and with any such :math:`\partial_\phi \mathbb E_q f =
    \mathbb E_q[\nabla f \cdot v]`, without bias. Locs and scales have the gentle ones

    .. math::
        \frac{\partial z_i}{\partial \mu_{ki}} = \rho_k(z), \qquad
        \frac{\partial z_i}{\partial \sigma_{ki}} = \rho_k(z)\, \frac{z_i - \mu_{ki}}{\sigma_{ki}}, \qquad
        \rho_k(z) = \frac{\pi_k q_k(z)}{q(z)} .

    Logits have the implicit ones. Coordinate by coordinate the distribution function of
    :math:`z_i \mid z_{<i}` is

    .. math::
        S_i(z_{\le i}) = \sum_k w_{ki}\, \Phi\Big(\frac{z_i - \mu_{ki}}{\sigma_{ki}}\Big), \qquad
        w_{ki} \propto \pi_k \prod_{j < i} \mathcal N(z_j; \mu_{kj}, \sigma_{kj}^2),

    and keeping :math:`S(z)` fixed gives
    :math:`\partial z / \partial \ell = -(\partial S / \partial z)^{-1}\, \partial S / \partial \ell` with a
    triangular matrix. ``MixtureOfDiagNormals`` of Pyro has the same velocities of locs and scales; with the
    logits it moves mass on straight lines between components, and is right only if these lead through zero.

    *Their price.* What is learned of a weight comes from draws in the valley between components. Where these
    overlap it has a smaller variance than the score function; far apart (four scales and more) a larger one,
    from rare draws: the locs and scales learn as well as ever, the weights slowly.

    The gradient is of first order: no second derivative passes through a draw.

    Arguments:
        loc, scale: of the components, ``(..., K, d)``.
        logits: of their weights, ``(..., K)``, up to a constant. Batch shapes broadcast.

    Raises:
        ValueError: for shapes that don't fit.

    References:
        Figurnov, Mohamed and Mnih, 2018, Implicit Reparameterization Gradients,
        https://arxiv.org/abs/1805.08498
        Jankowiak and Karaletsos, 2019, Pathwise Derivatives for Multivariate Distributions,
        https://arxiv.org/abs/1806.01856

    Example:
        >>> import torch
        >>> from pyrovae.distributions import NormalMixture
        >>> loc = torch.tensor([[-2.0, 0.0], [2.0, 1.0]])
        >>> q = NormalMixture(loc, torch.ones(2, 2), torch.zeros(2))
        >>> q
        NormalMixture(components=2, batch_shape=(), event_shape=(2,))
        >>> q.mean
        tensor([0.0000, 0.5000])
        >>> _ = torch.manual_seed(0)
        >>> q.rsample((3,)).shape
        torch.Size([3, 2])
    """

    arg_constraints = {  # noqa: RUF012
        "loc": constraints.independent(constraints.real, 2),
        "scale": constraints.independent(constraints.positive, 2),
        "logits": constraints.real_vector,
    }
    support = constraints.real_vector
    has_rsample = True
    first_order = True
    """Draws have first derivatives by the parameters, and no second ones."""

    loc: Tensor
    scale: Tensor
    logits: Tensor

    def __init__(
        self, loc: Tensor, scale: Tensor, logits: Tensor, *, validate_args: bool | None = None
    ) -> None:
        if loc.ndim < 2 or logits.ndim < 1 or loc.shape[-2] != logits.shape[-1]:
            raise ValueError(
                explain(
                    "NormalMixture",
                    expected="locs (..., K, d) and logits (..., K)",
                    got=f"{tuple(loc.shape)} and {tuple(logits.shape)}",
                    remedy="Put the components along the last dimension but one.",
                )
            )
        loc, scale = torch.broadcast_tensors(loc, scale)
        batch_shape = torch.broadcast_shapes(loc.shape[:-2], logits.shape[:-1])
        self.loc, self.scale = (x.expand(batch_shape + loc.shape[-2:]) for x in (loc, scale))
        self.logits = logits.log_softmax(-1).expand(batch_shape + logits.shape[-1:])
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> NormalMixture:
        new: NormalMixture = self._get_checked_instance(  # type: ignore[no-untyped-call]
            NormalMixture, _instance
        )
        batch_shape = torch.Size(batch_shape)
        new.loc = self.loc.expand(batch_shape + self.loc.shape[-2:])
        new.scale = self.scale.expand(batch_shape + self.loc.shape[-2:])
        new.logits = self.logits.expand(batch_shape + self.logits.shape[-1:])
        super(NormalMixture, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def probs(self) -> Tensor:
        """The weights of the components, ``(..., K)``."""
        return self.logits.exp()

    @property
    def mean(self) -> Tensor:
        """That of all components together, ``(..., d)``."""
        return (self.probs.unsqueeze(-1) * self.loc).sum(-2)

    @property
    def variance(self) -> Tensor:
        """Of each coordinate, ``(..., d)``."""
        spread = (self.loc - self.mean.unsqueeze(-2)).square()
        return (self.probs.unsqueeze(-1) * (self.scale.square() + spread)).sum(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, nats, ``(...)`` for ``(..., d)``."""
        if self._validate_args:
            self._validate_sample(value)
        return (self.logits + self._log_normals(value).sum(-1)).logsumexp(-1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws ``sample_shape + (..., d)``, differentiable in locs, scales and logits."""
        shape = torch.Size(sample_shape) + self.batch_shape
        with torch.no_grad():
            uniform = torch.rand(*shape, 1, dtype=self.loc.dtype, device=self.loc.device)
            component = (uniform >= self.probs.cumsum(-1)[..., :-1]).sum(-1)
            index = component[..., None, None].expand(*shape, 1, *self.event_shape)
            loc, scale = (
                x.expand(shape + x.shape[-2:]).gather(-2, index).squeeze(-2) for x in (self.loc, self.scale)
            )
            z = loc + scale * torch.randn(shape + self.event_shape, dtype=loc.dtype, device=loc.device)
        return self._moving(z)

    def _log_normals(self, z: Tensor) -> Tensor:
        """The log densities of every coordinate by every component, ``(..., K, d)``."""
        deviation = (z.unsqueeze(-2) - self.loc) / self.scale
        return -0.5 * deviation.square() - self.scale.log() - _HALF_LOG_TAU

    def _moving(self, z: Tensor) -> Tensor:
        """The same draws, differentiable in the parameters."""
        if not torch.is_grad_enabled():
            return z
        with torch.no_grad():
            log_normals = self._log_normals(z)
        if self.loc.requires_grad or self.scale.requires_grad:
            with torch.no_grad():
                share = (self.logits + log_normals.sum(-1)).softmax(-1).unsqueeze(-1)
                deviation = (z.unsqueeze(-2) - self.loc) / self.scale
            moves = (share * (_change(self.loc) + deviation * _change(self.scale))).sum(-2)
        else:
            moves = torch.zeros_like(z)
        if self.logits.requires_grad:
            velocity = self._velocity(z, log_normals)
            moves = moves + (velocity @ _change(self.logits).unsqueeze(-1)).squeeze(-1)
        return z + moves

    @torch.no_grad()
    def _velocity(self, z: Tensor, log_normals: Tensor) -> Tensor:
        """The derivatives of draws by the logits, ``(..., d, K)``."""
        before = pad(log_normals.cumsum(-1)[..., :-1], (1, 0))
        weight = (self.logits.unsqueeze(-1) + before).softmax(-2)
        # Each tail is measured from its own end, which keeps the digits of the difference.
        middle = (weight * self.loc).sum(-2, keepdim=True)
        sign = torch.where(z.unsqueeze(-2) < middle, 1.0, -1.0).to(z.dtype)
        deviation = (z.unsqueeze(-2) - self.loc) / self.scale
        mass = torch.special.ndtr(sign * deviation)
        by_logit = sign * weight * (mass - (weight * mass).sum(-2, keepdim=True))
        density = (weight * log_normals.exp()).sum(-2).clamp(min=torch.finfo(z.dtype).tiny)
        rates = by_logit.mT / density.unsqueeze(-1)
        # By an earlier coordinate: its part in the weights.
        by_earlier = (rates @ (-deviation / self.scale)).tril(-1)
        return -torch.linalg.solve_triangular(by_earlier, rates, upper=False, unitriangular=True)

    def __repr__(self) -> str:
        return (
            f"NormalMixture(components={self.logits.shape[-1]}, batch_shape={tuple(self.batch_shape)}, "
            f"event_shape={tuple(self.event_shape)})"
        )


def _change(parameter: Tensor) -> Tensor:
    """Zero, with the gradient of the parameter."""
    return parameter - parameter.detach()
