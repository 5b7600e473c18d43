"""``pyrovae reconstruct RUN``: data beside what the model makes of them."""

from __future__ import annotations

from dataclasses import dataclass

from pyrovae.cli.options import CodeOptions, OutputOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions:
    """reconstruct

    Arguments:
        count: how many data, from the first on.
    """

    count: int = 24


def _run(parsed: Parsed) -> None:
    from pyrovae import plots, predict
    from pyrovae.cli import pictures
    from pyrovae.cli.datasets import take
    from pyrovae.cli.results import Shown

    shown = Shown(parsed, "reconstructions")
    fit, seed = shown.run.fit, shown.run.options.seed
    batch = take(shown.data, parsed.of(ReconstructOptions).count, seed)
    x, x_hat = batch[0], predict.reconstruct(fit, batch, seed=seed)
    shown.write(
        {"x": x, "x_hat": x_hat},
        lambda see, shape: plots.reconstructions(
            pictures.originals(shown.data, batch), see(x_hat), shape=shape
        ),
    )


COMMAND = Command(
    name="reconstruct",
    description="Encodes data and decodes them again, at the posterior mean. Images are drawn to\n"
    "RUN/reconstructions.png; --output of another ending takes numbers.",
    options=(ReconstructOptions, RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""examples:
  pyrovae reconstruct runs/digits-1 --count 36
  pyrovae reconstruct runs/digits-1 --part train --count 1000 --output pairs.npz""",
)
