"""The ladder: latents in a row, of which the data see the lowest."""

from __future__ import annotations

from typing import Any

import pyro
from torch import Tensor, nn

from pyrovae.arguments import require_part
from pyrovae.errors import explain
from pyrovae.types import Head


class Ladder(nn.Module):
    r"""Several latent vectors per datum in a row, top down, the lowest decoded into the data.

    .. math::
        z_L \sim p(z_L), \qquad z_l \sim p(z_l \mid z_{l+1}), \qquad x \sim p\big(x \mid f(z_1)\big)

    The latent sites are ``"z1"`` to ``"zL"``, bottom up. To decode all levels, take the prior for one of the
    whole vector: :class:`pyrovae.models.VAE`.

    Arguments:
        prior: a :class:`pyrovae.priors.Ladder`, or what has its ``sizes`` and ``conditional``. A
            :class:`pyrovae.guides.Ladder` for it takes the same object.
        decoder: the network :math:`f`, ``(..., d_1)`` to whatever the likelihood takes.
        likelihood: a head, as :data:`pyrovae.heads.bernoulli`.

    Shapes: ``x`` is ``(n, ...)``; without it, ``size`` data are generated. What follows ``x`` in a batch is
        passed over.

    Raises:
        TypeError: for a prior that is no ladder, a decoder or a likelihood that can't be called.
        ValueError: without data and size.

    References:
        Sønderby, Raiko, Maaløe, Sønderby and Winther, 2016, Ladder Variational Autoencoders,
        https://arxiv.org/abs/1602.02282

    Example:
        >>> import pyro
        >>> from pyrovae import heads, models, nets, priors
        >>> pyro.clear_param_store()
        >>> prior = priors.Ladder((4, 2), (nets.MLP(2, 16, 2 * 4),))
        >>> model = models.Ladder(prior, nets.MLP(4, 32, 64), heads.bernoulli)
        >>> print(repr(model).splitlines()[0])
        Ladder: p(x | z1) p(z1 | z2) p(z2)
        >>> model(size=5).shape
        torch.Size([5, 64])
    """

    covariates = 0

    def __init__(self, prior: Any, decoder: nn.Module, likelihood: Head) -> None:
        super().__init__()
        if not (hasattr(prior, "sizes") and callable(getattr(prior, "conditional", None))):
            raise TypeError(
                explain(
                    "models.Ladder, prior",
                    expected="a ladder, with sizes and conditional(level, above)",
                    got=type(prior).__name__,
                    remedy="Take priors.Ladder, or models.VAE for a single latent.",
                )
            )
        require_part(
            "models.Ladder, decoder", decoder, "a network", "Ladder(prior, nets.MLP(8, 64), likelihood)"
        )
        require_part(
            "models.Ladder, likelihood", likelihood, "a head", "Ladder(prior, decoder, heads.Bernoulli())"
        )
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood

    @property
    def factorisation(self) -> str:
        """The joint density as it is written, ``p(x | z1) p(z1 | z2) p(z2)``."""
        depth = len(self.prior.sizes)
        steps = [f"p(z{level} | z{level + 1})" for level in range(1, depth)]
        return " ".join(["p(x | z1)", *steps, f"p(z{depth})"])

    def forward(self, x: Tensor | None = None, *given: Tensor | None, size: int | None = None) -> Tensor:
        """Observes ``x``, or generates ``size`` data, and returns them, ``(n, ...)``."""
        if x is None and size is None:
            raise ValueError(
                explain(
                    "models.Ladder",
                    expected="data x, or the number of data to generate",
                    got="neither",
                    remedy="Call model(x), or model(size=16).",
                )
            )
        pyro.module("ladder", self)
        with pyro.plate("data", size if x is None else len(x)):
            z: Tensor | None = None
            for level in range(len(self.prior.sizes), 0, -1):
                z = pyro.sample(f"z{level}", self.prior.conditional(level, z))
            x_drawn: Tensor = pyro.sample("x", self.likelihood(self.decoder(z)), obs=x)
        return x_drawn

    def __repr__(self) -> str:
        return f"Ladder: {self.factorisation}\n{super().__repr__()}"
