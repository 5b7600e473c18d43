"""What many tests need: digits, small pairs, and a process whose state no test may change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyro
import pytest
import torch
from torch import Tensor

import pyrovae as pv

Pair = tuple[pv.models.VAE, pv.guides.Amortized]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Every test starts from one seed and an empty store, and must leave the process's switches alone."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    before = _switches()
    yield
    assert _switches() == before, "a test changed a switch of the whole process"


def _switches() -> dict[str, object]:
    return {**pyro.settings.get(), "dtype": torch.get_default_dtype(), "grad": torch.is_grad_enabled()}


@pytest.fixture
def _double() -> Iterator[None]:
    """A test whose numbers are of double precision, where it asks for nothing else."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """The 1,797 embedded digits, binarised at 1/2, ``(1797, 64)``."""
    splits = pv.data.load("digits", transform=pv.data.Chain([pv.data.Flatten(), pv.data.Threshold(0.5)]))
    return torch.cat([part.transformed() for part in splits])


@pytest.fixture
def make_pair() -> Callable[..., Pair]:
    """A small VAE of digits with its guide, freshly initialised from a seed."""

    def make(latent: int = 4, hidden: int = 32, seed: int = 0) -> Pair:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = pv.models.VAE(
                pv.priors.StandardNormal(latent), pv.nets.MLP(latent, hidden, 64), pv.heads.bernoulli
            )
            guide = pv.guides.Amortized(z=(pv.nets.MLP(64, hidden, 2 * latent), pv.heads.normal))
        return model, guide

    return make


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Where MNIST and Frey Faces lie, if they do."""
    root = os.environ.get("PYROVAE_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("needs MNIST or Frey Faces on disk: set PYROVAE_DATA")
    return Path(root)
