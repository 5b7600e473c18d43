"""``pyrovae encode RUN``: the embeddings of data, for whatever comes next."""

from __future__ import annotations

from pyrovae.cli.options import CodeOptions, OutputOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed


def _run(parsed: Parsed) -> None:
    from pyrovae import predict
    from pyrovae.cli.datasets import take
    from pyrovae.cli.folders import Output
    from pyrovae.cli.results import write_arrays
    from pyrovae.cli.runs import Run

    run = Run(parsed)
    name = f"encodings-{run.options.part}.npz"
    output = Output(parsed.of(OutputOptions), run.folder, name, (".npz", ".csv"))
    data = run.data()
    batch = take(data, len(data), run.options.seed)
    z = predict.embed(run.fit, batch, batch_size=1000, seed=run.options.seed)
    labels = {"y": batch[1]} if len(batch) > 1 else {}
    write_arrays({"z": z, **labels}, output.path)
    print(f"{len(z):,} embeddings of {z.shape[1]} dimensions written to {output.path}")


COMMAND = Command(
    name="encode",
    description="Writes the posterior mean of every datum, labels beside them where there are any:\n"
    "arrays z (n, d) and y (n,) in an .npz, or columns z0, z1, ..., y in a .csv.",
    options=(RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""examples:
  pyrovae encode runs/digits-1 --part train
  pyrovae encode runs/digits-1 --data new.npy --output new.csv""",
)
