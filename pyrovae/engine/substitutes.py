"""What stands in for the few spots of Pyro that read a tensor's value, while a pair of programs is traced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pyro
import pyro.infer.traceenum_elbo
import pyro.infer.tracegraph_elbo
import pyro.infer.util
import pyro.util
import torch
from pyro.poutine.indep_messenger import IndepMessenger
from torch.overrides import TorchFunctionMode

from pyrovae.engine.provenance import Provenance, detach_provenance, get_provenance, track_provenance
from pyrovae.engine.refusal import Refusal

_TRACKERS = (get_provenance, track_provenance, detach_provenance)
_FROM_NUMPY = (torch.tensor, torch.as_tensor, torch.asarray)
_LEAVES_TORCH = (torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__)
_LOCK = threading.RLock()


class _Items(TorchFunctionMode):
    """Answers ``tensor.item()`` by the tensor, detached: a number that is not yet known.

    Pyro's objectives add such numbers up. A program that does more with one, an ``if`` or a ``range``, ends
    in an error of the tracer, as it must: its value would be burnt into the graph.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.item and args[0].numel() == 1:
            return args[0].detach().reshape(())
        if func is torch.Tensor.__getitem__ and _is_number(args[1]):
            # Older torch reads the number. A list of one index says the same.
            return func(args[0], args[1].reshape(1)).squeeze(0)
        if func in _FROM_NUMPY and args and isinstance(args[0], np.ndarray):
            _refuse_array()
        if func in _LEAVES_TORCH:
            raise Refusal(
                f"a tensor's values are taken out of torch by {func.__name__}()",
                remedy="Compute with torch, or outside the programs.",
            )
        return func(*args, **(kwargs or {}))


class _WholeMasks(TorchFunctionMode):
    """Keeps the shape where a mask would select: what is masked out is zero in the sum that follows."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.all and args[0].dtype is torch.bool:
            return False  # "some may be masked out": the branch that is right in both cases
        if func is torch.Tensor.masked_select:
            value, mask = args
            return torch.where(mask, value, torch.zeros((), dtype=value.dtype, device=value.device))
        return func(*args, **(kwargs or {}))


def _expectation(original: Callable[..., Any]) -> Callable[..., Any]:
    def compute_expectation(self: Any, costs: Any) -> Any:
        with _WholeMasks():
            return original(self, costs)

    return compute_expectation


def _is_number(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dim() == 0 and index.dtype in (torch.int64, torch.int32)


def _refuse_array(*arrays: Any) -> None:  # noqa: ARG001
    raise Refusal(
        "an array of NumPy's is made a tensor inside the program",
        remedy="Make it a tensor outside: its values of today would be burnt into the graph.",
    )


def _never(value: Any) -> bool:  # noqa: ARG001 (the signature of what it stands for)
    return False


def _first(scales: Sequence[Any]) -> Any:
    """The common scale of enumerated sites; that they agree was checked by the run before the trace."""
    return scales[0]


def _unvalidated(distribution: Any, value: Any) -> None:
    """Distributions made before the trace carry their own switch of validation."""


def _counting(original: Callable[..., Any]) -> Callable[..., Any]:
    """A plate that isn't subsampled is iterated over by plain numbers, which name sites."""

    def iterate(self: Any) -> Iterator[Any]:
        before = self._indices
        if getattr(self, "subsample_size", self.size) == self.size:
            self._indices = range(self.size)
        try:
            yield from original(self)
        finally:
            self._indices = before

    return iterate


@contextmanager
def values_unread() -> Iterator[None]:
    """Lets Pyro's objectives run on tensors without values; everything is put back afterwards.

    Inside, ``item()`` gives a tensor, Pyro looks for no NaN, its enumeration sums over whole arrays instead
    of the unmasked entries (the same sum), and nothing is validated: the programs have run before, validated.
    """
    dice = pyro.infer.util.Dice
    substitutes: list[tuple[Any, str, Any]] = [
        (pyro.util, "torch_isnan", _never),
        (pyro.util, "torch_isinf", _never),
        (dice, "compute_expectation", _expectation(dice.compute_expectation)),
        (pyro.infer.traceenum_elbo, "_get_common_scale", _first),
        (torch, "from_numpy", _refuse_array),
        (torch.distributions.Distribution, "_validate_sample", _unvalidated),
        (IndepMessenger, "__iter__", _counting(IndepMessenger.__iter__)),
        *((pyro.infer.tracegraph_elbo, tracker.__name__, tracker) for tracker in _TRACKERS),
    ]
    with _LOCK, ExitStack() as stack:
        stack.enter_context(pyro.validation_enabled(False))
        for owner, name, substitute in substitutes:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, substitute)
        stack.enter_context(Provenance())
        stack.enter_context(_Items())
        yield
