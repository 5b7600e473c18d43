"""What one step has to compute: the workloads that every side implements, in numbers alone."""

from __future__ import annotations

from typing import NamedTuple

IMAGE = 28
PIXELS = IMAGE * IMAGE


class Workload(NamedTuple):
    """Sizes of one deep latent-variable model with a normal latent and a Bernoulli likelihood."""

    name: str
    about: str
    batch: int
    latent: int
    inputs: int = PIXELS
    hidden: tuple[int, ...] = ()
    particles: int = 1
    classes: int = 0
    channels: tuple[int, ...] = ()


WORKLOADS = {
    work.name: work
    for work in (
        Workload("mlp", "VAE 784-400-z50, softplus", batch=256, latent=50, hidden=(400,)),
        Workload(
            "conv",
            "convolutional VAE, strided 4 x 4 kernels, 32 and 64 channels, z32",
            batch=128,
            latent=32,
            channels=(32, 64),
        ),
        Workload(
            "iwae",
            "IWAE 784-200-200-z50, tanh, 50 particles",
            batch=20,
            latent=50,
            hidden=(200, 200),
            particles=50,
        ),
        Workload(
            "m2",
            "M2, unlabelled, 10 classes enumerated, 784-256-z50, softplus",
            batch=100,
            latent=50,
            hidden=(256,),
            classes=10,
        ),
        Workload("tiny", "VAE 8-4-z2, softplus: the fixed cost", batch=16, latent=2, inputs=8, hidden=(4,)),
    )
}
SWEEP = (32, 128, 512, 1024, 4096)
LEARNING_RATE = 1e-3
