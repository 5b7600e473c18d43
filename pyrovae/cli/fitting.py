"""What ``pyrovae fit`` does: data, pair, training, numbers, pictures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyro
import yaml

from pyrovae.cli import datasets, metrics, optimisers, pairs, parser, pictures
from pyrovae.cli.folders import CONFIG, RunFolder
from pyrovae.cli.options import DataOptions, FolderOptions, PartOptions, SizeOptions, TrainingOptions
from pyrovae.cli.parser import Parsed
from pyrovae.cli.parts import words_in
from pyrovae.cli.references import NotNamed, References
from pyrovae.cli.strangers import unnamed_code
from pyrovae.engine.arithmetic import denormals_flushed
from pyrovae.errors import explain
from pyrovae.training import Fit, Settings
from pyrovae.training import fit as train
from pyrovae.training.settings import find_device

_SOME = 10_000
"""From so many data pseudo-inputs are chosen."""

_FEW = 10_000
_CLOSED_FORM = "pyrovae.objectives.ELBO"
_CHECKED = ("epochs", "batch_size", "seed", "clip_norm", "kl_warmup", "patience", "checkpoint_every")


class Plan(NamedTuple):
    """Everything that training needs."""

    model: Any
    guide: Any
    loaded: datasets.Loaded
    config: dict[str, Any]
    references: References


def fit(parsed: Parsed) -> None:
    """Runs the command."""
    with denormals_flushed():  # threads that torch starts inherit it
        _fit(parsed)


def _fit(parsed: Parsed) -> None:
    begun = time.monotonic()
    folder = RunFolder(parsed.of(FolderOptions), parsed.values["data"])
    if folder.resumed:
        parsed = _resumed(parsed, folder.path)
    try:
        plan = _plan(parsed)
        folder.begin(parser.dump(parsed.command, plan.config))
        run = _train(plan, parsed.of(TrainingOptions), folder)
    except NotNamed as error:
        folder.drop_if_unused()
        raise unnamed_code(error, parsed.values) from None
    except KeyboardInterrupt:
        folder.drop_if_unused()
        raise KeyboardInterrupt(_how_to_go_on(folder.path)) from None
    except BaseException:
        folder.drop_if_unused()
        raise
    seconds = time.monotonic() - begun
    _report(run, plan.loaded, parsed, folder.path)
    print(f"\ntrained in {seconds:.0f} s, {run.config['weights']}; everything is in {folder.path}/")


def _plan(parsed: Parsed) -> Plan:
    """Loads the data and makes the pair; says in two lines what was chosen."""
    training, sizes = parsed.of(TrainingOptions), parsed.of(SizeOptions)
    # What can be known to be wrong is said before data are read, or downloaded.
    given = {name: getattr(training, name) for name in _CHECKED}
    Settings.of(**{name: value for name, value in given.items() if value is not None})
    find_device(training.device)
    references = References(words_in(parsed.given))
    data = parsed.of(DataOptions)
    parts = parsed.of(PartOptions)
    missing = pairs.take_missing(parts, references)
    loaded = datasets.load_data(data, sizes, training.seed, references, missing=missing)
    print(datasets.sentence(data.data, loaded))
    model, guide = pairs.resolve(loaded.facts, sizes, parts, references)
    # Seeded here, after everything that may have drawn: the weights depend on the seed alone.
    pyro.set_rng_seed(training.seed)
    fresh = references.fresh()
    programs = pairs.make(model, fresh, "model"), pairs.make(guide, fresh, "guide")
    train_data = loaded.splits.train
    some = min(len(train_data), _SOME)
    pairs.begin(programs[0], lambda: datasets.take(train_data, some, training.seed)[0], training.seed)
    print(pairs.sentence(*programs), flush=True)
    few = len(loaded.splits.train) < _FEW
    epochs = (200 if few else 20) if training.epochs is None else training.epochs
    warmup = (0.0 if training.loss else epochs / 4) if training.kl_warmup is None else training.kl_warmup
    own = not all(program["class_path"].startswith("pyrovae.") for program in (model, guide))
    config = {
        **parsed.values,
        **dict.fromkeys(("prior", "decoder", "likelihood", "encoder", "posterior", "name", "run_dir")),
        "transform": loaded.transform,
        "model": model,
        "guide": guide,
        "epochs": epochs,
        "kl_warmup": warmup,
        "optim": optimisers.with_default(training.optim, rate=2e-3 if few else 1e-3),
        "loss": training.loss or (None if own else _CLOSED_FORM),
        "resume": False,
    }
    return Plan(*programs, loaded, config, fresh)


def _train(plan: Plan, options: TrainingOptions, folder: RunFolder) -> Fit:
    return train(
        plan.model,
        plan.guide,
        plan.loaded.splits,
        loss=optimisers.loss(plan.config["loss"], plan.references),
        optim=optimisers.optimiser(plan.config["optim"], plan.references),
        epochs=plan.config["epochs"],
        batch_size=options.batch_size,
        seed=options.seed,
        device=options.device,
        scheduler=optimisers.scheduler(options.scheduler, plan.references),
        clip_norm=options.clip_norm,
        kl_warmup=plan.config["kl_warmup"],
        patience=options.patience,
        run_dir=folder.path,
        resume=folder.resumed,
        checkpoint_every=options.checkpoint_every,
        progress=options.progress,
        loggers=optimisers.loggers(options.logger, folder.path),
        compile=options.compile,
        precision=options.precision,
    )


def _report(run: Fit, loaded: datasets.Loaded, parsed: Parsed, folder: Path) -> None:
    options, seed = parsed.of(FolderOptions), parsed.of(TrainingOptions).seed
    test = loaded.splits.test
    particles = (
        f", {options.num_samples:,} particles for each datum's evidence" if options.num_samples else ""
    )
    print(f"measuring on {len(test):,} test data{particles} ...", file=sys.stderr, flush=True)
    numbers, bound = metrics.measure(run, test, name="test", num_samples=options.num_samples, seed=seed)
    metrics.write(numbers, folder / "metrics.json")
    if options.pictures:
        pictures.draw_all(run, test, bound, folder, seed)
    print()
    metrics.show(numbers)


def _resumed(parsed: Parsed, folder: Path) -> Parsed:
    """The options that the run was begun with, with those given now on top.

    Raises:
        FileNotFoundError: where no run was begun by the command line.
        ValueError: when the options are not what the command line has written.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            explain(
                "--resume",
                expected=f"a run that pyrovae fit has begun ({path})",
                got="none",
                remedy="Check --run_dir; a run of a script is resumed by that script.",
            )
        )
    try:
        stored = yaml.safe_load(path.read_text())
        if not isinstance(stored, dict):
            raise ValueError("no options")
        stored = parser.check(parsed.command, stored)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(
            explain(
                str(path),
                expected="the options of a run",
                got=str(error),
                remedy="Mend it, or begin a new run.",
            )
        ) from error
    return parsed.over(stored)


def _how_to_go_on(folder: Path) -> str:
    if not (folder / "run.json").exists():
        return "interrupted before training began"
    return f"interrupted; go on with: pyrovae fit --run_dir {folder} --resume"
