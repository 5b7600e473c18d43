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
    """

    count: int = 64
    mean: bool = True


def _run(parsed: Parsed) -> None:
    from pyrovae import plots, predict
    from pyrovae.cli.results import Shown

    options = parsed.of(SampleOptions)
    shown = Shown(parsed, "samples")
    x = predict.sample(shown.run.fit, options.count, mean=options.mean, seed=shown.run.options.seed)
    shown.write({"x": x}, lambda see, shape: plots.samples(see(x), shape=shape))


COMMAND = Command(
    name="sample",
    description="Draws new data, z from the prior and x from the likelihood. Images are drawn to\n"
    "RUN/samples.png; --output of another ending takes numbers.",
    options=(SampleOptions, RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""examples:
  pyrovae sample runs/digits-1 --count 100 --seed 3
  pyrovae sample runs/digits-1 --count 10000 --mean false --output new.npz""",
)
