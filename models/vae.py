"""The variational autoencoder's generative half: p(x | z) p(z)."""

from __future__ import annotations

import pyro
from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.types import Head, Prior


class VAE(nn.Module):
    r"""One latent vector per datum, decoded into the parameters of a likelihood.

    .. math::
        z_i \sim p(z), \qquad x_i \sim p\big(x \mid f(z_i)\big), \qquad i = 1, \dots, n

    Arguments:
        prior: makes :math:`p(z)`, as :class:`pyrovae.priors.StandardNormal` does.
        decoder: the network :math:`f`, ``(..., d)`` to whatever the likelihood takes.
        likelihood: a head, as :data:`pyrovae.heads.bernoulli`.

    Shapes: ``x`` is ``(n, ...)``; without it, ``size`` data are generated. What a guide reads beside them may
        follow ``x``, such as the index of each datum (:class:`pyrovae.guides.PerDatum`); the model passes
        it over.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114

    Example:
        >>> import pyro
        >>> from pyrovae import heads, models, nets, priors
        >>> model = models.VAE(priors.StandardNormal(2), nets.MLP(2, 32, 64), heads.bernoulli)
        >>> print(repr(model).splitlines()[0])
        VAE: p(x | z) p(z)
        >>> model(size=5).shape
        torch.Size([5, 64])
    """

    factorisation = "p(x | z) p(z)"

    def __init__(self, prior: Prior, decoder: nn.Module, likelihood: Head) -> None:
        super().__init__()
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood

    def forward(self, x: Tensor | None = None, *given: Tensor | None, size: int | None = None) -> Tensor:
        """Observes ``x``, or generates ``size`` data, and returns them, ``(n, ...)``."""
        pyro.module("vae", self)
        with pyro.plate("data", _length(x, size)):
            z = pyro.sample("z", self.prior())
            x_drawn: Tensor = pyro.sample("x", self.likelihood(self.decoder(z)), obs=x)
        return x_drawn

    def __repr__(self) -> str:
        return f"VAE: {self.factorisation}\n{super().__repr__()}"


def _length(x: Tensor | None, size: int | None) -> int:
    if x is not None:
        return len(x)
    if size is None:
        raise ValueError(
            explain(
                "VAE",
                expected="data x, or the number of data to generate",
                got="neither",
                remedy="Call model(x), or model(size=16).",
            )
        )
    return size
