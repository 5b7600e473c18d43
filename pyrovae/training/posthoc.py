"""``fit_prior``: a prior fitted to where the posteriors of a finished run lie."""

from __future__ import annotations

import copy
import math
import warnings
from itertools import islice
from typing import Any

import torch
from torch import nn

from pyrovae import randomness
from pyrovae.arguments import shown
from pyrovae.data import Batches
from pyrovae.errors import explain, nearest
from pyrovae.training.draws import Draw, forever, latents, many, split
from pyrovae.training.fitted import Fit
from pyrovae.training.folder import facts
from pyrovae.training.replacing import Replaced, with_prior

_START = 20_000
"""Draws to start from, which fix a mean to 0.7 % of a standard deviation."""

_LOOKS = 20
"""How often the held-out draws are looked at on the way."""


def fit_prior(
    run: Fit,
    x: Any,
    prior: nn.Module,
    *,
    held_out: Any = None,
    site: str | None = None,
    steps: int = 1000,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> Fit:
    r"""Replaces the prior of a finished run by one that is fitted to its aggregate posterior.

    .. math::
        \max_p\; \mathbb E_{q(z)} \log p(z), \qquad q(z) = \frac 1 n \sum_{i=1}^n q(z \mid x_i)

    Decoder and guide stay as they are. Of the ELBO only :math:`-\mathrm{KL}(q(z) \| p(z))` depends on the
    prior, so that what the fit gains on the data it gains in the bound; and samples of the model come from
    where the decoder has been trained. That is how an autoencoder becomes a model one can sample from.

    A prior with ``start_from(z)`` begins at draws; where that is the best it can do (a normal), it also ends
    there. Any other is fitted by Adam on fresh draws, at a learning rate that falls to zero along a cosine,
    and the weights that score held-out draws best are kept.

    Arguments:
        run: a fitted pair; it is left as it is.
        x: the data, as :func:`pyrovae.fit` takes them. Those that it was trained with are the right ones.
        prior: what to fit a copy of: ``priors.NormalMixture(8, 50)``, ``priors.Flow(flows.RealNVP(8))``. What
            it has in common with the guide, such as the encoder of a VampPrior, stays as it is.
        held_out: data to compare priors on; by default every tenth of x, which is then not fitted to.
        site: the latent, where the model has several.
        steps: of Adam; 0: none.
        learning_rate: of the first step.
        seed: of the draws. The process's own generators are left as they were.

    Returns: a new pair, with the prior as its model's ``prior`` where it has that attribute (a model of your
        own draws the site from it). ``config["fitted_prior"]`` tells the mean log-likelihoods of held-out
        draws, ``"before"`` and ``"after"``, nats per datum.

    Raises:
        TypeError: for what is no fitted pair, or no prior with parameters.
        ValueError: for a site that isn't there, or a prior that doesn't fit it.

    References:
        Ghosh, Sajjadi, Vergari, Black and Schölkopf, 2020, From Variational to Deterministic Autoencoders,
        https://arxiv.org/abs/1903.12436

    Example:
        >>> import torch, pyrovae as pv
        >>> _ = torch.manual_seed(0)
        >>> x = (torch.rand(500, 16) < torch.rand(500, 1)).float()
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), pv.heads.normal))
        >>> run = pv.fit(model, guide, x, epochs=20)
        >>> new = pv.fit_prior(run, x, pv.priors.NormalMixture(2, 5), steps=100)
        >>> told = new.config["fitted_prior"]
        >>> told["after"] > told["before"]
        True
    """
    _check(run, prior, steps, learning_rate)
    train, other = split(run, x, held_out, seed)
    with randomness.isolated(run.device, seed=randomness.seed_of("prior", seed)):
        sites = latents(run, train.first())
        site = _chosen(site, sites)
        replaced = with_prior(run, prior, site, alone=len(sites) == 1)
        new = replaced.run
        tests = [Draw.of(new, batch, site) for batch in other.epoch(0)]
        _require_fitting(replaced.prior, tests[0], sites[site])
        _fit(run, replaced, train, tests, site, steps, learning_rate)
        before, after = (
            sum(test.score(pair, site) for test in tests) / sum(test.size for test in tests)
            for pair in (run, new)
        )
    if not after >= before:
        warnings.warn(
            f"fit_prior: held-out draws are less likely under the new prior ({after:.4g} nats per datum) "
            f"than under the old one ({before:.4g}). Take more steps, or a prior with fewer parameters.",
            stacklevel=2,
        )
    new.config = {
        **run.config,
        **facts(new.model, new.guide),
        "fitted_prior": {
            "prior": repr(replaced.prior),
            "site": site,
            "steps": steps,
            "learning_rate": learning_rate,
            "seed": seed,
            "before": before,
            "after": after,
        },
    }
    return new


def _fit(
    run: Fit, replaced: Replaced, train: Batches, tests: list[Draw], site: str, steps: int, rate: float
) -> None:
    prior, free = replaced.prior, replaced.free
    if not free:
        raise TypeError(
            explain(
                "fit_prior, prior",
                expected="a prior with parameters of its own to fit",
                got=f"{type(prior).__name__}, which has none",
                remedy="Take priors.NormalMixture, priors.FullNormal or priors.Flow; or learn=True.",
            )
        )
    start = getattr(prior, "start_from", None)
    if start is not None and getattr(prior, "starts_from", "draws") == "draws":
        start(many(run, train, site, _START))
        if getattr(prior, "starts_at_best", False):
            return
    _descend(run, replaced, train, tests, site, steps, rate)


def _descend(
    run: Fit, replaced: Replaced, train: Batches, tests: list[Draw], site: str, steps: int, rate: float
) -> None:
    """Adam, with the weights in the end that score the held-out draws best."""
    prior = replaced.prior
    optimiser = torch.optim.Adam(replaced.free, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    best, kept = _mean_score(prior, tests), copy.deepcopy(prior.state_dict())
    modes = [(module, module.training) for module in prior.modules()]
    _still(prior, {id(parameter) for parameter in replaced.free})
    for step, draw in enumerate(islice(forever(run, train, site), steps), 1):
        optimiser.zero_grad()
        (-prior(*draw.given(prior)).log_prob(draw.value)).mean().backward()
        optimiser.step()
        schedule.step()
        if step % max(1, steps // _LOOKS) == 0 or step == steps:
            score = _mean_score(prior, tests)
            if score > best:
                best, kept = score, copy.deepcopy(prior.state_dict())
    prior.load_state_dict(kept)
    prior.zero_grad()
    for module, mode in modes:
        module.training = mode


def _still(module: nn.Module, free: set[int]) -> None:
    """Puts the parts of a prior that aren't fitted into evaluation mode, as where the draws come from."""
    for child in module.children():
        own = {id(parameter) for parameter in child.parameters()}
        if own and not own & free:
            child.eval()
        else:
            _still(child, free)


def _mean_score(prior: nn.Module, tests: list[Draw]) -> float:
    with torch.no_grad():
        scores = [prior(*test.given(prior)).log_prob(test.value).double() for test in tests]
    return float(torch.cat([score.flatten() for score in scores]).mean())


def _chosen(site: str | None, sites: dict[str, Any]) -> str:
    if site is None and len(sites) == 1:
        return next(iter(sites))
    if site in sites:
        return str(site)
    raise ValueError(
        explain(
            "fit_prior, site",
            expected=f"one of the model's latent sites {sorted(sites)}",
            got=repr(site),
            remedy=nearest(site, sites) if site and sites else "Name it: site='...'.",
        )
    )


def _require_fitting(prior: nn.Module, draw: Draw, site: Any) -> None:
    """Refuses a prior whose events aren't those of the site, or whose support isn't where the draws are."""
    fn = prior(*draw.given(prior))
    if fn.event_shape != site["fn"].event_shape:
        raise ValueError(
            explain(
                f"fit_prior, prior of {site['name']!r}",
                expected=f"the event shape {tuple(site['fn'].event_shape)} of the latent",
                got=f"{tuple(fn.event_shape)}",
                remedy="Give it as many dimensions as the latent has.",
            )
        )
    if not fn.support.check(draw.value).all():
        raise ValueError(
            explain(
                f"fit_prior, prior of {site['name']!r}",
                expected=f"one of the draws' support, {site['fn'].support}",
                got=f"one on {fn.support}",
                remedy="Take a prior of the posterior's kind.",
            )
        )


def _check(run: Any, prior: Any, steps: int, learning_rate: float) -> None:
    if not isinstance(run, Fit):
        raise TypeError(
            explain(
                "fit_prior, run",
                expected="a fitted pair",
                got=type(run).__name__,
                remedy="Pass what pyrovae.fit returns, or pyrovae.Fit(model, guide).",
            )
        )
    if not isinstance(prior, nn.Module):
        raise TypeError(
            explain(
                "fit_prior, prior",
                expected="a module with parameters to fit",
                got=shown(prior),
                remedy="Take one of pyrovae.priors, as NormalMixture(8, components=20).",
            )
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(
            explain("fit_prior, steps", expected="0 or more", got=repr(steps), remedy="Try 1000.")
        )
    if not 0 < learning_rate < math.inf:
        raise ValueError(
            explain(
                "fit_prior, learning_rate",
                expected="a positive number",
                got=repr(learning_rate),
                remedy="Try 2e-3.",
            )
        )
