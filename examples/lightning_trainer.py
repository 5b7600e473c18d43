"""The full Lightning Trainer on a Pyro pair: ``Trace_ELBO()(model, guide)`` is a module, and it trains those.

    pip install lightning
    python examples/lightning_trainer.py --epochs 60

``pyrovae.fit`` has what most runs need, several devices through Lightning Fabric among it. This is for who
already lives with the Trainer: its callbacks, its strategies, its command line. The glue is the class below.
"""

from __future__ import annotations

import argparse
from typing import Any

import pyro
import torch
from pyro.infer import Trace_ELBO
from torch.utils.data import DataLoader, TensorDataset

import pyrovae as pv

try:
    import lightning as L
except ImportError:
    raise SystemExit(
        "lightning_trainer.py needs the Lightning Trainer, which pyrovae itself does not.\n"
        "Install it with: pip install lightning"
    ) from None


class Evidence(L.LightningModule):
    """A model and a guide as Lightning wants them: a loss for each batch, an optimiser, a score."""

    def __init__(self, model: Any, guide: Any, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.negative_elbo = Trace_ELBO(max_plate_nesting=1)(model, guide)
        self.learning_rate = learning_rate

    def training_step(self, batch: Any, _index: int) -> torch.Tensor:
        return self._nats("train", batch)

    def validation_step(self, batch: Any, _index: int) -> None:
        self._nats("validation", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def _nats(self, stage: str, batch: Any) -> torch.Tensor:
        x = torch.bernoulli(batch[0])  # a fresh binarisation, on the device that Lightning has chosen
        loss = self.negative_elbo(x) / len(x)
        self.log(stage, loss, on_epoch=True, on_step=False, batch_size=len(x))
        return loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=60)
    epochs = parser.parse_args().epochs

    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    gray = pv.data.load("digits", flatten=True)
    train, validation = (TensorDataset(part.transformed()) for part in (gray.train, gray.validation))
    model = pv.models.VAE(pv.priors.StandardNormal(8), pv.nets.MLP(8, 200, 64), pv.heads.bernoulli)
    guide = pv.guides.Amortized(z=(pv.nets.MLP(64, 200, 2 * 8), pv.heads.normal))

    trainer = L.Trainer(
        max_epochs=epochs,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        Evidence(model, guide),
        DataLoader(train, batch_size=128, shuffle=True),
        DataLoader(validation, batch_size=180),
    )
    for stage, loss in trainer.callback_metrics.items():
        print(f"{stage} loss: {loss:.2f} nats per digit after {epochs} epochs")

    run = pv.Fit(model, guide)
    test = pv.data.Binarize()(gray.test.transformed())
    print(f"test bound: {pv.evaluate.elbo(run, test, num_samples=100).mean()} nats per digit")


if __name__ == "__main__":
    main()
