"""An epoch of ``pyrovae.fit``, everything included, beside its bare compiled steps, in alternation.

    python benchmarks/fit_time.py --root DIR            MNIST, 784-200-200-50
    python benchmarks/fit_time.py --data digits         the embedded digits

fit's epoch: batches in random order, made binary at a threshold (--fresh: by a draw), steps, checks of loss
and gradient, the validation of all held-out data, history, progress bar. The bare epoch, run in a logger that
fit calls at the end of each of its own: ``SVI.step`` on as many ready batches. Prints the ratio of their CPU
seconds; give it one thread (OMP_NUM_THREADS=1), for those that wait are counted too.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from hand_written import mlp
from measure import Clock, machine, quartiles
from pyro.infer import Trace_ELBO

import pyrovae as pv


class Bare:
    """A Lightning Fabric logger that runs the bare epoch whenever one of fit's has ended."""

    name, version = "bare", "0"

    def __init__(self, svi: pv.SVI, batches: list[torch.Tensor]) -> None:
        self.svi, self.batches = svi, batches
        self.pairs: list[tuple[float, float]] = []
        self._begun = Clock.now()

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to note."""

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        """The end of an epoch of fit."""
        ended = Clock.now()
        for x in self.batches:
            self.svi.step(x)
        bare = Clock.now()
        self.pairs.append((ended.since(self._begun).cpu, bare.since(ended).cpu))
        self._begun = Clock.now()

    def finalize(self, *args: Any) -> None:
        """Nothing to close."""


def pair(pixels: int, hidden: int, latent: int) -> tuple[Any, Any]:
    """Model and guide, with fresh weights."""
    decoder, encoder = mlp(latent, hidden, hidden, pixels), mlp(pixels, hidden, hidden, 2 * latent)
    model = pv.models.VAE(pv.priors.StandardNormal(latent), decoder, pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, pv.heads.normal))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--root", type=Path, default=os.environ.get("PYROVAE_DATA"))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument(
        "--fresh", action="store_true", help="binarise each image by a fresh draw at each use"
    )
    options = parser.parse_args()
    torch.manual_seed(0)
    binary = pv.data.Binarize() if options.fresh else pv.data.Threshold(0.5)
    transform = pv.data.Chain([pv.data.Flatten(), binary])
    data = pv.data.load(options.data, root=options.root, transform=transform)
    sizes = (784, 200, 50) if options.data == "mnist" else (64, 64, 8)
    x = next(
        iter(pv.data.as_batches(data.train, batch_size=len(data.train), device="cpu", shuffle=False).epoch(0))
    )[0]
    batches = list(x.split(options.batch))
    batches[-1] = batches[0]  # of one shape: the bare steps have one graph
    svi = pv.SVI(*pair(*sizes), None, Trace_ELBO(max_plate_nesting=1), compile=True)
    svi.prepare(batches[0])
    bare = Bare(svi, batches)
    pv.fit(
        *pair(*sizes),
        data,
        epochs=options.epochs + 1,
        batch_size=options.batch,
        compile=True,
        loggers=[bare],
        progress=True,
    )
    ratios = [fit / steps for fit, steps in bare.pairs[1:]]  # the first epoch compiles
    print(json.dumps({"fit / bare compiled steps": quartiles(ratios), "machine": machine()}, indent=2))


if __name__ == "__main__":
    main()
