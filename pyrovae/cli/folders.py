"""Where results go: folders of runs that are new, files that replace nothing of the user's."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from pyrovae.cli.options import FolderOptions, OutputOptions
from pyrovae.errors import explain

RUNS = Path("runs")
CONFIG = "config.yaml"
"""The options of the command, resolved: what a resumed run begins with, and what ``--config`` takes."""


class Output:
    """The file that a command writes.

    Arguments:
        options: what the user says of it.
        folder: the run's folder, for which ``default`` is the name.
        endings: the endings that are known, the default's first.

    Raises:
        ValueError: for an ending that is not known, or a file that is there already.
    """

    def __init__(self, options: OutputOptions, folder: Path, default: str, endings: tuple[str, ...]) -> None:
        self.path = folder / default if options.output is None else Path(options.output).expanduser()
        if self.path.suffix not in endings:
            raise ValueError(
                explain(
                    "--output",
                    expected=f"a file that ends in {', '.join(endings)}",
                    got=str(self.path),
                    remedy="The ending says the kind of file.",
                )
            )
        if options.output is not None and not options.overwrite and self.path.exists():
            raise FileExistsError(
                explain(
                    "--output",
                    expected="a new file",
                    got=f"{self.path}, which exists",
                    remedy="Choose another, or add --overwrite.",
                )
            )
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                explain(
                    "--output",
                    expected="a file in a folder that exists",
                    got=str(self.path),
                    remedy=f"Make {self.path.parent} first.",
                )
            )

    @property
    def suffix(self) -> str:
        """The ending."""
        return self.path.suffix


class RunFolder:
    """The folder of a run that is to be begun or resumed.

    Arguments:
        options: where the user wants it.
        data: what the data are called; the folder is named after them where nothing else is said.

    Raises:
        FileExistsError: for a folder with something in it, unless it is to be resumed.
    """

    def __init__(self, options: FolderOptions, data: str) -> None:
        if options.name is not None and options.run_dir is not None:
            raise ValueError(
                explain("--name", expected="only one of it and --run_dir", got="both", remedy="Drop one.")
            )
        if options.name is not None and Path(options.name).name != options.name:
            raise ValueError(
                explain(
                    "--name",
                    expected="the name of a folder in runs/",
                    got=repr(options.name),
                    remedy="For a folder elsewhere: --run_dir.",
                )
            )
        self.resumed = options.resume
        self.was_there = False
        self.begun = False
        self.data = data if options.run_dir is None and options.name is None else None
        if options.run_dir is not None:
            self.path = Path(options.run_dir).expanduser()
        elif options.name is not None:
            self.path = RUNS / options.name
        elif options.resume:
            raise ValueError(
                explain(
                    "--resume", expected="the run to go on with", got="none", remedy="Add --run_dir runs/..."
                )
            )
        else:
            self.path = _next(data)
        if self.path.is_dir() and any(self.path.iterdir()) and not options.resume:
            raise FileExistsError(
                explain(
                    f"run folder {str(self.path)!r}",
                    expected="a new or an empty folder",
                    got="one with something in it",
                    remedy="Choose another --name, or go on with that run: --resume.",
                )
            )

    def begin(self, config: str) -> None:
        """Makes the folder and writes down the command's options.

        Raises:
            OSError: when the folder can't be made or written.
        """
        try:
            self._make()
            self.begun = True
            (self.path / CONFIG).write_text(config)
        except OSError as error:
            raise OSError(
                error.errno,
                explain(
                    f"run folder {str(self.path)!r}",
                    expected="a folder that can be made and written",
                    got=error.strerror or str(error),
                    remedy="Choose another with --run_dir, or mend its permissions.",
                ),
            ) from error

    def _make(self) -> None:
        """Makes the folder; of two runs that begin at once, one takes the number after the other's."""
        while self.data is not None and not self.resumed:
            try:
                self.path.mkdir(parents=True)
                return
            except FileExistsError:
                self.path = _next(self.data)
        self.was_there = self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)

    def drop_if_unused(self) -> None:
        """Takes the folder back where no run was begun in it: the data or the pair did not fit."""
        if self.resumed or not self.begun or (self.path / "run.json").exists():
            return
        with suppress(OSError):
            (self.path / CONFIG).unlink(missing_ok=True)
            if not self.was_there:
                self.path.rmdir()


def _next(data: str) -> Path:
    """``runs/<data>-<n>`` with the next free number."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", Path(data).stem).strip("-").lower() or "run"
    taken = [
        int(found[1])
        for path in (RUNS.iterdir() if RUNS.is_dir() else ())
        if (found := re.fullmatch(rf"{re.escape(name)}-(\d+)", path.name))
    ]
    return RUNS / f"{name}-{max(taken, default=0) + 1}"
