"""A new prior for a finished run: made to the measure of its latent, for a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from pyrovae import predict
from pyrovae.cli.building import Known, build, filled
from pyrovae.cli.datasets import Part, take
from pyrovae.cli.parts import described
from pyrovae.cli.runs import Run
from pyrovae.errors import explain
from pyrovae.training import Fit


def prior_for(run: Run, given: Any, site: str | None, train: Part) -> nn.Module:
    """The prior that is described, of as many dimensions as the latent has."""
    means = predict.encode(run.fit, take(train, 2)).mean
    shape = (means[site] if site in means else next(iter(means.values()))).shape[1:]
    known = Known({"dim": shape[-1], "length": shape[0], "times": shape[0]} if len(shape) else {})
    prior: nn.Module = build(filled(described(given), known, run.references), run.references, "prior")
    return prior


def new_folder(to: str | None, run: Run) -> Path:
    """Where the new run goes.

    Raises:
        FileExistsError: for a folder with something in it.
    """
    folder = Path(f"{run.folder}-prior" if to is None else to).expanduser()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FileExistsError(
            explain(
                "--to",
                expected="a new or an empty folder",
                got=f"{folder}, which exists",
                remedy="Choose another.",
            )
        )
    return folder


def require_described(new: Fit) -> None:
    """Refuses a pair with code of the user's, which no folder can hold.

    Raises:
        ValueError: for it.
    """
    if new.config["model"].get("spec") is None:
        raise ValueError(
            explain(
                "fit_prior",
                expected="a run of pyrovae's own models, which its new folder can describe",
                got=f"a model of your own, {new.config['model'].get('name', 'which it cannot')}",
                remedy="In a script: pyrovae.fit_prior(run, x, prior).",
            )
        )
