"""``pyrovae info RUN``: what a run is and how it went, without running any of it."""

from __future__ import annotations

from typing import Any

from pyrovae.cli.parser import Command, Parsed


def _run(parsed: Parsed) -> None:
    from pathlib import Path

    from pyrovae.cli import metrics
    from pyrovae.cli.runs import read_config, read_metrics
    from pyrovae.training.folder import read_history

    folder = Path(parsed.values["run"])
    config, history, numbers = read_config(folder), read_history(folder), read_metrics(folder)
    for name, value in _facts(config).items():
        print(f"{name:<11}{value}")
    if len(history):
        best = history.best
        print(
            f"{'history':<11}{len(history)} epochs; the best is {best.epoch}: "
            f"train {best.train_loss:.2f}, validation {best.validation_loss:.2f} nats per datum"
        )
    pictures = sorted(path.name for path in folder.glob("*.png"))
    print(f"{'pictures':<11}{', '.join(pictures) or 'none'}")
    if numbers is not None:
        print()
        metrics.show(numbers)


def _facts(config: dict[str, Any]) -> dict[str, str]:
    data, settings = config.get("data") or {}, config.get("settings") or {}
    source = data.get("source") or {}
    shapes = " and ".join("x".join(map(str, shape)) or "scalars" for shape in data.get("shapes", []))
    versions = config.get("versions") or {}
    facts = {
        "status": f"{config.get('status', 'unknown')} {config.get('error', '')}".strip(),
        "model": _title(config.get("model")),
        "guide": _title(config.get("guide")),
        "parameters": f"{config['parameters']:,}" if "parameters" in config else "unknown",
        "data": f"{source.get('name', 'no name')}, {data.get('size', '?')} to train on, shape {shapes}",
        "settings": ", ".join(f"{k} {v}" for k, v in settings.items() if v is not None and k != "optimiser"),
        "optimiser": str(settings.get("optimiser", "unknown")),
        "weights": str(config.get("weights", "of the last checkpoint")),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return {name: value for name, value in facts.items() if value}


def _title(program: Any) -> str:
    """The first line of what a program prints of itself."""
    text = str((program or {}).get("repr", "unknown")).splitlines()[0]
    own = "" if (program or {}).get("spec") is not None else " (code of the user's own)"
    return text + own


COMMAND = Command(
    name="info",
    description="Says what a run is, how it went, and what was measured. Runs none of it.",
    options=(),
    run=_run,
)
