"""``pyrovae export RUN``: the posterior as an ArviZ tree, in NetCDF or Zarr."""

from __future__ import annotations

from dataclasses import dataclass

from pyrovae.cli.options import CodeOptions, OutputOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """export

    Arguments:
        count: how many data, from the first on; 0: all.
        num_samples: draws of each datum's posterior.
    """

    count: int = 100
    num_samples: int = 100


def _run(parsed: Parsed) -> None:
    from pyrovae.cli.datasets import take
    from pyrovae.cli.folders import Output
    from pyrovae.cli.runs import Run
    from pyrovae.export import to_datatree

    options = parsed.of(ExportOptions)
    run = Run(parsed)
    output = Output(parsed.of(OutputOptions), run.folder, "posterior.nc", (".nc", ".zarr"))
    data = run.data()
    batch = take(data, options.count or len(data), run.options.seed)
    tree = to_datatree(run.fit, batch, num_samples=options.num_samples, seed=run.options.seed)
    if output.suffix == ".zarr":
        # Format 2 has consolidated metadata by specification, so that every reader opens it without a word.
        tree.to_zarr(output.path, mode="w", zarr_format=2)
    else:
        tree.to_netcdf(output.path, mode="w")
    groups = ", ".join(sorted(tree.children))
    print(f"{len(batch[0]):,} data, {options.num_samples} draws each; {groups}; written to {output.path}")


COMMAND = Command(
    name="export",
    description="Writes an ArviZ data tree: posterior, prior, posterior_predictive, log_likelihood,\n"
    "sample_stats (log_weight) and observed_data, dimensions named after the model's plates.\n"
    "A .nc is NetCDF, a .zarr is Zarr; xarray.open_datatree reads both.",
    options=(ExportOptions, RunOptions, OutputOptions, CodeOptions),
    run=_run,
    epilog="""examples:
  pyrovae export runs/digits-1
  pyrovae export runs/digits-1 --count 0 --num_samples 20 --output all.zarr""",
)
