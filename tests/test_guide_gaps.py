"""The benchmark of guides in seconds: its command runs, and its gaps are gaps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_command_measures_gaps_that_are_positive_and_fall(tmp_path: Path) -> None:
    def gaps(steps: int) -> dict[str, float]:
        kept = tmp_path / f"{steps}.json"
        command = [sys.executable, "benchmarks/guide_gaps.py", "--rows", "FullNormal", "--json", str(kept)]
        command += ["--steps", str(steps), "--rounds", "1", "--tested", "20", "--out", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert "| FullNormal |" in done.stdout
        found = json.loads(kept.read_text())["gaps"]
        return {name: rows["FullNormal"]["runs"][0]["gap"] for name, rows in found.items()}

    few, more = gaps(4), gaps(200)
    assert set(few) == {"banana", "bimodal", "correlated"}
    assert all(0 < more[name] < few[name] for name in few)
    assert (tmp_path / "images" / "guide-gaps.png").stat().st_size > 10_000
