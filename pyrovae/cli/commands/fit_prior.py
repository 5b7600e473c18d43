"""``pyrovae fit_prior RUN``: a prior fitted to where a finished run's posteriors lie, as a run of its own."""

from __future__ import annotations

from dataclasses import dataclass

from pyrovae.cli.options import CodeOptions, RunOptions
from pyrovae.cli.parser import Command, Parsed
from pyrovae.cli.parts import Part


@dataclass(frozen=True, kw_only=True)
class FitPriorOptions(CodeOptions):
    """fit_prior

    Arguments:
        prior: what to fit: pyrovae.priors.FullNormal, pyrovae.priors.NormalMixture --prior.components 50,
            pyrovae.priors.Flow --prior.flow pyrovae.flows.RealNVP.
        site: the latent, where the model has several.
        steps: of Adam.
        learning_rate: of the first step.
        to: the folder of the new run; by default RUN-prior.
        num_samples: particles of each test datum's evidence by importance sampling; 0 leaves it out.
        pictures: whether to draw pictures.
        model: the model, where it is yours: --model mine.py:model.
        guide: the guide, likewise.
        decoder: likewise.
        likelihood: likewise.
        encoder: likewise.
        posterior: likewise.
        transform: the data's transform, likewise.
    """

    prior: Part = "pyrovae.priors.FullNormal"
    site: str | None = None
    steps: int = 1000
    learning_rate: float = 2e-3
    to: str | None = None
    num_samples: int = 500
    pictures: bool = True


def _run(parsed: Parsed) -> None:
    from pyrovae.cli import metrics, pictures
    from pyrovae.cli.refitting import new_folder, prior_for, require_described
    from pyrovae.cli.runs import Run
    from pyrovae.training import fit_prior

    options = parsed.of(FitPriorOptions)
    run = Run(parsed)
    folder = new_folder(options.to, run)
    train, validation, test = (run.data(part) for part in ("train", "validation", "test"))
    new = fit_prior(
        run.fit,
        train,
        prior_for(run, options.prior, options.site, train),
        held_out=validation,
        site=options.site,
        steps=options.steps,
        learning_rate=options.learning_rate,
        seed=run.options.seed,
    )
    require_described(new)
    new.save(folder)
    numbers, bound = metrics.measure(
        new, test, name="test", num_samples=options.num_samples, seed=run.options.seed
    )
    metrics.write(numbers, folder / "metrics.json")
    if options.pictures:
        pictures.draw_all(new, test, bound, folder, run.options.seed)
    metrics.show(numbers)
    told = new.config["fitted_prior"]
    print(
        f"\nheld-out draws of {told['site']}: {told['before']:.2f} nats per datum under the old prior, "
        f"{told['after']:.2f} under the new; everything is in {folder}/"
    )


COMMAND = Command(
    name="fit_prior",
    description="Fits a prior to the aggregate posterior of a finished run, decoder and guide as they are:\n"
    "better samples, a better bound. The new run's folder has numbers and pictures of its own.",
    options=(FitPriorOptions, RunOptions),
    run=_run,
    epilog="""examples:
  pyrovae fit_prior runs/digits-1
  pyrovae fit_prior runs/digits-1 --prior pyrovae.priors.NormalMixture --prior.components 50
  pyrovae fit_prior runs/digits-1 --prior pyrovae.priors.Flow --prior.flow pyrovae.flows.RealNVP""",
)
