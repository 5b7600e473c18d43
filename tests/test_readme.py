"""The README's code runs as it is printed, and what it points to exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("*/README.md"))]
SHELL = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "pyrovae fit" in block]


def test_all_three_ways_in_are_shown() -> None:
    assert (len(PYTHON), len(SHELL)) == (2, 1)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_runs_as_printed(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PYTHON[number], f"README block {number}", "exec"), {"__name__": "__main__"})
    nats = [float(value) for value in re.findall(r"-\d+\.\d+", capsys.readouterr().out)]
    assert nats
    assert all(-40 < value < -15 for value in nats), "nats per digit"


def test_shell_runs_as_printed(tmp_path: Path) -> None:
    environment: dict[str, Any] = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["sh", "-e", "-c", SHELL[0]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "first" / "best.safetensors").is_file()
    assert "batch_size" in (tmp_path / "run.yaml").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
