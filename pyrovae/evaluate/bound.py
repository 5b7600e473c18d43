"""The evidence lower bound, split into reconstruction and KL."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.engine.policy import Mode
from pyrovae.errors import explain
from pyrovae.evaluate._divergence import Divergence, divergence
from pyrovae.evaluate._draw import Draw
from pyrovae.evaluate._estimate import Estimate
from pyrovae.evaluate._measure import Measure, check_numbers
from pyrovae.evaluate._sampling import sampling
from pyrovae.evaluate._streams import Mean, double
from pyrovae.training import Fit


@dataclass(frozen=True, repr=False)
class Bound:
    r"""A lower bound on the log evidence of each datum, in nats, and what it is made of.

    .. math::
        \mathrm{ELBO}(x) = \mathbb E_q \log p(x \mid z) - \sum_s \mathrm{KL}_s

    All tensors are float64 on the CPU.

    Attributes:
        elbo: the bound, ``(n,)``.
        reconstruction: :math:`\mathbb E_q \log p(x \mid z)`, ``(n,)``.
        kl: by latent site, ``(n,)``. A site that only the guide has (auxiliary, a factor) counts with its
            mean log-probability.
        kl_per_dimension: by latent site, ``(n, d)``, for the sites whose distributions factorise over the
            elements of the latent (flattened, inner plates included).
        closed_form: by site, whether its KL is an integral or an average over samples. With latents above it
            that are sampled, the integral itself is averaged over those.
        standard_error: the Monte Carlo standard error of ``elbo``, ``(n,)``; NaN for one sample.
        num_samples: the number of particles for each datum.
    """

    elbo: Tensor
    reconstruction: Tensor
    kl: dict[str, Tensor]
    kl_per_dimension: dict[str, Tensor]
    closed_form: dict[str, bool]
    standard_error: Tensor
    num_samples: int

    def mean(self) -> Estimate:
        """The bound's mean over data, with the standard error over data."""
        return Estimate.over_data(self.elbo)

    def summary(self) -> dict[str, Estimate]:
        """Means over data of the bound (``elbo``), of the ``reconstruction`` and of each ``kl[site]``."""
        parts = {"elbo": self.elbo, "reconstruction": self.reconstruction}
        parts |= {f"kl[{name}]": values for name, values in self.kl.items()}
        return {name: Estimate.over_data(values) for name, values in parts.items()}

    def __repr__(self) -> str:
        lines = [f"Bound({len(self.elbo)} data, samples: {self.num_samples}, nats per datum)"]
        for name, estimate in self.summary().items():
            how = self.closed_form.get(name.removeprefix("kl[").removesuffix("]"))
            note = "" if how is None else ", closed form" if how else ", Monte Carlo"
            lines.append(f"  {name:<16}{estimate!r}{note}")
        return "\n".join(lines)


