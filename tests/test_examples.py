"""Every example runs as a stranger would run it, ends well, and has learned something in a few epochs."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(path.name for path in HERE.glob("*.py"))
COIN_FLIPS = -64 * math.log(2)
"""The log evidence of a digit, nats, under a model that knows nothing: 64 fair pixels."""

ARGUMENTS = {
    "deep_markov.py": ["--epochs", "8"],
    "informative_prior.py": ["--epochs", "8"],
    "lightning_trainer.py": ["--epochs", "8"],
    "plain_function.py": ["--epochs", "8"],
    "plain_svi.py": ["--epochs", "8"],
    "pyro_tutorial.py": ["--epochs", "8"],
    "semi_supervised.py": ["--epochs", "8"],
    "two_latents.py": ["--epochs", "8"],
}

TABLES = {"swap_parts.py": "test_swap_matrix.py"}
"""Tables of many small fits, longer for it, with the tests that read what they print."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, on one thread, so that tests may run side by side."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_every_example_has_a_row() -> None:
    assert sorted([*ARGUMENTS, *TABLES]) == EXAMPLES


@pytest.mark.parametrize("name", ARGUMENTS)
def test_example_learns(name: str) -> None:
    done = run(str(HERE / name), *ARGUMENTS[name])

    assert done.returncode == 0, done.stderr
    bounds = [float(bound) for bound in re.findall(r"test bound: (-?[\d.]+) ± [\d.]+ nats", done.stdout)]
    assert bounds, done.stdout
    for bound in bounds:
        assert COIN_FLIPS + 5 < bound < -15  # no model of 64 binary pixels of these scans comes near -15


def test_the_informative_prior_names_the_angle() -> None:
    done = run(str(HERE / "informative_prior.py"), "--epochs", "8")

    informative, standard = re.findall(r"correlation of z_1 with the angle: ([\d.]+),", done.stdout)
    assert float(informative) > 0.9
    assert float(standard) < 0.7


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_short_and_says_how_to_run_it(name: str) -> None:
    text = (HERE / name).read_text(encoding="utf-8")
    if name in TABLES:
        assert name in Path(__file__).with_name(TABLES[name]).read_text(encoding="utf-8")
    else:
        assert len(text.splitlines()) < 120
    assert f"\n    python examples/{name} " in text.split('"""')[1]
    assert f"({name})" in (HERE / "README.md").read_text(encoding="utf-8")


def test_lightning_example_says_what_is_missing() -> None:
    path = str(HERE / "lightning_trainer.py")
    without = (
        f"import sys, runpy; sys.modules['lightning'] = None; runpy.run_path({path!r}, run_name='__main__')"
    )

    done = run("-c", without)

    assert done.returncode == 1
    assert "pip install lightning" in done.stderr
    assert "Traceback" not in done.stderr
