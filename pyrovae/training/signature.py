"""Which tensors of a batch a model takes."""

from __future__ import annotations

import inspect
from typing import NamedTuple

from torch import nn

from pyrovae.errors import explain
from pyrovae.types import Batch, Program


class Signature(NamedTuple):
    """The data arguments of a program: those before ``size``, which never takes data.

    Attributes:
        taken: how many tensors it can take; None: any number.
        required: how many it can't do without.
        is_open: whether it may be given more than it has a use for.
    """

    taken: int | None
    required: int
    is_open: bool = False

    @classmethod
    def of(cls, program: Program) -> Signature:
        """The signature of a function, a method, or a module's ``forward``.

        A program that takes any number of tensors may say by ``covariates`` how many of them, beyond the
        first, it has a use for.

        Example:
            >>> Signature.of(lambda x=None, y=None, size=None: None)
            Signature(taken=2, required=0, is_open=False)
        """
        call = program.forward if isinstance(program, nn.Module) else program
        taken = required = 0
        for name, parameter in inspect.signature(call).parameters.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                covariates = getattr(program, "covariates", None)
                return cls(None if covariates is None else 1 + covariates, required, is_open=True)
            if name == "size" or parameter.kind in (
                inspect.Parameter.KEYWORD_ONLY,
                inspect.Parameter.VAR_KEYWORD,
            ):
                break
            taken += 1
            required += parameter.default is inspect.Parameter.empty
        return cls(taken, required)

    def cut(self, batch: Batch) -> Batch:
        """The leading tensors of a batch that the program takes.

        Data sets often carry labels that a model has no use for: ``(x, y)`` is cut to ``(x,)``.

        Raises:
            TypeError: when the program needs more tensors than the batch has, or takes none.
        """
        if self.required > len(batch) or self.taken == 0:
            raise TypeError(
                explain(
                    "data",
                    expected=f"{self.required or 1} tensors a batch, as the model's arguments ask for",
                    got=f"{len(batch)} tensors and a model of {self.taken} data arguments",
                    remedy="Pass a tuple (x, y), or give the model the signature model(x=None, size=None).",
                )
            )
        return batch[: self.taken]
