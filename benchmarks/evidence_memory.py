"""The peak memory of the evidence with 100,000 samples for each of 100 data of MNIST's size.

    python benchmarks/evidence_memory.py [--num-samples 100000] [--data 100] [--memory BYTES]

The VAE is 784-200-200-50 with fresh random weights and the data are random bits: memory and time don't depend
on what they say. Peaks are those of the whole process, Python, torch and the model included.
"""

from __future__ import annotations

import argparse

import pyro
import torch
from measure import Clock, peak_memory

import pyrovae as pv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-samples", type=int, default=100_000)
    parser.add_argument("--data", type=int, default=100)
    parser.add_argument(
        "--memory", type=int, default=None, help="the budget in bytes; the library's own by default"
    )
    options = parser.parse_args()

    pyro.set_rng_seed(0)
    tanh = torch.nn.Tanh
    decoder = pv.nets.MLP(50, 200, 200, 784, activation=tanh)
    encoder = pv.nets.MLP(784, 200, 200, 2 * 50, activation=tanh)
    model = pv.models.VAE(pv.priors.StandardNormal(50), decoder, pv.heads.bernoulli)
    run = pv.Fit(model, pv.guides.Amortized(z=(encoder, pv.heads.normal)))
    x = torch.rand(options.data, 784).round()

    print(f"{'samples':>10} {'peak, MB':>10} {'seconds':>9} {'CPU seconds':>12}")
    print(f"{'none':>10} {peak_memory():>10.0f}")
    for num_samples in (options.num_samples // 100, options.num_samples // 10, options.num_samples):
        begun = Clock.now()
        found = pv.evaluate.evidence(run, x, num_samples=max(1, num_samples), memory=options.memory)
        passed = Clock.now().since(begun)
        print(f"{num_samples:>10,} {peak_memory():>10.0f} {passed.wall:>9.1f} {passed.cpu:>12.1f}")
    print(found)


if __name__ == "__main__":
    main()
