"""The numbers of a run on one part of the data, and the table that shows them. Nats per datum."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pyrovae import checkpoint, evaluate, predict
from pyrovae.cli.datasets import Part, take
from pyrovae.data import Binarize, Chain, Dequantize, Standardize, Threshold
from pyrovae.evaluate import Bound
from pyrovae.training import Fit

ELBO_SAMPLES = 10
ACTIVE = 0.01
"""A unit is active if the variance over data of its posterior mean exceeds this (Burda et al., 2016)."""


def measure(run: Fit, part: Part, *, name: str, num_samples: int, seed: int) -> tuple[dict[str, Any], Bound]:
    """The test bound and its parts, the evidence, active units and bits per dimension.

    Arguments:
        part: the data; the same noise of a random transform is used for all numbers.
        name: which part it is.
        num_samples: particles of the evidence; 0 leaves it out.

    References:
        Burda, Grosse and Salakhutdinov, 2016, Importance Weighted Autoencoders, https://arxiv.org/abs/1509.00519
    """
    batch = run.arguments(take(part, len(part), seed))
    bound = evaluate.elbo(run, batch, num_samples=ELBO_SAMPLES, seed=seed)
    numbers: dict[str, Any] = {"part": name, "data": len(part), "unit": "nats per datum", "seed": seed}
    numbers |= {key: _rounded(*estimate) for key, estimate in bound.summary().items()}
    offset = _bits_offset(part, batch[0])
    best = numbers["elbo"]
    if num_samples:
        evidence = evaluate.evidence(run, batch, num_samples=num_samples, seed=seed)
        best = numbers["log_evidence"] = _rounded(*evidence.mean())
        numbers["evidence_samples"] = num_samples
        numbers["smallest_effective_sample_size"] = round(evidence.effective_sample_size.min().item(), 1)
    if offset is not None:
        bits = evaluate.bits_per_dim(best["value"], batch[0][0].numel(), offset=offset)
        numbers["bits_per_dim"] = round(float(bits), 4)
    numbers["active_units"] = _active(run, batch)
    return numbers, bound


def write(numbers: dict[str, Any], path: Path) -> None:
    """Writes the numbers as JSON, whole or not at all."""
    checkpoint.replace(path, (json.dumps(numbers, indent=2) + "\n").encode())


def show(numbers: dict[str, Any]) -> None:
    """Prints the numbers as a table."""
    table = Table(title=f"{numbers['data']:,} {numbers['part']} data", title_justify="left", box=None)
    table.add_column("nats per datum", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("", no_wrap=True)
    samples = numbers.get("evidence_samples", 0)
    rows = {
        "elbo": ("ELBO", ""),
        "reconstruction": ("reconstruction, E_q log p(x | z)", ""),
        **{key: (f"KL of {key[3:-1]}", "") for key in numbers if key.startswith("kl[")},
        "log_evidence": ("log evidence", f"importance sampling, {samples:,} particles"),
    }
    for key, (words, note) in rows.items():
        if key in numbers:
            value = numbers[key]
            spread = f"± {value['standard_error']:.2f}"
            table.add_row(words, f"{value['value']:.2f}", f"{spread}  {note}".rstrip())
    if "bits_per_dim" in numbers:
        which = "evidence" if samples else "ELBO"
        table.add_row("bits per dimension", f"{numbers['bits_per_dim']:.3f}", f"of the {which}")
    active, units = (numbers["active_units"][key] for key in ("active", "of"))
    table.add_row("active units", f"{active} of {units}", f"variance of posterior means > {ACTIVE}")
    Console(highlight=False, width=None if Console().is_terminal else 100).print(table)


def _rounded(value: float, error: float) -> dict[str, float]:
    return {"value": round(value, 4), "standard_error": round(error, 4)}


def _active(run: Fit, batch: tuple[torch.Tensor, ...]) -> dict[str, int] | None:
    means = predict.embed(run, batch, batch_size=1000)
    variance = means.var(0) if len(means) > 1 else torch.zeros(means.shape[1])
    return {"active": int((variance > ACTIVE).sum()), "of": means.shape[1]}


def _bits_offset(part: Part, x: torch.Tensor) -> float | None:
    """What to add to the bits of the transformed data; None where bits per dimension mean nothing."""
    transform = part.transform
    steps = transform.transforms if isinstance(transform, Chain) else [transform]
    levels = [step.levels for step in steps if isinstance(step, Dequantize)]
    if levels:
        offset = math.log2(levels[-1])
        for step in steps:
            if isinstance(step, Standardize):
                scales = step.scale if isinstance(step.scale, list) else [step.scale]
                offset += sum(map(math.log2, scales)) / len(scales)
        return offset
    is_binary = any(isinstance(step, Binarize | Threshold) for step in steps)
    return 0.0 if is_binary or bool(((x == 0) | (x == 1)).all()) else None
