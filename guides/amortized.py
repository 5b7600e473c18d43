"""The amortized guide: each latent site has a network and a head of its own."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
from torch import Tensor, nn

from pyrovae.arguments import is_part, shown
from pyrovae.covariates import asked, given_to
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class Amortized(nn.Module):
    r"""A posterior that factorises over latent sites, each read off the datum by a network.

    .. math::
        q(z_1, \dots, z_k \mid x) = \prod_{s} q_s\big(z_s \mid \mathrm{head}_s(\mathrm{net}_s(x))\big)

    Arguments:
        sites: for each latent site of the model, by its name, a pair (network, head).

    Shapes: ``x`` is ``(n, ...)``, whatever the networks take. A network called as ``net(x, y)`` is given the
        covariates that follow ``x``, and makes a :math:`q(z \mid x, y)`.

    Raises:
        TypeError: when a site is not given a network and a head.
        ValueError: when it is called without data, or without the covariates that a network asks for.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, heads, nets
        >>> pyro.set_rng_seed(0)
        >>> guide = guides.Amortized(z=(nets.MLP(64, 32, 2 * 2), heads.normal))
        >>> print(repr(guide).splitlines()[0])
        Amortized: q(z | x)
        >>> guide(torch.zeros(5, 64))["z"].shape
        torch.Size([5, 2])
    """

    def __init__(self, **sites: tuple[nn.Module, Head]) -> None:
        super().__init__()
        if not sites:
            raise TypeError(
                explain(
                    "Amortized",
                    expected="at least one latent site",
                    got="none",
                    remedy="Write Amortized(z=(net, head)).",
                )
            )
        for name, site in sites.items():
            if not (isinstance(site, Sequence) and len(site) == 2 and all(map(is_part, site))):
                raise TypeError(
                    explain(
                        f"Amortized, site {name!r}",
                        expected="a pair (network, head)",
                        got=shown(site),
                        remedy=f"Write Amortized({name}=(net, pyrovae.heads.normal)).",
                    )
                )
        self.nets = nn.ModuleDict({name: net for name, (net, _) in sites.items()})
        self.heads = nn.ModuleDict({n: head for n, (_, head) in sites.items() if isinstance(head, nn.Module)})
        self.sites = dict(sites)

    @property
    def covariates(self) -> int:
        """How many tensors of a batch the networks ask for beyond ``x``."""
        return max(asked(net, 1) for net, _ in self.sites.values())

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, ``q(z1 | x) q(z2 | x)``."""
        nets = {name: net for name, (net, _) in self.sites.items()}
        return " ".join(f"q({name} | x{', y' if asked(net, 1) else ''})" for name, net in nets.items())

    def posterior(self, site: str, x: Tensor, *given: Tensor | None) -> Distribution:
        """The distribution q(site | x), batch shape ``(n,)``."""
        net, head = self.sites[site]
        return head(net(x, *given_to(f"Amortized, network of {site!r}", asked(net, 1), given)))

    def forward(
        self, x: Tensor | None = None, *given: Tensor | None, size: int | None = None
    ) -> dict[str, Tensor]:
        """Draws every latent site given ``x``, by name."""
        if x is None:
            raise ValueError(
                explain(
                    "Amortized",
                    expected="data x: the posterior is read off them",
                    got=f"x=None, size={size}",
                    remedy="To draw from the prior, run the model: model(size=n).",
                )
            )
        pyro.module("amortized", self)
        with pyro.plate("data", len(x)):
            return {name: pyro.sample(name, self.posterior(name, x, *given)) for name in self.sites}

    def __repr__(self) -> str:
        return f"Amortized: {self.factorisation}\n{super().__repr__()}"
