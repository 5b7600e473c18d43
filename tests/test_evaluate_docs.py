"""The code of docs/evaluate.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "evaluate.md"


def test_the_page_on_evaluation_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    assert "closed form" in capsys.readouterr().out
    assert names["bound"].elbo.mean() < names["found"].log_evidence.mean()
    assert names["weights"].shape == (100, len(names["found"].log_evidence))
    assert 0 < names["bits"] < 1
