"""``main``: finds the command, runs it, and turns what goes wrong into one message and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from pyrovae.cli.parser import Finished, UsageError, parse
from pyrovae.errors import explain, nearest

COMMANDS = {
    "fit": "train a model, write numbers and pictures to runs/<name>/",
    "fit_prior": "fit a prior to where a run's posteriors lie, for better samples",
    "evaluate": "test ELBO, reconstruction, KL and evidence of a run",
    "sample": "draw new data from a run's prior",
    "reconstruct": "data beside their reconstructions",
    "interpolate": "walk through latent space between two data",
    "encode": "write the embeddings of data to .npz or .csv",
    "export": "write an ArviZ data tree, NetCDF or Zarr",
    "info": "what a run is and how it went",
}

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for errors, 2 for wrong usage, 130 for Ctrl-C.

    Arguments:
        argv: the words after ``pyrovae``; by default those of the process.

    Example:
        >>> main(["--version"])
        pyrovae 0.1.0
        0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or bool(os.environ.get("PYROVAE_DEBUG"))
    try:
        _dispatch([word for word in words if word != "--debug"])
        sys.stdout.flush()
    except Finished as end:
        return end.code
    except KeyboardInterrupt as error:
        return _complain(error, str(error) or "interrupted", INTERRUPTED, debug)
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does: not an error, and nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCESS
    except UsageError as error:
        return _complain(error, str(error), USAGE, debug)
    except (ValueError, TypeError, ArithmeticError, OSError) as error:
        return _complain(error, _words(error), FAILURE, debug)
    except Exception as error:  # code of the user's own may raise anything
        text = f"{type(error).__name__}: {error}\nAdd --debug to see where it came from."
        return _complain(error, text, FAILURE, debug)
    return SUCCESS


def overview() -> str:
    """The text of ``pyrovae --help``."""
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return f"""usage: pyrovae COMMAND [OPTIONS]

Deep latent-variable models as Pyro programs: train one, look at it, trust its numbers.

commands:
{lines}

  pyrovae COMMAND --help   what a command takes
  pyrovae --version        the version

first steps:
  pyrovae fit                                   the default model, on digits that are built in
  pyrovae fit --data mnist --latent 2           another data set, a latent plane to look at
  pyrovae fit --model mine.py:model --guide mine.py:guide
  pyrovae fit --print_config > run.yaml && pyrovae fit --config run.yaml
  pyrovae evaluate runs/digits-1

Everything is measured in nats per datum. --debug shows where an error came from."""


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return
    if words[0] in ("-V", "--version"):
        from pyrovae import __version__

        print(f"pyrovae {__version__}")
        return
    name, *rest = words
    if name not in COMMANDS:
        raise UsageError(
            explain(
                "command",
                expected=f"one of {', '.join(COMMANDS)}",
                got=repr(name),
                remedy=f"{nearest(name, COMMANDS)} See pyrovae --help.",
            )
        )
    command = importlib.import_module(f"pyrovae.cli.commands.{name}").COMMAND
    command.run(parse(command, rest))


def _words(error: Exception) -> str:
    """An error in words: that of the system's without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if not error.filename else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _complain(error: BaseException, text: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    print(f"pyrovae: {'' if code == INTERRUPTED else 'error: '}{text}", file=sys.stderr)
    return code
