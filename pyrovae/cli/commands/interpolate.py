"""``pyrovae interpolate RUN``: what lies between two data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyrovae.cli.options import CodeOptions, OutputOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions:
    """interpolate

    Arguments:
        pairs: how many pairs of data, drawn by the seed, of different labels where there are labels.
        steps: points of a path, both ends included.
        kind: linear, or spherical (along the great circle).
    """

    pairs: int = 6
    steps: int = 11
    kind: Literal["linear", "spherical"] = "linear"


def _run(parsed: Parsed) -> None:
    from pyrovae import plots, predict
    from pyrovae.cli import pictures
    from pyrovae.cli.results import Shown

    options = parsed.of(InterpolateOptions)
    shown = Shown(parsed, "interpolation")
    start, end = pictures.pairs(shown.run.fit, shown.data, options.pairs, shown.run.options.seed)
    paths = predict.interpolate(shown.run.fit, start, end, steps=options.steps, kind=options.kind)
    shown.write(
        {"x": paths},
        lambda _, shape: plots.interpolation(pictures.grid(paths, shown.data), shape=shape),
    )


COMMAND = Command(
    name="interpolate",
    description="Walks through latent space from one datum to another and decodes each step. Images are\n"
    "drawn to RUN/interpolation.png; --output of another ending takes numbers.",
    options=(InterpolateOptions, RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""example:
  pyrovae interpolate runs/digits-1 --kind spherical --pairs 8 --steps 13""",
)
