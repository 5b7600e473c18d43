"""The options of the commands: plain, typed, and described once; the help is made of these docstrings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyrovae.cli.parts import Part, Parts


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """data

    Arguments:
        data: a name (digits, mnist, fashionmnist, kmnist, emnist, omniglot, cifar10, svhn, celeba,
            freyfaces), a .npy, .npz or .pt file, or a folder of images.
        root: where data sets lie and are downloaded to; otherwise PYROVAE_DATA, or ~/.cache/pyrovae.
        transform: auto, binarize (a fresh draw at every use), threshold, dequantize, standardize, none, or a
            class path; a list of them is a chain. auto: gray images known by name are binarised, other bytes
            dequantised, zeros and ones left alone, everything else standardised.
        splits: the shares of training, validation and test data.
        download: whether data sets that are not there may be downloaded.
    """

    data: str = "digits"
    root: str | None = None
    transform: Parts = "auto"
    splits: tuple[float, float, float] = (0.8, 0.1, 0.1)
    download: bool = True


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """size of the default model

    Arguments:
        latent: latent dimensions; by default an eighth of the data's, at least 2 and at most 50.
        net: mlp (data are flattened), conv (images), recurrent (sequences, data of shape (T, D), of
            which latents are sequences too), or auto: conv for images of three channels or of more than
            32 x 32 pixels, otherwise mlp.
        hidden: the widths of an mlp's hidden layers, as in --hidden [400,200]; the decoder mirrors the
            encoder. By default [256,256] for data of up to 256 dimensions, otherwise [200,200]; for
            sequences [64].
        channels: the channels of a conv's stages, as in --channels [32,64].
        activation: the class path of the activation.
    """

    latent: int | None = None
    net: Literal["auto", "mlp", "conv", "recurrent"] = "auto"
    hidden: list[int] | None = None
    channels: list[int] | None = None
    activation: str = "torch.nn.ReLU"


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """parts, by class path (pyrovae.priors.DiagonalNormal, mypackage.MyNet, mine.py:MyNet)

    The options of a part follow it, to any depth: --prior.dim 8, --model.decoder.activation torch.nn.Tanh.

    Arguments:
        model: the generative program: a class path, or a class, function or object in a file of your own,
            mine.py:model.
        guide: the posterior, likewise.
        prior: the model's prior.
        decoder: the model's network.
        likelihood: the head of the decoder: pyrovae.heads.Bernoulli, pyrovae.heads.Normal, ... By default
            Bernoulli for zeros and ones, otherwise a normal of one learned scale.
        encoder: the guide's network.
        posterior: the head of the encoder.
    """

    model: Part = None
    guide: Part = None
    prior: Part = None
    decoder: Part = None
    likelihood: Part = None
    encoder: Part = None
    posterior: Part = None


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """training

    Arguments:
        epochs: passes over the training data; by default 200 for fewer than 10,000 data, otherwise 20.
        batch_size: data per step.
        seed: of initial weights, splits, data order and noise: the same command gives the same numbers.
        optim: an optimiser of torch.optim or pyro.optim: --optim torch.optim.AdamW --optim.lr 3e-4. By
            default Adam with a learning rate of 2e-3 for fewer than 10,000 data, otherwise 1e-3.
        scheduler: a schedule of torch.optim.lr_scheduler, stepped once an epoch.
        loss: an objective: --loss pyrovae.objectives.IWAE --loss.num_particles 5. By default the one with
            KL terms in closed form, and Trace_ELBO for programs of your own.
        clip_norm: the largest norm of the gradient of a batch's summed loss.
        kl_warmup: over how many epochs the KL weight rises from 0 to 1; by default a quarter of them, and
            none under a --loss of your choice.
        patience: stop after so many epochs without a better validation.
        device: auto, cpu, cuda, cuda:1, mps.
        checkpoint_every: seconds between checkpoints.
        progress: whether to show a progress bar; by default in a terminal.
        logger: also log to tensorboard or csv files in the run's folder, by Lightning Fabric.
        compile: how steps are run: true, compiled or an error; capture, as a graph that isn't compiled;
            false, by plain Pyro; auto, whatever pays for so many. The numbers are the same, to rounding.
        precision: of matrix products: float32, tf32 on GPUs, bf16.
    """

    epochs: int | None = None
    batch_size: int = 128
    seed: int = 0
    optim: Part = None
    scheduler: Part = None
    loss: Part = None
    clip_norm: float | None = None
    kl_warmup: float | None = None
    patience: int | None = None
    device: str = "auto"
    checkpoint_every: float = 10.0
    progress: bool | None = None
    logger: Literal["tensorboard", "csv"] | None = None
    compile: Literal["auto", "capture"] | bool = "auto"
    precision: Literal["float32", "tf32", "bf16"] = "float32"


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """results

    Arguments:
        name: the run is written to runs/<name>; by default the data's name and the next free number.
        run_dir: the run's folder itself, in place of runs/<name>.
        resume: go on with the run in --run_dir (or --name) exactly where it was left, even by kill -9, with
            the options it was begun with; only --epochs may be raised.
        num_samples: particles of each test datum's evidence by importance sampling; 0 leaves it out.
        pictures: whether to draw pictures.
    """

    name: str | None = None
    run_dir: str | None = None
    resume: bool = False
    num_samples: int = 500
    pictures: bool = True


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """which data, where

    Arguments:
        data: other data than those the run was trained on: a name, a file or a folder.
        root: where data sets lie, if not where they were.
        part: which part of the data.
        device: auto, cpu, cuda, cuda:1, mps.
        seed: of draws.
    """

    data: str | None = None
    root: str | None = None
    part: Literal["train", "validation", "test"] = "test"
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class CodeOptions(PartOptions):
    """code of your own

    A run that was trained with code of your own needs it named again, as in fit: nothing that a run's
    folder names is imported. The run says what to add.

    Arguments:
        model: the model, where it is yours: --model mine.py:model.
        guide: the guide, likewise.
        prior: likewise.
        decoder: likewise.
        likelihood: likewise.
        encoder: likewise.
        posterior: likewise.
        transform: the data's transform, likewise.
    """

    transform: Parts = None


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """output

    Arguments:
        output: the file to write; its ending says the kind. By default a file in the run's folder, which
            replaces the one that the same command wrote there before.
        overwrite: whether --output may replace a file.
    """

    output: str | None = None
    overwrite: bool = False
