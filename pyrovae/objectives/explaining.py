"""What an objective does at each latent site of a pair."""

from __future__ import annotations

from typing import Any

from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.explanation import Explanation
from pyrovae.objectives.objective import Objective
from pyrovae.types import Program


def explain(
    model: Program, guide: Program, *args: Any, objective: Objective | None = None, **kwargs: Any
) -> Explanation:
    """What is used at each latent site of a pair, and why; prints as a table.

    Arguments:
        args, kwargs: what the programs are called with.
        objective: by default ``ELBO()``.

    Example:
        >>> import torch, pyrovae as pv
        >>> _ = torch.manual_seed(0)
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), pv.heads.normal))
        >>> print(explain(model, guide, torch.zeros(3, 16), objective=pv.objectives.IWAE(5)))
        IWAE(num_particles=5)
        site  guide      prior      gradient    unbiased  term         why
        z     Normal(2)  Normal(2)  Pathwise()  yes       Monte Carlo  reparameterized: no bias, low variance
    """
    chosen = ELBO() if objective is None else objective
    return chosen.explain(model, guide, *args, **kwargs)
