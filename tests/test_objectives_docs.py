"""docs/estimators.md and docs/objectives.md say what is so: their code prints what they say."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyrovae import objectives

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "estimators.md").read_text(encoding="utf-8")
OBJECTIVES = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [PAGE, OBJECTIVES], ids=["estimators", "objectives"])
def test_the_code_of_the_page_prints_what_the_page_says(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("kind", [objectives.Estimator, objectives.Baseline])
def test_the_tables_list_all_that_there_is(kind: type) -> None:
    exported = {
        name
        for name in objectives.__all__
        if inspect.isclass(thing := getattr(objectives, name))
        and issubclass(thing, kind)
        and thing is not kind
    }
    listed = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    assert exported <= listed
    assert listed <= set(objectives.__all__)


def test_the_table_knows_who_is_biased() -> None:
    for name, unbiased in re.findall(r"^\| `(\w+)\([^|]*\| [^|]* \| ([^|]*) \|", PAGE, re.MULTILINE):
        kind = getattr(objectives, name)
        if issubclass(kind, objectives.Estimator):
            assert unbiased.startswith("**no**") is (not kind.unbiased), name


def test_the_page_of_objectives_lists_all_that_there_is() -> None:
    listed = set(re.findall(r"^\| `(\w+)\(", OBJECTIVES, re.MULTILINE))
    exported = {
        name
        for name in objectives.__all__
        if inspect.isclass(kind := getattr(objectives, name))
        and issubclass(kind, objectives.Objective)
        and not inspect.isabstract(kind)
    }
    assert listed == exported


def test_the_command_of_the_page_runs(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/gradient_variance.py", "--draws", "3", "--repeats", "4"]
    command += ["--truths", "one-hot categorical", "mixed, z then y", "--particles", "1", "2"]
    command += ["--out", str(tmp_path), "--json", str(kept)]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    assert "| enumerated | 4 | 0 | 0 |" in done.stdout
    assert "### mixed, z then y" in done.stdout
    assert "### one-hot categorical: bias by temperature" in done.stdout
    rows = json.loads(kept.read_text())["rows"]
    assert {row["truth"] for row in rows} == {"one-hot categorical", "mixed, z then y"}
    assert all(row["variance"] >= 0 for row in rows)
    assert (tmp_path / "images" / "gradient-variance.png").stat().st_size > 10_000
    for row in rows:  # those that the page has
        assert f"| {row['estimator']} | {row['particles']} |" in PAGE
