"""The ladder guide: what the data say, from the bottom up, corrects the model's own way down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
from torch import Tensor, nn

from pyrovae.arguments import is_part, shown
from pyrovae.errors import explain
from pyrovae.guides._normals import loc_and_scale
from pyrovae.heads import normal
from pyrovae.types import Distribution


class Ladder(nn.Module):
    r"""A posterior of latents in a row that comes down the model's own ladder, corrected at each level.

    Up, without noise, each rung reads the one below and says what the data think of its latent:

    .. math::
        h_l = \mathrm{net}_l(h_{l-1}), \qquad h_0 = x, \qquad
        (\hat\mu_l, \log \hat\sigma_l^2) = \mathrm{read}_l(h_l)

    Down, that is weighed with what the model expects given the latent above, each by its precision:

    .. math::
        q(z_L \mid x) = \mathcal N(\hat\mu_L, \hat\sigma_L^2), \qquad
        q(z_l \mid z_{l+1}, x) = \mathcal N(\mu_l^q, \sigma_l^{q\,2}),

    .. math::
        \sigma_l^{q\,2} = \frac{1}{\hat\sigma_l^{-2} + \sigma_l^{-2}(z_{l+1})}, \qquad
        \mu_l^q = \frac{\hat\mu_l \hat\sigma_l^{-2} + \mu_l(z_{l+1})\, \sigma_l^{-2}(z_{l+1})}
                       {\hat\sigma_l^{-2} + \sigma_l^{-2}(z_{l+1})} .

    It is the product of the two normals: exact where :math:`\hat\mu_l, \hat\sigma_l` are those of a normal
    likelihood of :math:`z_l`, and the prior where there is nothing to say, :math:`\hat\sigma_l \to \infty`.
    Given the draw above, each level's KL has a closed form, which :class:`pyrovae.objectives.ELBO` takes.

    The prior is a part of model and guide alike, one object, trained once by what both say of it.

    Arguments:
        prior: the ladder of the model, the same object: a :class:`pyrovae.priors.Ladder`, or what has its
            ``sizes`` and a ``conditional`` that makes diagonal normals.
        rungs: for each latent site, bottom up, a pair (network, network): :math:`\mathrm{net}_l` and
            :math:`\mathrm{read}_l`, the latter with ``2 d_l`` outputs.

    Shapes: ``x`` is ``(n, ...)``, whatever the lowest network takes. What follows ``x`` in a batch is passed
        over.

    Raises:
        TypeError: for a prior that is no ladder, or a rung that is not a pair of networks.
        ValueError: for another number of rungs than levels; when called, without data, or by site for outputs
            of another size than the level's.

    References:
        Sønderby, Raiko, Maaløe, Sønderby and Winther, 2016, Ladder Variational Autoencoders,
        https://arxiv.org/abs/1602.02282

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, nets, priors
        >>> pyro.set_rng_seed(0)
        >>> pyro.clear_param_store()
        >>> prior = priors.Ladder((4, 2), (nets.MLP(2, 16, 2 * 4),))
        >>> guide = guides.Ladder(
        ...     prior,
        ...     z1=(nets.MLP(64, 32, 32), nets.MLP(32, 2 * 4)),
        ...     z2=(nets.MLP(32, 16, 16), nets.MLP(16, 2 * 2)),
        ... )
        >>> print(repr(guide).splitlines()[0])
        Ladder: q(z1 | z2, x) q(z2 | x)
        >>> guide(torch.zeros(5, 64))["z1"].shape
        torch.Size([5, 4])
    """

    covariates = 0

    def __init__(self, prior: Any, **rungs: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        _check(prior, rungs)
        self.prior, self.rungs = prior, dict(rungs)
        self.networks = nn.ModuleDict({name: nn.ModuleList(pair) for name, pair in rungs.items()})

    @property
    def sites(self) -> dict[str, tuple[nn.Module, nn.Module]]:
        """The latent sites by name, bottom up, each with its rung."""
        return self.rungs

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, ``q(z1 | z2, x) q(z2 | x)``."""
        names = list(self.rungs)
        given = [f"{above}, x" for above in names[1:]] + ["x"]
        return " ".join(f"q({name} | {what})" for name, what in zip(names, given, strict=True))

    def posterior(self, site: str, x: Tensor, above: Tensor | None = None) -> Distribution:
        """The distribution q(site | above, x), batch shape ``(n,)``.

        Arguments:
            above: a value of the latent above, ``(..., n, d)``; none at the top.
        """
        return self._corrected(site, self._upward(x)[site], above)

    def forward(
        self, x: Tensor | None = None, *given: Tensor | None, size: int | None = None
    ) -> dict[str, Tensor]:
        """Draws every latent site given ``x``, by name, from the top down."""
        if x is None:
            raise ValueError(
                explain(
                    "guides.Ladder",
                    expected="data x: the posterior is read off them",
                    got=f"x=None, size={size}",
                    remedy="To draw from the prior, run the model: model(size=n).",
                )
            )
        # The prior is the model's to name.
        pyro.module("top_down", self.networks)
        found = self._upward(x)
        z: dict[str, Tensor] = {}
        above: Tensor | None = None
        with pyro.plate("data", len(x)):
            for name in reversed(self.rungs):
                above = z[name] = pyro.sample(name, self._corrected(name, found[name], above))
        return z

    def _upward(self, x: Tensor) -> dict[str, Distribution]:
        """What the data say of each latent."""
        found: dict[str, Distribution] = {}
        h = x
        for (name, (net, read)), size in zip(self.rungs.items(), self.prior.sizes, strict=True):
            h = net(h)
            found[name] = normal(read(h))
            if found[name].event_shape != (size,):
                raise ValueError(
                    explain(
                        f"guides.Ladder, site {name!r}",
                        expected=f"{2 * size} outputs, for the {size} dimensions of its level in the prior",
                        got=str(2 * found[name].event_shape[0]),
                        remedy="The rungs go bottom up, as the prior's sizes do.",
                    )
                )
        return found

    def _corrected(self, site: str, said: Distribution, above: Tensor | None) -> Distribution:
        """The product of what the data say and what the model expects; at the top the former alone."""
        level = list(self.rungs).index(site) + 1
        if level == len(self.rungs):
            return said
        expected = self.prior.conditional(level, above)
        loc, scale = loc_and_scale(f"guides.Ladder, level {level} of the prior", expected)
        loc_said, scale_said = loc_and_scale("guides.Ladder", said)
        # By logarithms: no scale is too small or too large to be weighed.
        log_ratio = 2 * (scale.log() - scale_said.log())
        corrected = loc + log_ratio.sigmoid() * (loc_said - loc)
        log_scale = scale.log() + 0.5 * nn.functional.logsigmoid(-log_ratio)
        return dist.Normal(corrected, log_scale.exp()).to_event(1)

    def __repr__(self) -> str:
        return f"Ladder: {self.factorisation}\n{super().__repr__()}"


def _check(prior: Any, rungs: dict[str, Any]) -> None:
    if not (hasattr(prior, "sizes") and callable(getattr(prior, "conditional", None))):
        raise TypeError(
            explain(
                "guides.Ladder, prior",
                expected="a ladder, with sizes and conditional(level, above)",
                got=type(prior).__name__,
                remedy="Pass the prior of the model, a priors.Ladder.",
            )
        )
    for name, rung in rungs.items():
        if not (isinstance(rung, Sequence) and len(rung) == 2 and all(map(is_part, rung))):
            raise TypeError(
                explain(
                    f"guides.Ladder, site {name!r}",
                    expected="a pair (network, network)",
                    got=shown(rung),
                    remedy=f"Write {name}=(nets.MLP(64, 32), nets.MLP(32, 2 * 8)).",
                )
            )
    if len(rungs) != len(prior.sizes):
        raise ValueError(
            explain(
                "guides.Ladder",
                expected=f"{len(prior.sizes)} sites, one for each level of the prior, bottom up",
                got=f"{len(rungs)}: {list(rungs)}",
                remedy="Name them as the model does, z1, z2, ...",
            )
        )
