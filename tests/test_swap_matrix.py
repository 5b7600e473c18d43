"""The swap matrix: every prior, posterior, likelihood and guide is trained, measured, exported and loaded.

The cells and the function that they all go through are those of ``examples/swap_parts.py``.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import pyrovae as pv
from pyrovae.spec import describe

SCRIPT = Path(__file__).parents[1] / "examples" / "swap_parts.py"


def _imported() -> ModuleType:
    specification = importlib.util.spec_from_file_location("swap_parts", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["swap_parts"] = module  # where its annotations are looked up
    sys.path.insert(0, str(SCRIPT.parent))  # what it imports stands beside it
    specification.loader.exec_module(module)
    return module


swap_parts = _imported()
CELLS = swap_parts.matrix()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(cell).replace(" ", "_"))
def test_cell(cell: Any, tmp_path: Path) -> None:
    model, guide, data = cell.make()
    found = swap_parts.swap(model, guide, data, tmp_path / "posterior.nc")

    # By five standard errors of the difference of two such means: the data are the same, the draws are not.
    assert found.last - found.first > 5 * math.sqrt(2) * found.noise
    assert math.isfinite(found.evidence)
    assert found.evidence > found.bound - 4 * found.error - 1e-4

    for group in ("posterior", "posterior_predictive", "sample_stats"):
        with xr.open_dataset(tmp_path / "posterior.nc", engine="h5netcdf", group=group) as back:
            assert back.identical(found.tree[group].dataset)
            assert {(values.sizes["draw"], values.sizes["data"]) for values in back.values()} == {
                (2, len(data[0]))
            }
            assert all(bool(np.isfinite(values).all()) for values in back.values())

    # Pyro's own guide isn't one of our parts: it is named, and gets its parameters back.
    given = {"model": model, "guide": guide} if cell.guide == "AutoNormal" else {}
    again = pv.load(found.run.save(tmp_path / "run"), **given)
    size = len(data[0]) if given else None
    bound = pv.evaluate.elbo(again, data, num_samples=10, batch_size=size, compile=False)
    assert bound.mean().value == found.bound


def test_no_part_is_forgotten_and_no_cell_of_the_matrix() -> None:
    met: set[str] = set()
    posteriors: dict[str, set[str]] = {}
    for cell in CELLS:
        model, guide, data = cell.make()
        for program in (model, guide) if cell.guide != "AutoNormal" else (model,):
            met.update(_class_paths(describe(program)))
        prior = model.prior(*data[1 : 1 + model.covariates]) if isinstance(model, pv.models.VAE) else None
        if prior is not None and _is_of_all_vectors(prior):
            posteriors.setdefault(cell.prior, set()).add(cell.posterior)

    for home in ("priors", "heads", "flows", "guides", "models"):
        module = getattr(pv, home)
        known = {
            f"pyrovae.{home}.{name}" for name in module.__all__ if inspect.isclass(getattr(module, name))
        }
        assert known - met == set(), "add it to a table in examples/swapped/parts.py"
    assert len(posteriors) >= 12
    assert all(names >= {"diagonal", "IAF", "full"} for names in posteriors.values())


def test_the_script_prints_a_row_for_each_cell() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--prior", "Joint"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == [*swap_parts.Cell._fields, "first", "last", "evidence", "seconds"]
    assert [row.split()[:4] for row in rows] == [
        ["Joint", name, "Bernoulli", "Amortized"] for name in ("diagonal", "IAF", "full")
    ]
    for row in rows:
        first, last, evidence, _ = map(float, re.findall(r"-?\d+\.\d", row))
        assert -45 < first < last < evidence < -20


def test_the_script_tells_which_parts_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["swap_parts.py", "--guide", "Hamilton"])
    with pytest.raises(SystemExit):
        swap_parts.main()
    assert "'Hamiltonian'" in capsys.readouterr().err


def _is_of_all_vectors(prior: Any) -> bool:
    draws = 3 * torch.randn(100, *prior.batch_shape, *prior.event_shape)
    return prior.support.event_dim == 1 and bool(prior.support.check(draws).all())


def _class_paths(description: Any) -> set[str]:
    if isinstance(description, dict):
        own = {description["class_path"]} if "class_path" in description else set()
        return own.union(*map(_class_paths, description.values()))
    if isinstance(description, list):
        return set().union(*map(_class_paths, description))
    return set()
