"""``fit``: trains any pair of Pyro programs by stochastic variational inference."""

from __future__ import annotations

import time
import warnings
from typing import Any, Unpack

import pyro
import torch
from pyro.infer import Trace_ELBO

from pyrovae import randomness
from pyrovae.data import Batches, Splits, as_batches
from pyrovae.engine.optimiser import Optim, Optimiser
from pyrovae.objectives import Objective
from pyrovae.training.auto_guides import check_rows
from pyrovae.training.check import Survey, survey
from pyrovae.training.fitted import Fit
from pyrovae.training.folder import describe_or_none, facts
from pyrovae.training.objective import check_loss, check_paths, with_plates
from pyrovae.training.parameters import Parameters, bound, networks, takes_missing
from pyrovae.training.recorder import Recorder
from pyrovae.training.session import Session, keep_best
from pyrovae.training.settings import Options, Settings, find_device
from pyrovae.training.support import check_support
from pyrovae.types import Batch, Program


def fit(
    model: Program,
    guide: Program,
    data: Any,
    *,
    validation: Any = None,
    loss: Any = None,
    optim: Optim | None = None,
    epochs: int = 20,
    batch_size: int = 128,
    seed: int = 0,
    device: str | torch.device = "auto",
    **options: Unpack[Options],
) -> Fit:
    r"""Maximises the evidence lower bound of a model and a guide by stochastic gradients.

    .. math:: \mathrm{ELBO}(x) = \mathbb E_{q(z \mid x)} \big[\log p(x, z) - \log q(z \mid x)\big]

    The pair may be modules, PyroModules, methods, plain functions with ``pyro.module`` and ``pyro.param``,
    or an AutoGuide. It trains in a parameter store of its own, so two fits never meet; the process's random
    generators are left as they were found. Before the first step the pair is run on one batch and compared
    site by site, and all data in memory are checked.

    Arguments:
        model: the generative program, ``model(x=None, ..., size=None)``.
        guide: the posterior, of the same arguments.
        data: :class:`pyrovae.data.Data` or :class:`pyrovae.data.Splits`, a tensor, an array, a tuple of
            them, a torch ``Dataset`` or a ``DataLoader``. Of tuples ``(x, y)`` the model is given as many
            tensors as it takes. NaN is refused unless a part of the pair takes it for what is missing, as
            :class:`pyrovae.heads.Masked` does.
        validation: held-out data; scored each epoch by the unweighted ELBO with the same noise every time.
            With it the returned weights are those of the best epoch, without it those of the last.
        loss: one of :mod:`pyrovae.objectives`, a ``pyro.infer`` ELBO, or a callable; by default
            ``Trace_ELBO()``.
        optim: a Pyro optimiser, a torch optimiser, or what makes one: ``partial(torch.optim.SGD, lr=0.1)``;
            by default Adam with a learning rate of 1e-3.
        epochs: passes over the data.
        batch_size: data per step; a ``DataLoader`` brings its own.
        seed: of the data's order, the noise, and the initial values of ``pyro.param``.
        device: "auto" takes CUDA, then MPS, then the CPU.
        options: see :class:`pyrovae.training.Settings`: ``scheduler``, ``clip_norm``, ``kl_warmup``,
            ``patience``, ``run_dir``, ``resume``, ``checkpoint_every``, ``progress``, ``loggers``,
            ``compile``, ``precision``.

    Returns: the fitted pair, with its history in nats per datum.

    Raises:
        ValueError, TypeError: for data, programs or settings that don't fit, by site or argument.
        FloatingPointError: when the loss or a gradient stops being finite, by site and step.
        OSError: when the run's folder can't be written, or holds another run.
        KeyboardInterrupt: after Ctrl-C, once the run's state is written.

    References:
        Kingma and Welling, 2014, Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114
        Ranganath, Gerrish and Blei, 2014, Black Box Variational Inference, https://arxiv.org/abs/1401.0118

    Example:
        >>> import torch, pyrovae as pv
        >>> _ = torch.manual_seed(0)
        >>> x = (torch.rand(256, 16) < 0.2).float()
        >>> model = pv.models.VAE(pv.priors.StandardNormal(2), pv.nets.MLP(2, 16), pv.heads.bernoulli)
        >>> guide = pv.guides.Amortized(z=(pv.nets.MLP(16, 4), pv.heads.normal))
        >>> run = pv.fit(model, guide, x, epochs=30, batch_size=32)
        >>> run.history[0].train_loss > run.history[-1].train_loss
        True
    """
    settings = Settings.of(epochs=epochs, batch_size=batch_size, seed=seed, **options)
    place = find_device(device)
    loss = Trace_ELBO() if loss is None else loss
    check_loss(loss, warmup=bool(settings.kl_warmup))
    optimiser = Optimiser(optim, scheduler=settings.scheduler, clip_norm=settings.clip_norm)
    if isinstance(data, Splits):
        validation = data.validation if validation is None else validation
        data = data.train
    missing = takes_missing(model, guide)
    train = as_batches(data, batch_size=batch_size, device=place, seed=seed, missing=missing)
    held_out = None
    if validation is not None:
        held_out = as_batches(validation, batch_size=batch_size, device=place, shuffle=False, missing=missing)
    recorder = Recorder(settings.run_dir, settings.checkpoint_every, settings.loggers)
    snapshot = recorder.open(resume=settings.resume)

    own = Parameters()
    run = Fit(bound(model, own, place), bound(guide, own, place), parameters=own)
    for net in networks(model, guide).values():
        net.to(place)
    begun = time.monotonic()
    with randomness.isolated(place), run.parameters.active():
        pyro.set_rng_seed(seed)
        found = _look(run, train, held_out)
        check_paths(loss, found.without_path)
        loss = with_plates(loss, found.nesting)
        if isinstance(loss, Objective):
            if train.steps:
                loss.begin(train.steps)
            with run.evaluating():
                loss.prepare(run.model, run.guide, *run.arguments(train.first()))
        optimiser.start(run.parameters.unconstrained())
        recorder.begin(_config(run, optimiser, loss, settings, train, place))
        session = Session(run, loss, optimiser, train, held_out, settings, recorder)
        pyro.set_rng_seed(seed)
        if snapshot is not None:
            session.restore(snapshot)
        try:
            with pyro.validation_enabled(False), warnings.catch_warnings():
                # Pyro's hint comes beside the error that names site and step.
                warnings.filterwarnings("ignore", "Encountered NaN")
                # A run resumed at the very end of an epoch steps its schedule first; rightly so.
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
                session.train()
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            recorder.end("interrupted" if interrupted else "failed", error=str(error))
            raise
        chosen = keep_best(session)
    run.history = session.state.history
    run.config = recorder.end(
        "finished",
        weights=chosen,
        seconds=round(time.monotonic() - begun, 3),
        engine=session.svi.explain().facts(),
    )
    return run


