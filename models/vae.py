"""The variational autoencoder's generative half: p(x | z) p(z)."""

from __future__ import annotations

import pyro
from torch import Tensor, nn

from pyrovae.arguments import require_part
from pyrovae.covariates import asked, given_to
from pyrovae.errors import explain
from pyrovae.types import Head, Prior


class VAE(nn.Module):
    r"""One latent vector per datum, decoded into the parameters of a likelihood.

    .. math::
        z_i \sim p(z), \qquad x_i \sim p\big(x \mid f(z_i)\big), \qquad i = 1, \dots, n

    A prior or a decoder that takes covariates is given them: with a prior called as ``prior(y)`` and a
    decoder called as ``decoder(z, y)`` this is the conditional VAE, :math:`p(z \mid y)\, p(x \mid z, y)`.

    Arguments:
        prior: makes :math:`p(z)`, as :class:`pyrovae.priors.StandardNormal` does.
        decoder: the network :math:`f`, ``(..., d)`` to whatever the likelihood takes.
        likelihood: a head, as :data:`pyrovae.heads.bernoulli`.

    Shapes: ``x`` is ``(n, ...)``; without it, ``size`` data are generated, or one for each row of the
        covariates. Covariates ``(n, ...)`` follow ``x``, and so does what only the guide reads, such as the
        index of each datum (:class:`pyrovae.guides.PerDatum`); what no part asks for is passed over.

    Raises:
        TypeError: for parts that can't be called, or a class in place of a part.
        ValueError: without data and size; when a part asks for covariates that didn't come.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114
        Sohn, Lee and Yan, 2015, Learning Structured Output Representation using Deep Conditional Generative
        Models, NeurIPS 28.

    Example:
        >>> import pyro
        >>> from pyrovae import heads, models, nets, priors
        >>> model = models.VAE(priors.StandardNormal(2), nets.MLP(2, 32, 64), heads.bernoulli)
        >>> print(repr(model).splitlines()[0])
        VAE: p(x | z) p(z)
        >>> model(size=5).shape
        torch.Size([5, 64])
    """

    def __init__(self, prior: Prior, decoder: nn.Module, likelihood: Head) -> None:
        super().__init__()
        require_part("VAE, prior", prior, "a prior", "VAE(priors.StandardNormal(8), decoder, likelihood)")
        require_part("VAE, decoder", decoder, "a network", "VAE(prior, nets.MLP(8, 64), likelihood)")
        require_part("VAE, likelihood", likelihood, "a head", "VAE(prior, decoder, heads.Bernoulli())")
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood

    @property
    def covariates(self) -> int:
        """How many tensors of a batch the parts ask for beyond ``x``."""
        return max(asked(self.prior, 0), asked(self.decoder, 1))

    @property
    def factorisation(self) -> str:
        """The joint density as it is written, ``p(x | z) p(z)``."""
        of_x, of_z = asked(self.decoder, 1), asked(self.prior, 0)
        return f"p(x | z{', y' if of_x else ''}) p(z{' | y' if of_z else ''})"

    def forward(self, x: Tensor | None = None, *given: Tensor | None, size: int | None = None) -> Tensor:
        """Observes ``x``, or generates ``size`` data, and returns them, ``(n, ...)``."""
        pyro.module("vae", self)
        for_prior = given_to("VAE, prior", asked(self.prior, 0), given)
        for_decoder = given_to("VAE, decoder", asked(self.decoder, 1), given)
        with pyro.plate("data", _length(x, size, [*for_prior, *for_decoder])):
            z = pyro.sample("z", self.prior(*for_prior))
            x_drawn: Tensor = pyro.sample("x", self.likelihood(self.decoder(z, *for_decoder)), obs=x)
        return x_drawn

    def __repr__(self) -> str:
        return f"VAE: {self.factorisation}\n{super().__repr__()}"


def _length(x: Tensor | None, size: int | None, covariates: list[Tensor]) -> int:
    rows = next(iter(covariates), None) if x is None else x
    if rows is not None:
        return len(rows)
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
