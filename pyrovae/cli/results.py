"""What a command shows: a picture where data are images, or numbers, by the ending of the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pyrovae import checkpoint
from pyrovae.cli import pictures
from pyrovae.cli.datasets import image_shape
from pyrovae.cli.folders import Output
from pyrovae.cli.options import OutputOptions
from pyrovae.cli.parser import Parsed
from pyrovae.cli.runs import Run
from pyrovae.errors import explain

See = Callable[[Tensor], Tensor]
Draw = Callable[[See, Any], Figure]

_DRAWN = (".png", ".pdf", ".svg")
_NUMBERS = (".npz", ".csv")


class Shown:
    """A run, its data, and the file that the command will write.

    Arguments:
        name: the file's name without ending: a picture if the data are images, else numbers.
    """

    def __init__(self, parsed: Parsed, name: str) -> None:
        self.run = Run(parsed)
        self.data = self.run.data()
        self.shape = image_shape(self.data)
        endings = _NUMBERS if self.shape is None else (*_DRAWN, *_NUMBERS)
        self.output = Output(parsed.of(OutputOptions), self.run.folder, f"{name}{endings[0]}", endings)

    def write(self, arrays: Mapping[str, Tensor], draw: Draw) -> None:
        """Writes the picture or the arrays, and says where."""
        if self.output.suffix in _DRAWN:
            figure = draw(lambda x: pictures.seen(x, self.data), self.shape)
            pictures.save(figure, self.output.path)
        else:
            write_arrays(arrays, self.output.path)
        print(f"written to {self.output.path}")


def write_arrays(arrays: Mapping[str, Tensor], path: Path) -> None:
    """Writes arrays by name to an ``.npz``, or side by side to a ``.csv``, whole or not at all.

    Raises:
        ValueError: for arrays of different lengths and more than two dimensions in one table.
    """
    values = {name: array.detach().cpu().numpy() for name, array in arrays.items()}
    if path.suffix == ".npz":
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **values)
        checkpoint.replace(path, content.getvalue())
        return
    columns: dict[str, Any] = {}
    for name, array in values.items():
        if array.ndim == 1:
            columns[name] = array
        elif array.ndim == 2:
            columns |= {f"{name}{i}": array[:, i] for i in range(array.shape[1])}
        else:
            raise ValueError(
                explain(
                    "--output",
                    expected="arrays of two dimensions for a .csv",
                    got=f"{name} of shape {array.shape}",
                    remedy="Take an .npz.",
                )
            )
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    checkpoint.replace(path, table.getvalue().encode())
