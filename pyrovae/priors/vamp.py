"""The VampPrior: a mixture of the posteriors of learned pseudo-inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae.distributions import LogScaleNormal, SharedMixture
from pyrovae.distributions._formulas import is_diagonal_normal
from pyrovae.errors import explain
from pyrovae.priors import _checks
from pyrovae.randomness import generator
from pyrovae.types import Distribution, Head


class VampPrior(nn.Module):
    r"""The variational mixture of posteriors.

    .. math:: p(z) = \sum_{k=1}^K \pi_k\, q(z \mid u_k), \qquad q(z \mid u) = \mathrm{head}(f(u))

    The prior that maximises the ELBO is the mean of the posteriors of all data. This one stands in for it
    with those of K pseudo-inputs :math:`u_k`, which are learned with everything else. The encoder is the
    guide's own, the same object:

    .. code-block:: python

        encoder = nets.MLP(784, 400, 2 * 50)
        prior = priors.VampPrior(encoder, heads.normal, 500, (784,), bounds=(0, 1)).start_from(x)
        model = models.VAE(prior, nets.MLP(50, 400, 784), heads.bernoulli)
        guide = guides.Amortized(z=(encoder, heads.normal))

    A step takes one pass of the encoder over the pseudo-inputs. Of diagonal normal posteriors the density is
    one product of matrices (:class:`pyrovae.distributions.SharedMixture`); of others each component's is
    taken by itself. Samples are drawn from the mixture.

    Arguments:
        encoder: the guide's network f.
        head: the guide's head, as :data:`pyrovae.heads.normal`.
        components: the number of pseudo-inputs, K.
        shape: of a datum, without the batch.
        bounds: the least and the largest value that pseudo-inputs may have, such as (0, 1) for pixels. They
            are folded back there, where the paper cuts them off: cut off, a value that has stepped outside
            has no gradient and stays for good.
        learn_weights: whether the weights :math:`\pi_k` are learned; otherwise they are 1 / K.

    Without :meth:`start_from` pseudo-inputs begin as noise: uniform within the bounds, else standard normal.

    Raises:
        ValueError: for a number of components that isn't positive, bounds out of order, or an encoder and a
            head that don't make one distribution of each pseudo-input.

    References:
        Tomczak and Welling, 2018, VAE with a VampPrior, https://arxiv.org/abs/1705.07120

    Example:
        >>> import torch
        >>> from pyrovae import heads, nets, priors
        >>> _ = torch.manual_seed(0)
        >>> x = torch.rand(100, 64)
        >>> prior = priors.VampPrior(nets.MLP(64, 2 * 8), heads.normal, 20, (64,)).start_from(x)
        >>> prior()
        SharedMixture(components=20, batch_shape=(), event_shape=(8,))
    """

    starts_from = "data"
    log_weights: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        head: Head,
        components: int,
        shape: Sequence[int],
        *,
        bounds: Sequence[float] | None = None,
        learn_weights: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.components = _checks.size("priors.VampPrior, components", components)
        self.shape = tuple(_checks.size("priors.VampPrior, shape", side) for side in shape)
        self.bounds = None if bounds is None else _ordered(bounds)
        self.learn_weights = learn_weights
        if self.bounds is None:
            start = torch.randn(components, *self.shape)
        else:
            low, high = self.bounds
            start = low + (high - low) * torch.rand(components, *self.shape)
        self.raw = nn.Parameter(start)
        if learn_weights:
            self.log_weights = nn.Parameter(torch.zeros(components))
        else:
            self.register_buffer("log_weights", torch.zeros(components), persistent=False)
        self.dim = self._try_out()

    @property
    def pseudo_inputs(self) -> Tensor:
        """The pseudo-inputs as the encoder sees them, ``(K, *shape)``."""
        return self.raw if self.bounds is None else _folded(self.raw, *self.bounds)

    def start_from(self, x: Tensor, *, seed: int = 0, noise: float = 0.01) -> Self:
        """Starts the pseudo-inputs at data chosen at random, each once as long as there are enough.

        Arguments:
            x: data as the guide sees them, ``(n, *shape)``.
            seed: of the choice and the noise.
            noise: the standard deviation of normal noise that is added, in units of x.

        Raises:
            ValueError: for data of another shape, none, or values that aren't finite.
        """
        x = torch.as_tensor(x)
        if tuple(x.shape[1:]) != self.shape or not len(x):
            raise ValueError(
                explain(
                    "VampPrior.start_from",
                    expected=f"data of shape (n, {str(self.shape)[1:-1].rstrip(',')})",
                    got=f"shape {tuple(x.shape)}",
                    remedy="Pass the data as the guide sees them; x.flatten(1) makes vectors of images.",
                )
            )
        numbers = generator("pseudo-inputs", seed)
        if len(x) < self.components:
            index = torch.randint(len(x), (self.components,), generator=numbers)
        else:
            index = torch.randperm(len(x), generator=numbers)[: self.components]
        chosen = x[index.to(x.device)].detach().cpu()
        start = chosen + noise * torch.randn(chosen.shape, generator=numbers)
        if not torch.isfinite(start).all():
            raise ValueError(
                explain(
                    "VampPrior.start_from",
                    expected="finite numbers",
                    got="NaN or infinity",
                    remedy="Fill in what is missing first.",
                )
            )
        _checks.keep(self.raw, start if self.bounds is None else _folded(start, *self.bounds))
        return self

    def forward(self) -> Distribution:
        components: Any = self.head(self.encoder(self.pseudo_inputs))
        if is_diagonal_normal(components):
            normal = components.base_dist
            log_scale = normal.log_scale if isinstance(normal, LogScaleNormal) else normal.scale.log()
            return SharedMixture(normal.loc, log_scale, self.log_weights)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.log_weights), components)

    def extra_repr(self) -> str:
        return (
            f"components={self.components}, shape={self.shape}, bounds={self.bounds}, "
            f"learn_weights={self.learn_weights}"
        )

    @torch.no_grad()
    def _try_out(self) -> int:
        """The first dimension of a latent, from the posterior of one pseudo-input, in evaluation mode."""
        modes = [(module, module.training) for module in self.encoder.modules()]
        try:
            self.encoder.eval()
            one = self.head(self.encoder(self.pseudo_inputs[:1]))
        finally:
            for module, mode in modes:
                module.training = mode
        if tuple(one.batch_shape) != (1,) or not one.event_shape:
            raise ValueError(
                explain(
                    "priors.VampPrior",
                    expected="an encoder and a head that make one posterior of one pseudo-input",
                    got=f"batch shape {tuple(one.batch_shape)}, event shape {tuple(one.event_shape)}",
                    remedy=f"Is {self.shape} the shape of a datum? Is the head's event_dim that of a latent?",
                )
            )
        return one.event_shape[0]


def _ordered(bounds: Sequence[float]) -> tuple[float, float]:
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise ValueError(
            explain(
                "priors.VampPrior, bounds",
                expected="a lower and an upper bound",
                got=repr(bounds),
                remedy="Write bounds=(0.0, 1.0).",
            )
        )
    return float(bounds[0]), float(bounds[1])


def _folded(value: Tensor, low: float, high: float) -> Tensor:
    """Values outside of an interval reflected at its ends, as often as it takes: the slope is 1 or -1."""
    unit = (value - low) / (high - low)
    rest = unit - 2 * (0.5 * unit).round()
    return low + (high - low) * torch.where(rest < 0, -rest, rest)
