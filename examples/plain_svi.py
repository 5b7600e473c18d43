"""Our parts in a training loop of your own: plain ``pyro.infer.SVI``, then ``pyrovae`` to look at the result.

    python examples/plain_svi.py --epochs 60

Models and guides of pyrovae are Pyro programs and nothing more, so whatever trains Pyro programs trains them.
The way back is ``pv.Fit(model, guide)``: everything that looks at a posterior takes it and asks no further.
"""

from __future__ import annotations

import argparse

import pyro
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam

import pyrovae as pv


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=60)
    epochs = parser.parse_args().epochs

    # Outside ``pv.fit`` there is one parameter store for the whole process: what an earlier model has left
    # there under the same names would be met again.
    pyro.clear_param_store()
    pyro.set_rng_seed(0)

    digits = pv.data.load("digits", flatten=True, transform=pv.data.Binarize())
    model = pv.models.VAE(pv.priors.DiagonalNormal(8), pv.nets.MLP(8, 200, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 200, 2 * 8), pv.heads.normal))
    print(model.factorisation, "with the guide", guide.factorisation)

    # In this objective the KL divergence is an integral, not a sample: both sides are normal.
    svi = SVI(model, guide, ClippedAdam({"lr": 2e-3, "lrd": 0.9995}), TraceMeanField_ELBO())
    batches = pv.data.as_batches(digits.train, batch_size=64, device="cpu", seed=0)
    for epoch in range(epochs):
        loss = sum(svi.step(x) for x, _labels in batches.epoch(epoch))
        if epoch % 10 == 0 or epoch == epochs - 1:
            print(f"epoch {epoch + 1:3d}: loss {loss / len(digits.train):.2f} nats per digit")

    run = pv.Fit(model, guide)
    test = digits.test.transformed(seed=0)
    summary = pv.evaluate.elbo(run, test, num_samples=100).summary()
    print(f"\ntest bound: {summary.pop('elbo')} nats per digit, of which")
    for part, mean in summary.items():
        print(f"  {part:<16}{mean}")


if __name__ == "__main__":
    main()