def elbo(
    run: Fit,
    x: Any,
    *,
    num_samples: int = 1,
    batch_size: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    compile: Mode = "auto",
) -> Bound:
    r"""The evidence lower bound of each datum, split into reconstruction and KL.

    .. math::
        \log p(x) \ge \mathbb E_{q(z \mid x)} \big[\log p(x, z) - \log q(z \mid x)\big]

    The KL of a site is taken in closed form where torch or Pyro know one, and where the model's latents
    before the site are also the guide's before it; elsewhere it is the samples' mean log-ratio, and
    ``closed_form`` says so. Masks count, the scales of plates don't: the numbers are those of single data.

    Arguments:
        run: a fitted pair whose latents all lie in one data plate.
        x: data as :func:`pyrovae.fit` takes them.
        num_samples: particles for each datum.
        batch_size: how many data the programs see at a time; by default as many as suit the memory. Programs
            with parameters for each datum need all of them at once.
        memory: the budget for tensors, in bytes; by default 64 MiB on a CPU, 1 GiB elsewhere.
        seed: of the random numbers. The process's own generators are left as they were.
        compile: how the draws after each datum's first are run, as in :class:`pyrovae.SVI`: the same numbers.
            "auto" captures, and compiles, where that many are planned that it pays.

    Raises:
        TypeError: when ``run`` is not a :class:`pyrovae.Fit`.
        Refusal: with ``compile=True`` or "capture", where the programs can't be captured.
        ValueError: naming the site, for a latent outside the data plate, latents that only one side has, data
            outside the likelihood's support, or a log-probability that is NaN.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114

    Example:
        >>> import pyro, torch, pyrovae as pv
        >>> pyro.set_rng_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 64), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 4), pv.heads.normal))
        >>> bound = pv.evaluate.elbo(pv.Fit(model, guide), torch.ones(5, 64), num_samples=10)
        >>> bound.elbo.shape, bound.kl_per_dimension["z"].shape, bound.closed_form
        (torch.Size([5]), torch.Size([5, 2]), {'z': True})
    """
    chunks: list[_Sums] = []
    with sampling(
        run,
        x,
        _TERMS,
        num_samples=num_samples,
        batch_size=batch_size,
        memory=memory,
        seed=seed,
        compile=compile,
    ) as pieces:
        for piece in pieces:
            chunks.append(_Sums())
            for terms in piece:
                chunks[-1].add(terms)
    names = list(chunks[0].kl)
    return Bound(
        elbo=torch.cat([chunk.elbo.value for chunk in chunks]),
        reconstruction=torch.cat([chunk.reconstruction.value for chunk in chunks]),
        kl={name: torch.cat([chunk.kl[name].value for chunk in chunks]) for name in names},
        kl_per_dimension={
            name: torch.cat([chunk.kl_per_dimension[name].value for chunk in chunks])
            for name in chunks[0].kl_per_dimension
        },
        closed_form={name: all(name not in chunk.sampled for chunk in chunks) for name in names},
        standard_error=torch.cat([chunk.elbo.standard_error for chunk in chunks]),
        num_samples=num_samples,
    )


class _Terms(NamedTuple):
    """What is measured on a draw: log p(x | z), ``(particles, n)``, and the divergences by site."""

    reconstruction: Tensor
    divergences: dict[str, Divergence]


def _terms(draw: Draw) -> _Terms:
    observed = [draw.log_prob(site) for site in draw.pair.observed.values()]
    divergences = {name: divergence(draw, name) for name in draw.pair.posterior}
    return _Terms(torch.stack(observed).sum(0), divergences)


def _is_suspect(terms: _Terms) -> bool:
    values = [terms.reconstruction, *(kl.value for kl in terms.divergences.values())]
    return any(bool(value.isnan().any()) for value in values)


def _check(draw: Draw) -> None:
    observed = draw.pair.observed.items()
    check_numbers({f"model, site {name!r}": draw.log_prob(site) for name, site in observed})
    check_numbers({f"KL of site {name!r}": divergence(draw, name).value for name in draw.pair.posterior})


_TERMS = Measure(_terms, _is_suspect, _check)


class _Sums:
    """Running means over the particles of one chunk of data."""

    def __init__(self) -> None:
        self.elbo, self.reconstruction = Mean(), Mean()
        self.kl: defaultdict[str, Mean] = defaultdict(Mean)
        self.kl_per_dimension: defaultdict[str, Mean] = defaultdict(Mean)
        self.sampled: set[str] = set()

    def add(self, terms: _Terms) -> None:
        if self.kl and set(self.kl) != set(terms.divergences):
            raise ValueError(
                explain(
                    "guide",
                    expected=f"the sites {sorted(self.kl)} in every run",
                    got=str(sorted(terms.divergences)),
                    remedy="A program whose sites come and go has an evidence, but no KL by site.",
                )
            )
        elbo = reconstruction = double(terms.reconstruction)
        for name, kl in terms.divergences.items():
            value = double(kl.value)
            elbo = elbo - value
            self.kl[name].add(value)
            if kl.per_dimension is not None:
                self.kl_per_dimension[name].add(kl.per_dimension)
            if not kl.closed_form:
                self.sampled.add(name)
        self.elbo.add(elbo)
        self.reconstruction.add(reconstruction)
