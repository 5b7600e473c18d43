"""The guide without amortization: each datum has variational parameters of its own."""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.infer.util import is_validation_enabled
from torch import Tensor, nn

from pyrovae.arguments import is_part, shown
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class PerDatum(nn.Module):
    r"""A posterior whose features are not computed from a datum but kept for it, a row of a table.

    .. math::
        q(z_1, \dots, z_k \mid x_i) = \prod_s q_s\big(z_s \mid \mathrm{head}_s(\lambda_{s,i})\big)

    This is classical stochastic variational inference. At its optimum the bound is the best that the heads'
    family allows: what an encoder loses against it is the amortization gap. **Memory grows with the data**:
    ``num_data`` rows a site, and Adam keeps two more copies; ``repr`` says how much. A datum that was not
    trained on has no posterior: held-out data need rows of their own, and training with the model frozen.

    *Batches.* A row has a gradient only when its datum is in the batch; rows see few steps and need a larger
    learning rate than networks do, and Adam's momentum moves a row also at the steps in between. The first
    matters, the second does not: on 1,000 digits in batches of 20 the bound ended, after 25 epochs, at -22.2,
    -21.0 and -23.2 nats with rates of 0.01, 0.03 and 0.1 for the rows, and without momentum at -22.3, -21.0
    and -23.8. Who wants other rows to stand still leaves the momentum out::

        torch.optim.Adam([{"params": model.parameters(), "lr": 1e-3},
                          {"params": guide.parameters(), "lr": 0.03, "betas": (0.0, 0.999)}])

    Weight decay moves every row at every step; ``SparseAdam`` takes no gradients of this table.

    Arguments:
        num_data: how many data there are, N.
        sites: for each latent site of the model, by its name, a pair (size, head): how many features a datum
            has, and what makes a distribution of them. They begin at 0: with ``heads.normal`` at N(0, I).

    Shapes: called as ``guide(x, index)``, ``index`` integers ``(n,)`` from 0 to N - 1, a row for each datum
        of ``x``. They come with the data: ``pyrovae.fit(model, guide, (x, torch.arange(len(x))))``. The model
        is called with both; :class:`pyrovae.models.VAE` takes no notice of the second.

    Raises:
        TypeError: when a site is not given a size and a head, or the index is not made of integers.
        ValueError: without an index; for one of a wrong shape; for one out of range, where validation is
            enabled (where it is not, torch raises ``IndexError``).

    References:
        Hoffman, Blei, Wang and Paisley, 2013, Stochastic Variational Inference,
        https://arxiv.org/abs/1206.7051
        Cremer, Li and Duvenaud, 2018, Inference Suboptimality in Variational Autoencoders,
        https://arxiv.org/abs/1801.03558

    Example:
        >>> import pyro, torch
        >>> from pyrovae import guides, heads
        >>> pyro.set_rng_seed(0)
        >>> guide = guides.PerDatum(1797, z=(2 * 8, heads.normal))
        >>> print("\n".join(repr(guide).splitlines()[:2]))
        PerDatum: q_i(z)
        1,797 data, a row for each: 28,752 parameters, 0.12 MB
        >>> guide(torch.zeros(5, 64), torch.arange(5))["z"].shape
        torch.Size([5, 8])
    """

    def __init__(self, num_data: int, **sites: tuple[int, Head]) -> None:
        super().__init__()
        if not _is_count(num_data):
            raise ValueError(
                explain(
                    "num_data",
                    expected="the number of data, a positive integer",
                    got=repr(num_data),
                    remedy="Pass len(x).",
                )
            )
        if not sites:
            raise TypeError(
                explain(
                    "PerDatum",
                    expected="at least one latent site",
                    got="none",
                    remedy="Write PerDatum(len(x), z=(2 * 8, pyrovae.heads.normal)).",
                )
            )
        for name, site in sites.items():
            pair = isinstance(site, Sequence) and len(site) == 2
            if not (pair and _is_count(site[0]) and is_part(site[1])):
                raise TypeError(
                    explain(
                        f"PerDatum, site {name!r}",
                        expected="a pair (size, head), the size a positive integer",
                        got=shown(site),
                        remedy=f"Write PerDatum(len(x), {name}=(2 * 8, pyrovae.heads.normal)).",
                    )
                )
        self.num_data = num_data
        self.tables = nn.ParameterDict({n: torch.zeros(num_data, size) for n, (size, _) in sites.items()})
        self.heads = nn.ModuleDict({n: head for n, (_, head) in sites.items() if isinstance(head, nn.Module)})
        self.sites = dict(sites)

    @property
    def factorisation(self) -> str:
        """The posterior as it is written, ``q_i(z1) q_i(z2)``."""
        return " ".join(f"q_i({name})" for name in self.sites)

    def posterior(self, site: str, index: Tensor) -> Distribution:
        """The distribution q_i(site) for each i of ``index``, batch shape ``(n,)``."""
        _, head = self.sites[site]
        # Not table[index], which takes negative numbers for rows counted from the end.
        return head(nn.functional.embedding(index, self.tables[site]))

    def forward(
        self, x: Tensor | None = None, index: Tensor | None = None, size: int | None = None
    ) -> dict[str, Tensor]:
        """Draws every latent site for the data of ``index``, by name."""
        if index is None:
            raise ValueError(
                explain(
                    "PerDatum",
                    expected="data x and the index of each: the posterior is looked up by it",
                    got=f"index=None, size={size}",
                    remedy="Pass it with the data, (x, torch.arange(len(x))), to a model that takes both. "
                    "To draw from the prior, run the model: model(size=n).",
                )
            )
        self._check(index, len(index) if x is None else len(x))
        pyro.module("per_datum", self)
        with pyro.plate("data", len(index)):
            return {name: pyro.sample(name, self.posterior(name, index)) for name in self.sites}

    def _check(self, index: Tensor, length: int) -> None:
        """Shape and type always; the values, which no captured step may read, where validation is enabled."""
        if not isinstance(index, Tensor) or index.dtype not in (torch.int64, torch.int32):
            raise TypeError(
                explain(
                    "index",
                    expected="a tensor of integers",
                    got=str(index.dtype) if isinstance(index, Tensor) else type(index).__name__,
                    remedy="Number the data from 0: torch.arange(len(x)).",
                )
            )
        if index.shape != (length,):
            raise ValueError(
                explain(
                    "index",
                    expected=f"shape ({length},), a number for each datum",
                    got=str(tuple(index.shape)),
                    remedy="Cut data and index into batches together.",
                )
            )
        if is_validation_enabled() and bool(((index < 0) | (index >= self.num_data)).any()):
            raise ValueError(
                explain(
                    "index",
                    expected=f"numbers from 0 to {self.num_data - 1}: the guide has {self.num_data} rows",
                    got=f"some from {int(index.min())} to {int(index.max())}",
                    remedy="Make it as large as all data that it shall see: PerDatum(len(x), ...).",
                )
            )

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.tables.values())
        size = sum(parameter.nbytes for parameter in self.tables.values()) / 1e6
        memory = f"{self.num_data:,} data, a row for each: {count:,} parameters, {size:.2f} MB"
        return f"PerDatum: {self.factorisation}\n{memory}\n{super().__repr__()}"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
