"""An objective as a module: in a loop of one's own, in the Lightning Trainer, and across processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyro
import pytest
import torch
from pairs import vae
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import pyrovae as pv
from pyrovae import objectives as o


def _objective(hidden: int = 8) -> o.Objective:
    baseline = o.NeuralBaseline(pv.nets.MLP(64, hidden, 1))
    return o.ELBO(
        beta=o.Linear(0.0, 1.0, steps=20), estimators=o.ScoreFunction(baseline, o.DecayingAverage())
    )


def test_all_that_is_to_be_trained_is_in_it_and_learns(digits: Tensor) -> None:
    pair = vae()
    loss = _objective()(pair.model, pair.guide)
    parts = (pair.model, pair.guide, loss.networks)
    before = [[p.detach().clone() for p in part.parameters()] for part in parts]
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        loss(digits[:64]).backward()
        optimiser.step()
    for part, old in zip(parts, before, strict=True):
        assert all(not torch.equal(p, q) for p, q in zip(part.parameters(), old, strict=True))


def test_its_state_is_taken_up(digits: Tensor) -> None:
    """Schedule and averages are where they were: the next losses are the same."""
    pair = vae()
    first, second = (_objective()(pair.model, pair.guide) for _ in range(2))
    for _ in range(5):
        first(digits[:32]).backward()
    second.load_state_dict(first.state_dict())
    losses = []
    for module in (first, second):
        pyro.set_rng_seed(7)
        losses.append(module(digits[:32]).item())
    assert losses[0] == losses[1]
    assert second.elbo.state_dict()["step"] == 6


# Of Lightning's own, under the newest torch.
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")
def test_it_trains_in_lightning(digits: Tensor) -> None:
    lightning = pytest.importorskip("lightning")
    pair = vae()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.loss = o.IWAE(4, estimators=o.DoublyReparameterized())(pair.model, pair.guide)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return self.loss(batch[0]) / len(batch[0])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    x = digits[:320]
    before = o.IWAE(4).per_datum(pair.model, pair.guide, x).mean()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", enable_model_summary=False, log_every_n_steps=1, **quiet
    )
    trainer.fit(Module(), DataLoader(TensorDataset(x), batch_size=32))
    assert o.IWAE(4).per_datum(pair.model, pair.guide, x).mean() > before + 3


WORKER = """
import sys
import pyro, pyro.distributions as dist, torch
import torch.distributed as distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from pyrovae import objectives as o

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.means = nn.Parameter(torch.randn(3, 2))

    def forward(self, x):
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.Categorical(logits=torch.zeros(3)))
            pyro.sample("x", dist.Normal(self.means[y], 1.0).to_event(1), obs=x)

class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 3)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Categorical(logits=self.net(x)))

model, guide = Model(), Guide()
x = torch.randn(8, 2)
loss = o.ELBO()(model, guide)
if rank < 0:
    loss(x).backward()
else:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    shared = DistributedDataParallel(loss)
    shared(x[4 * rank : 4 * rank + 4]).backward()
torch.save([p.grad for p in loss.parameters()], f"{folder}/{rank}.pt")
"""


def test_across_processes_the_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    """The latent is enumerated, so there is no noise; DistributedDataParallel averages what we sum."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    runs = [subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)]) for rank in (-1, 0, 1)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0, 0]
    whole, one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (-1, 0, 1))
    for together, a, b in zip(whole, one, other, strict=True):
        assert torch.equal(a, b)
        assert torch.allclose(2 * a, together, rtol=1e-5, atol=1e-6)
