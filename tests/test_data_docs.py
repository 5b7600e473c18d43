"""The code of docs/data.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

PAGE = Path(__file__).parent.parent / "docs" / "data.md"


def test_the_page_on_data_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()
    for number in range(10):
        Image.fromarray(np.full((9, 9), 20 * number, np.uint8)).save(tmp_path / "faces" / f"{number}.png")
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 3
    assert names["x"].shape == (1437 % 128, 64)
    assert abs(float(names["digits"].train.transformed().mean())) < 1e-6