def _look(run: Fit, train: Batches, held_out: Batches | None) -> Survey:
    """Runs the pair once, as evaluation does (no gradient step, no batch statistics), and checks the data."""
    first = run.arguments(train.first())
    with run.evaluating(), torch.enable_grad():
        found = survey(run.model, run.guide, first)
    check_rows(run, train, first)
    for batches in (train, held_out):
        if batches is not None and batches.in_memory and found.supports:
            with randomness.isolated(run.device):
                check_support(found.supports, batches.epoch(0))
    return found


def _told(run: Fit, loss: Any, first: Batch) -> list[str]:
    """What an objective does at each latent site, line by line."""
    if not isinstance(loss, Objective):
        return []
    with run.evaluating():
        return str(loss.explain(run.model, run.guide, *first)).splitlines()


def _config(
    run: Fit, optimiser: Optimiser, loss: Any, settings: Settings, train: Batches, device: torch.device
) -> dict[str, Any]:
    first = run.arguments(train.first())
    told = _told(run, loss, first)
    return {
        **facts(run.model, run.guide),
        **({"objective": told} if told else {}),
        "settings": {
            **settings.facts(),
            "loss": repr(loss) if isinstance(loss, Objective) else type(loss).__name__,
            "optimiser": optimiser.describe(),
        },
        "data": {
            "size": train.size,
            "batch": len(first[0]),
            "shapes": [list(tensor.shape[1:]) for tensor in first],
            "dtypes": [str(tensor.dtype).removeprefix("torch.") for tensor in first],
            "source": train.source,
            "transform": describe_or_none(train.transform),
        },
        "device": str(device),
        "parameters": sum({id(p): p.numel() for p in run.parameters.unconstrained().values()}.values()),
    }
