"""``pyrovae sample RUN``: new data from the prior, as a picture or as numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pyrovae.cli.options import CodeOptions, OutputOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """sample

    Arguments:
        count: how many.
        mean: the likelihood's mean at each draw of the latent (true), or a draw from the likelihood (false).
            By default the mean, and draws of an autoregressive likelihood.
    """

    count: int = 64
    mean: bool | None = None


def _run(parsed: Parsed) -> None:
    from pyrovae import plots, predict
    from pyrovae.cli import pictures
    from pyrovae.cli.results import Shown

    options = parsed.of(SampleOptions)
    shown = Shown(parsed, "samples")
    run, seed = shown.run.fit, shown.run.options.seed
    given = pictures.covariates(run, shown.data, options.count, seed)
    mean = not pictures.is_drawn(run) if options.mean is None else options.mean
    x = predict.sample(run, options.count, given=given, mean=mean, seed=seed)
    shown.write({"x": x}, lambda see, shape: plots.samples(see(x), shape=shape))


COMMAND = Command(
    name="sample",
    description="Draws new data, z from the prior and x from the likelihood; a conditional model is given\n"
    "the labels of the data, one after another. Images are drawn to\n"
    "RUN/samples.png; --output of another ending takes numbers.",
    options=(SampleOptions, RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""examples:
  pyrovae sample runs/digits-1 --count 100 --seed 3
  pyrovae sample runs/digits-1 --count 10000 --mean false --output new.npz""",
)
