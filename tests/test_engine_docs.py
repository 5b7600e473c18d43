"""The code of docs/engine.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "engine.md"


def test_the_page_on_the_engine_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    assert "step(32x64 float32): captured, not compiled, 3 calls" in capsys.readouterr().out
    assert isinstance(names["loss"], float)
