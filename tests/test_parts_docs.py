"""docs/parts.md says what is so: its code prints what it says, and its tables list all that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pyrovae as pv

GUIDES = (Path(__file__).parent.parent / "docs" / "guides.md").read_text(encoding="utf-8")
PAGE = (Path(__file__).parent.parent / "docs" / "parts.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    ours = [line.rsplit(": ", 1) for line in capsys.readouterr().out.splitlines()]
    page = [line.rsplit(": ", 1) for line in printed.splitlines()]
    assert [label for label, _ in ours] == [label for label, _ in page]
    for (label, value), (_, said) in zip(ours, page, strict=True):
        assert float(value.split()[0]) == pytest.approx(float(said.split()[0]), abs=1.0), label


def test_a_transform_of_pyro_s_is_a_flow() -> None:
    (code,) = re.findall(r"```python\n(import pyro.distributions.transforms.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    posterior = names["posterior"]
    digits = pv.data.load("digits", flatten=True, transform=pv.data.Binarize())
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 32, posterior.features(8)), posterior))
    model = pv.models.VAE(pv.priors.StandardNormal(8), pv.nets.MLP(8, 32, 64), pv.heads.bernoulli)
    before = [parameter.clone() for parameter in posterior.flow.parameters()]
    run = pv.fit(model, guide, digits, epochs=2, seed=0, compile=False)
    moved = [bool((a != b).any()) for a, b in zip(before, posterior.flow.parameters(), strict=True)]
    assert all(moved)
    losses = run.history.column("train_loss")
    assert losses[-1] < losses[0]
    assert pv.evaluate.log_evidence(run, digits.test, num_samples=20).isfinite().all()


def test_the_heads_of_the_page_of_guides_are_built_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", GUIDES, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    "home",
    [pv.priors, pv.heads, pv.flows, pv.kernels, pv.guides, pv.models, pv.nets],
    ids=lambda h: h.__name__,
)
def test_the_page_names_every_part(home: Any) -> None:
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", prose))))
    assert {name for name in home.__all__ if isinstance(getattr(home, name), type)} <= named
