"""``pyrovae fit``: trains a model, measures it, draws it."""

from __future__ import annotations

from pyrovae.cli.options import DataOptions, FolderOptions, PartOptions, SizeOptions, TrainingOptions
from pyrovae.cli.parser import Command, Parsed


def _run(parsed: Parsed) -> None:
    from pyrovae.cli.fitting import fit

    fit(parsed)


COMMAND = Command(
    name="fit",
    description="Trains a model and a guide by stochastic variational inference. Without options: a VAE on\n"
    "the embedded digits, in well under a minute. Numbers, weights and pictures go to runs/<name>/.",
    options=(DataOptions, SizeOptions, PartOptions, TrainingOptions, FolderOptions),
    run=_run,
    takes_run=False,
    epilog="""examples:
  pyrovae fit --data mnist --epochs 20
  pyrovae fit --latent 2 --name plane
  pyrovae fit --prior pyrovae.priors.DiagonalNormal --optim torch.optim.AdamW --optim.lr 3e-4
  pyrovae fit --data faces.npy --likelihood pyrovae.heads.Normal --kl_warmup 10
  pyrovae fit --model mine.py:model --guide mine.py:guide
  pyrovae fit --run_dir runs/digits-1 --resume""",
)
