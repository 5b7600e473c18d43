"""``pyrovae evaluate RUN``: the numbers of a run, on any part of its data or on others."""

from __future__ import annotations

from dataclasses import dataclass

from pyrovae.cli.options import CodeOptions, OutputOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """estimate

    Arguments:
        num_samples: particles of each datum's evidence by importance sampling; 0 leaves it out.
    """

    num_samples: int = 1000


def _run(parsed: Parsed) -> None:
    from pyrovae.cli import metrics
    from pyrovae.cli.folders import Output
    from pyrovae.cli.runs import Run

    run = Run(parsed)
    part = run.options.part
    default = "metrics.json" if part == "test" and run.options.data is None else f"metrics-{part}.json"
    output = Output(parsed.of(OutputOptions), run.folder, default, (".json",))
    numbers, _ = metrics.measure(
        run.fit,
        run.data(),
        name=part,
        num_samples=parsed.of(EvaluateOptions).num_samples,
        seed=run.options.seed,
    )
    metrics.write(numbers, output.path)
    metrics.show(numbers)
    print(f"\nwritten to {output.path}")


COMMAND = Command(
    name="evaluate",
    description="Measures a run: ELBO, reconstruction and KL, the evidence by importance sampling, bits per\n"
    "dimension where they mean something, active units. Writes them to RUN/metrics.json.",
    options=(EvaluateOptions, RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""examples:
  pyrovae evaluate runs/digits-1 --num_samples 100000
  pyrovae evaluate runs/digits-1 --part train --output train.json""",
)
