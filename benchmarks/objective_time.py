"""A compiled step by each objective, beside one by Pyro's own of the same name and by the plain ELBO.

    python benchmarks/objective_time.py --markdown

A VAE of 784-200-200-50 at a batch of 128, on one thread. The steps of the two sides alternate, A B A B, in
blocks; printed are medians of the ratios of their CPU seconds, with quartiles. The values of the pixels don't
matter here, and are drawn at random.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pyro
import torch
from hand_written import mlp
from measure import Clock, machine, quartiles
from pyro.infer import RenyiELBO, ReweightedWakeSleep, Trace_ELBO, TraceMeanField_ELBO

import pyrovae as pv
from pyrovae import objectives as o

PIXELS, HIDDEN, LATENT, BATCH = 784, 200, 50, 128
SEVERAL: dict[str, Any] = {"num_particles": 8, "vectorize_particles": True, "max_plate_nesting": 1}

OBJECTIVES: dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]] = {
    "ELBO": (lambda: o.ELBO(), lambda: TraceMeanField_ELBO(max_plate_nesting=1)),
    "ELBO, Monte Carlo": (lambda: o.ELBO(kl="monte carlo"), lambda: Trace_ELBO(max_plate_nesting=1)),
    "ELBO, beta rising": (lambda: o.ELBO(beta=o.Linear(0.0, 1.0, steps=1000)), None),
    "ELBO, sticking the landing": (lambda: o.ELBO(estimators=o.StickingTheLanding()), None),
    "IWAE, 8": (lambda: o.IWAE(8), lambda: RenyiELBO(alpha=0.0, **SEVERAL)),
    "IWAE, 8, doubly reparameterized": (lambda: o.IWAE(8, estimators=o.DoublyReparameterized()), None),
    "ReweightedWakeSleep, 8": (lambda: o.ReweightedWakeSleep(8), lambda: ReweightedWakeSleep(**SEVERAL)),
    "FreeBits": (lambda: o.FreeBits(0.1), None),
    "CapacityELBO": (lambda: o.CapacityELBO(5.0), None),
    "BetaTC": (lambda: o.BetaTC(60_000), None),
    "InfoVAE": (lambda: o.InfoVAE(), None),
    "GECO": (lambda: o.GECO(80.0), None),
}
"""Ours, and Pyro's counterpart where there is one."""


class Side:
    """Steps of one objective on a pair of its own.

    Pyro keeps all parameters of a process in one store, so each side names its networks for itself.
    """

    def __init__(self, objective: Any, name: str) -> None:
        torch.manual_seed(0)
        decoder, encoder = mlp(LATENT, HIDDEN, HIDDEN, PIXELS), mlp(PIXELS, HIDDEN, HIDDEN, 2 * LATENT)

        def model(x: torch.Tensor) -> None:
            pyro.module(f"decoder {name}", decoder)
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", pyro.distributions.Normal(x.new_zeros(LATENT), 1.0).to_event(1))
                pyro.sample("x", pv.heads.bernoulli(decoder(z)), obs=x)

        def guide(x: torch.Tensor) -> None:
            pyro.module(f"encoder {name}", encoder)
            with pyro.plate("data", len(x)):
                pyro.sample("z", pv.heads.normal(encoder(x)))

        self.svi = pv.SVI(model, guide, pyro.optim.Adam({"lr": 1e-4}), objective, compile=True)

    def seconds(self, x: torch.Tensor, steps: int) -> float:
        """CPU seconds of so many steps."""
        begun = Clock.now()
        for _ in range(steps):
            self.svi.step(x)
        return Clock.now().since(begun).cpu


def ratio(one: Side, other: Side, x: torch.Tensor, rounds: int, steps: int) -> dict[str, float]:
    """The time of one side by the other's, each block by the mean of its neighbours."""
    times = [(one.seconds(x, steps), other.seconds(x, steps)) for _ in range(rounds + 1)]
    pairs = pairwise(times)
    return quartiles([a[0] / ((a[1] + before[1]) / 2) for before, a in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=15, help="in a block")
    parser.add_argument("--only", nargs="*", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = (torch.rand(BATCH, PIXELS) < 0.2).float()
    plain = Side(o.ELBO(), "plain")
    rows = {}
    for name in options.only:
        make, theirs = OBJECTIVES[name]
        ours = Side(make(), name)
        rows[name] = {"elbo": ratio(ours, plain, x, options.rounds, options.steps)}
        if theirs is not None:
            pyros = Side(theirs(), f"{name}, Pyro's")
            rows[name]["pyro"] = ratio(ours, pyros, x, options.rounds, options.steps)
    if not options.markdown:
        print(json.dumps({"ratios of a compiled step": rows, "machine": machine()}, indent=2))
        return
    print("| Objective | by the plain ELBO | by Pyro's own |\n|---|---|---|")
    for name, row in rows.items():
        cells = [
            f"{row[key]['median']:.2f} ({row[key]['lower']:.2f}-{row[key]['upper']:.2f})"
            if key in row
            else "-"
            for key in ("elbo", "pyro")
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
